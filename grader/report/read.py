"""A grade out of its own document: what was graded once is reported in any form, by whoever has the file."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from grader.documents import parse_json
from grader.errors import UsageError
from grader.files import open_tree
from grader.report.safe import one_line
from grader.results import (
    CallRecord,
    Comparison,
    CriterionResult,
    Evidence,
    Finding,
    Grade,
    PartResult,
    Place,
    Score,
    SectionResult,
    Status,
    TaskResult,
    Thumbnail,
)
from grader.schemas import load
from grader.score import add

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 2**26
"""Of a document; one of the largest has a tenth of that."""
MAX_NUMBER = 1e9
REMEDY = "it must be what `grader score --format json` writes"


def read_grade(path: Path) -> Grade:
    """The grade of which a file is the document. Its numbers and texts are whatever its writer wanted.

    Raises:
        UsageError: there is none, or it is no such document.
    """
    data = open_tree(path.parent).read(path.name, MAX_BYTES + 1)
    if data is None:
        raise UsageError(f"cannot read {path}: there must be a file; {REMEDY}")
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is larger than {MAX_BYTES // 2**20} MiB; {REMEDY}")
    return parse_grade(data, str(path))


def parse_grade(data: bytes, name: str) -> Grade:
    """The grade of which these bytes are the document.

    Args:
        name: what complaints call it.

    Raises:
        UsageError: it is no such document.
    """
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise UsageError(f"{name} is not valid JSON ({one_line(str(error))}); {REMEDY}") from None
    if complaint := _complaint(document):
        raise UsageError(f"{name} is not the document of a grade: {complaint}; {REMEDY}")
    return grade_of(document)


def grade_of(document: dict[str, Any]) -> Grade:
    """The grade of a document that keeps the schema; nothing is known of its timeline."""
    score = document["score"]
    exam = dict(document["exam"])
    return Grade(
        criteria_of_exam=exam.pop("criteria", 0),
        exam=exam,
        submission=document["submission"],
        score=Score(
            earned=score["earned"],
            possible=score["possible"],
            bonus_earned=score["bonus"]["earned"],
            bonus_possible=score["bonus"]["possible"],
            lowest=score["lowest"],
            highest=score["highest"],
            pass_mark=score["pass_mark"],
            passed=score["passed"],
            complete=score["complete"],
        ),
        sections=tuple(
            SectionResult(
                id=section["id"],
                title=section["title"],
                bonus=section["bonus"],
                tasks=tuple(map(_task, section["tasks"])),
            )
            for section in document["sections"]
        ),
        environment=document["environment"],
        isolation=document["isolation"],
        seed=document["seed"],
        tools=document["tools"],
        remarks=tuple(_finding(each) for each in document["remarks"]),
        calls={name: _call(record) for name, record in document["calls"].items()},
        places={where: tuple(map(_place, places)) for where, places in document.get("places", {}).items()},
        comparisons=tuple(Comparison(**each) for each in document.get("solutions", ())),
        seconds=document["seconds"],
    )


def _complaint(document: object) -> str:
    """The first thing in which a document differs from what it must be; empty where nothing does."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    problem = best_match(Draft202012Validator(load("result")).iter_errors(document))
    if problem is not None:
        place = "/".join(map(str, problem.absolute_path))
        return one_line(f"{place}: {problem.message}" if place else problem.message)
    return "a number is not finite, or too large" if _has_wild_number(document) else ""


def _has_wild_number(data: object) -> bool:
    """No report has room for such points or seconds; a seed is a name, and may be any."""
    match data:
        case int() | float():
            return not abs(data) <= MAX_NUMBER  # which no NaN is
        case dict():
            return any(_has_wild_number(value) for key, value in data.items() if key != "seed")
        case list():
            return any(map(_has_wild_number, data))
    return False


def _task(task: dict[str, Any]) -> TaskResult:
    return TaskResult(
        id=task["id"],
        title=task["title"],
        criteria=tuple(map(_criterion, task["criteria"])),
        files={name: path or "" for name, path in task["files"].items()},
    )


def _criterion(row: dict[str, Any]) -> CriterionResult:
    parts = tuple(_parts(row))
    still_open = add(part.points for part in parts if part.status.open)
    return CriterionResult(
        id=row["id"],
        title=row["title"],
        points=row["points"],
        earned=row["earned"],
        highest=add((row["earned"], still_open)),
        status=Status(row["status"]),
        evidence=Evidence(row["evidence"]) if row["evidence"] else None,
        hint=row["hint"],
        parts=parts,
        blocked_by=row["blocked_by"] or "",
        seconds=row["seconds"],
    )


def _parts(row: dict[str, Any]) -> list[PartResult]:
    """The document has the findings of all parts together: each part has them here."""
    thumbnails = tuple(map(_thumbnail, row.get("thumbnails", ())))
    whole = {"id": "", "title": row["title"], "points": row["points"], "status": row["status"]}
    return [
        PartResult(
            id=part["id"],
            title=part["title"],
            points=part["points"],
            status=Status(part["status"]),
            findings=tuple(map(_finding, row["findings"])),
            evidence=Evidence(row["evidence"]) if row["evidence"] else None,
            blocked_by=row["blocked_by"] or "",
            thumbnails=thumbnails,
            seconds=row["seconds"],
        )
        for part in row["parts"] or [whole]
    ]


def _finding(finding: dict[str, str]) -> Finding:
    return Finding(**finding)


def _thumbnail(thumbnail: dict[str, str]) -> Thumbnail:
    return Thumbnail(name=thumbnail["name"], png=base64.b64decode(thumbnail["png"]))


def _place(place: dict[str, Any]) -> Place:
    return Place(
        path=place["path"],
        line=place["line"],
        first=place.get("first", 0),
        lines=tuple(place.get("lines", ())),
    )


def _call(record: dict[str, Any]) -> CallRecord:
    return CallRecord(
        path=record["path"],
        command=record["command"],
        origin=record["origin"] or "",
        variables=tuple(record["variables"]),
        trials=tuple(record["trials"]),
    )
