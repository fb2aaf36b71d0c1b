"""A grade as SARIF 2.1.0: a rule for each criterion, a result for each that did not earn all its points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from grader import __version__
from grader.report.document import dump
from grader.report.gitlab import fingerprint
from grader.report.losses import losses, nearest_place, task_files
from grader.report.reasons import headline, path_of, reasons, total
from grader.report.safe import clean, one_line
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade, Place

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION = "2.1.0"
LEVELS = {Status.LOST: "error", Status.PARTIAL: "warning", Status.BLOCKED: "note"}
"""What is undecided has none: its kind is `open`, which is no failure."""
MAX_SNIPPET = 300
"""Characters."""


def write_sarif(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """One run. Points and status are among the properties of rules and results."""
    numbers = {row.id: number for number, row in enumerate(grade.criteria)}
    files = task_files(grade)
    run = {
        "tool": {
            "driver": {
                "name": "grader",
                "semanticVersion": __version__,
                "rules": list(map(_rule, grade.criteria)),
            }
        },
        "invocations": [
            {"executionSuccessful": not any(row.status is Status.ERROR for row in grade.criteria)}
        ],
        "results": [
            _result(row, numbers[row.id], nearest_place(row, grade, files), grade) for row in losses(grade)
        ],
        "properties": {
            "summary": one_line(total(grade)),
            "earned": grade.score.earned,
            "possible": grade.score.possible,
            "passed": grade.score.passed,
            "complete": grade.score.complete,
        },
    }
    dump({"$schema": SCHEMA, "version": VERSION, "runs": [run]}, stream)


def _rule(row: CriterionResult) -> dict[str, Any]:
    title = {"text": one_line(row.title) or one_line(row.id) or "criterion"}
    rule: dict[str, Any] = {
        "id": one_line(row.id) or "criterion",
        "shortDescription": title,
        "fullDescription": title,  # GitHub's code scanning takes no rule without
        "properties": {"points": row.points, "earned": row.earned, "status": row.status.value},
    }
    if row.hint.strip():
        rule["help"] = {"text": one_line(row.hint, longest=1000)}
    return rule


def _result(row: CriterionResult, rule: int, place: Place, grade: Grade) -> dict[str, Any]:
    return {
        "ruleId": one_line(row.id) or "criterion",
        "ruleIndex": rule,
        "kind": "open" if row.status.open else "fail",
        "level": LEVELS.get(row.status, "none"),
        "message": {"text": _unlinked(f"{headline(row)}\n\n{reasons(row)}").strip()},
        "locations": [{"physicalLocation": _location(place)}],
        "partialFingerprints": {"criterion/v1": fingerprint(row, grade)},
        "properties": {"points": row.points, "earned": row.earned, "status": row.status.value},
    }


def _unlinked(text: str) -> str:
    """Even a plain message has links, `[told](https://…)`: nothing in ours is one."""
    return text.replace("](", "] (")


def _location(place: Place) -> dict[str, Any]:
    location: dict[str, Any] = {
        "artifactLocation": {"uri": quote(path_of(place)), "uriBaseId": "%SRCROOT%"},
    }
    if place.line:
        location["region"] = {"startLine": place.line}
        if text := _line(place):
            location["region"]["snippet"] = {"text": text}
    return location


def _line(place: Place) -> str:
    """The line itself, where it is known."""
    number = (place.line or 0) - place.first
    return clean(place.lines[number][:MAX_SNIPPET]) if 0 <= number < len(place.lines) else ""
