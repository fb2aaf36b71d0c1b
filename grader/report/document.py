"""The result document: plain data from which JSON is written. Its schema is `result.schema.json`."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, TextIO

from grader import __version__
from grader.report.console import speaks_unicode
from grader.report.safe import clean, one_line, safe

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import (
        CallRecord,
        Comparison,
        CriterionResult,
        Finding,
        Grade,
        PartResult,
        Place,
        Score,
        Thumbnail,
    )

VERSION = 1
"""Of the document's form; it rises when a key changes its meaning or goes."""


def document(grade: Grade) -> dict[str, Any]:
    """The whole grade; everything in it but `seconds` depends on submission, exam, seed and machine alone."""
    found: dict[str, Any] = {
        "version": VERSION,
        "grader": __version__,
        "exam": {**grade.exam, "criteria": grade.criteria_of_exam},
        "submission": dict(grade.submission),
        "score": _score(grade.score),
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "bonus": section.bonus,
                "tasks": [
                    {
                        "id": task.id,
                        "title": task.title,
                        "files": {name: path or None for name, path in task.files.items()},
                        "criteria": [_criterion(criterion) for criterion in task.criteria],
                    }
                    for task in section.tasks
                ],
            }
            for section in grade.sections
        ],
        "environment": dict(grade.environment),
        "isolation": grade.isolation,
        "seed": grade.seed,
        "tools": dict(grade.tools),
        **({"solutions": list(map(_comparison, grade.comparisons))} if grade.comparisons else {}),
        "calls": {name: _call(record) for name, record in grade.calls.items()},
        "places": {where: list(map(_place, places)) for where, places in grade.places.items()},
        "remarks": [_finding(remark) for remark in grade.remarks],
        "seconds": round(grade.seconds, 2),
    }
    return {name: _cleaned(value) for name, value in found.items()}


def _cleaned(data: Any) -> Any:
    """Every text of the document, wherever it came from: it is shown in terminals, logs and pages."""
    match data:
        case str():
            return clean(data)
        case dict():
            return {clean(str(key)): _cleaned(value) for key, value in data.items()}
        case list() | tuple():
            return [_cleaned(value) for value in data]
    return data


def write_json(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """The whole grade."""
    dump(document(grade), stream)


def dump(data: object, stream: TextIO) -> None:
    """One JSON document and a final newline; in ASCII where the stream has nothing else."""
    json.dump(data, stream, indent=2, ensure_ascii=not speaks_unicode(stream), allow_nan=False)
    stream.write("\n")


def _score(score: Score) -> dict[str, Any]:
    return {
        "earned": score.earned,
        "possible": score.possible,
        "lowest": score.lowest,
        "highest": score.highest,
        "bonus": {"earned": score.bonus_earned, "possible": score.bonus_possible},
        "pass_mark": score.pass_mark,
        "passed": score.passed,
        "complete": score.complete,
    }


def _criterion(criterion: CriterionResult) -> dict[str, Any]:
    return {
        "id": criterion.id,
        "title": criterion.title,
        "points": criterion.points,
        "earned": criterion.earned,
        "status": criterion.status.value,
        "evidence": criterion.evidence.value if criterion.evidence else None,
        "blocked_by": criterion.blocked_by or None,
        "findings": [_finding(finding) for finding in criterion.findings],
        "parts": [_part(part) for part in criterion.parts if part.id],
        "hint": criterion.hint,
        **(
            {"thumbnails": [_thumbnail(each) for each in criterion.thumbnails]}
            if criterion.thumbnails
            else {}
        ),
        "seconds": round(criterion.seconds, 2),
    }


def _thumbnail(thumbnail: Thumbnail) -> dict[str, str]:
    return {"name": one_line(thumbnail.name), "png": base64.b64encode(thumbnail.png).decode()}


def _call(record: CallRecord) -> dict[str, Any]:
    return {
        "path": record.path,
        "command": record.command,
        "origin": record.origin or None,
        "variables": list(record.variables),
        "trials": list(record.trials),
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "path": place.path,
        "line": place.line,
        **({"first": place.first, "lines": list(place.lines)} if place.lines else {}),
    }


def _part(part: PartResult) -> dict[str, Any]:
    return {"id": part.id, "title": part.title, "points": part.points, "status": part.status.value}


def _comparison(comparison: Comparison) -> dict[str, str]:
    return {
        "task": comparison.task,
        "deliverable": comparison.deliverable,
        "path": comparison.path,
        "text": safe(comparison.text, longest=40_000),
        "reference_path": comparison.reference_path,
        "reference_text": comparison.reference_text,
    }


def _finding(finding: Finding) -> dict[str, str]:
    fields = {
        "message": finding.message,
        "expected": finding.expected,
        "actual": finding.actual,
        "where": finding.where,
        "detail": finding.detail,
    }
    return {key: safe(value) for key, value in fields.items() if value}
