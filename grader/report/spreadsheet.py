"""A grade as comma-separated values: a row for each criterion, for whoever sorts and sums."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from grader.report.losses import dearest_first, place_of, points_lost, points_open
from grader.report.reasons import headline, path_of
from grader.report.safe import exact, one_line
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade, SectionResult, TaskResult

COLUMNS = (
    *("section", "task", "criterion", "title", "status", "points", "earned", "lost", "open"),
    *("evidence", "blocked_by", "file", "line", "reason"),
)
FORMULA = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the begin of a formula; some take the full-width forms as well."""


def write_csv(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """The dearest loss first, and what was earned last; lines end as RFC 4180 has it."""
    where = {
        row.id: (section, task)
        for section in grade.sections
        for task in section.tasks
        for row in task.criteria
    }
    rows = csv.writer(stream)
    rows.writerow(COLUMNS)
    for row in dearest_first(grade.criteria):
        rows.writerow(_cells(row, *where[row.id], grade))


def _cells(row: CriterionResult, section: SectionResult, task: TaskResult, grade: Grade) -> list[str]:
    place = place_of(row, grade) if row.status is not Status.EARNED else None
    return [
        *map(cell, (section.id, task.id, row.id, row.title, row.status.value)),
        *map(exact, (row.points, row.earned, points_lost(row), points_open(row))),
        row.evidence.value if row.evidence else "",
        cell(row.blocked_by),
        cell(path_of(place)) if place is not None else "",
        str(place.line) if place is not None and place.line else "",
        "" if row.status is Status.EARNED else cell(headline(row)),
    ]


def cell(value: str) -> str:
    """A line that no spreadsheet runs."""
    line = one_line(value, longest=1000)
    return f"'{line}" if line.startswith(FORMULA) else line
