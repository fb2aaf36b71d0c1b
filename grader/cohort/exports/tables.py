"""The marks as tables: a row for each candidate or criterion, or a line of JSON for each candidate."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, TextIO

from grader.cohort.points import points_of
from grader.report.safe import clean, exact
from grader.report.spreadsheet import cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.cohort.exports.marks import Candidate, CriterionMark, Marks

PERSON = ("key", "name", "email", "section")
MARK = ("state", "points", "possible", "pass_mark", "passed", "overridden", "late", "submitted_at", "remark")
CRITERIA = (
    "key",
    "name",
    "task",
    "criterion",
    "status",
    "points",
    "earned",
    "possible",
    "overridden",
    "reason",
)
OVERRIDES = ("key", "task", "criterion", "points", "reason", "author", "at")


def write_candidates(marks: Marks, stream: TextIO) -> None:
    """Everybody: who it is, the mark, and the points of each task; cells are empty where there is none."""
    rows = csv.writer(stream)
    rows.writerow([*PERSON, *MARK, *map(cell, marks.tasks)])
    for each in marks.candidates:
        tasks = dict(each.tasks)
        rows.writerow(
            [
                *_person(each),
                each.state,
                number(each.points),
                number(each.possible if each.points is not None else None),
                number(each.pass_mark if each.points is not None else None),
                _yes(each.passed),
                _yes(bool(each.overrides)),
                _yes(each.late),
                each.submitted_at,
                cell(each.reason),
                *(number(tasks.get(task)) for task in marks.tasks),
            ]
        )


def write_criteria(marks: Marks, stream: TextIO) -> None:
    """Every criterion of everybody who has a mark, in the exam's order; the points add up to the mark.

    An override of a whole task is a row of its own without a criterion: its points are what it changes.
    """
    rows = csv.writer(stream)
    rows.writerow(CRITERIA)
    for candidate in marks.marked:
        for row in criterion_rows(marks, candidate):
            rows.writerow(
                [
                    *map(cell, (candidate.key, candidate.name, row["task"], row["criterion"])),
                    row["status"],
                    *(exact(row[name]) for name in ("points", "earned", "possible")),
                    _yes(row["override"] is not None),
                    cell(row["override"]["reason"]) if row["override"] else "",
                ]
            )


def write_lines(marks: Marks, stream: TextIO) -> None:
    """Everybody with everything, as a JSON document a line; points are `null` where there are none."""
    for candidate in marks.candidates:
        json.dump(_document(marks, candidate), stream, ensure_ascii=False)
        stream.write("\n")


def write_overrides(marks: Marks, stream: TextIO) -> None:
    """What people decided; `grader gradebook import overrides` reads it."""
    rows = csv.writer(stream)
    rows.writerow(OVERRIDES)
    for candidate in marks.candidates:
        for each in candidate.overrides:
            told = map(cell, (candidate.key, each.task, each.criterion))
            rows.writerow([*told, number(each.points), *map(cell, (each.reason, each.author)), each.at])


def criterion_rows(marks: Marks, candidate: Candidate) -> list[dict[str, Any]]:
    """Criteria and overrides of whole tasks, as plain data."""
    rows = marks.criteria(candidate)
    found = [_criterion(row, candidate) for row in rows]
    for override in candidate.overrides:
        if not override.criterion:
            own = [row.points for row in rows if row.task == override.task]
            found.append(
                {
                    "task": override.task,
                    "criterion": "",
                    "status": "override",
                    "points": points_of(override.points - sum(own)),
                    "earned": 0.0,
                    "possible": 0.0,
                    "override": _override(candidate, override.task, ""),
                }
            )
    return found


def _criterion(row: CriterionMark, candidate: Candidate) -> dict[str, Any]:
    return {
        "task": row.task,
        "criterion": row.criterion,
        "status": row.status,
        **{name: points_of(getattr(row, name)) for name in ("points", "earned", "possible")},
        "override": _override(candidate, row.task, row.criterion) if row.override else None,
    }


def _override(candidate: Candidate, task: str, criterion: str) -> dict[str, Any]:
    each = next(each for each in candidate.overrides if (each.task, each.criterion) == (task, criterion))
    return {
        "points": points_of(each.points),
        "reason": clean(each.reason),
        **({} if candidate.anonymous else {"author": clean(each.author)}),
        "at": each.at,
    }


def _document(marks: Marks, each: Candidate) -> dict[str, Any]:
    known = [
        {"system": system, "value": clean(value)}
        for system, value in each.identities
        if system not in ("email", "key")
    ]
    has_mark = each.points is not None
    return {
        **{name: clean(getattr(each, name)) for name in PERSON},
        **({} if each.anonymous else {"identities": known}),
        "state": each.state,
        "points": points_of(each.points),
        "possible": points_of(each.possible if has_mark else None),
        "pass_mark": points_of(each.pass_mark if has_mark else None),
        "passed": each.passed,
        "before_overrides": points_of(each.earned if has_mark and each.result is not None else None),
        "late": each.late,
        "submitted_at": each.submitted_at or None,
        "remark": clean(each.reason),
        "tasks": {task: points_of(points) for task, points in each.tasks},
        "criteria": criterion_rows(marks, each) if has_mark else [],
    }


def _person(each: Candidate) -> Sequence[str]:
    return [cell(getattr(each, name)) for name in PERSON]


def number(twentieths: int | None) -> str:
    """Points as programs read them; empty where there are none."""
    return "" if twentieths is None else exact(points_of(twentieths))


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
