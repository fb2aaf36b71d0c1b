"""A grade as GitLab's code quality report: an issue for each criterion that did not earn all its points."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TextIO

from grader.report.document import dump
from grader.report.losses import losses, nearest_place, points_lost, task_files
from grader.report.reasons import headline, label, path_of
from grader.report.safe import one_line
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade, Place

SEVERITIES = ((2.0, "critical"), (1.0, "major"), (0.0, "minor"))
"""From how many points lost, the highest first. What is blocked or undecided is `info`: it is told at its
cause, or it is not the candidate's doing."""


def write_gitlab(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """The dearest loss first. An issue needs a file: where no finding has one, one of the task does."""
    files = task_files(grade)
    dump([_issue(row, nearest_place(row, grade, files), grade) for row in losses(grade)], stream)


def _issue(row: CriterionResult, place: Place, grade: Grade) -> dict[str, Any]:
    return {
        "description": one_line(f"{label(row)}: {headline(row)}", longest=1000),
        "check_name": one_line(row.id),
        "fingerprint": fingerprint(row, grade),
        "severity": _severity(row),
        "location": {"path": path_of(place), "lines": {"begin": place.line or 1}},
    }


def _severity(row: CriterionResult) -> str:
    if row.status is Status.BLOCKED or row.status.open:
        return "info"
    return next((name for least, name in SEVERITIES if points_lost(row) >= least), "info")


def fingerprint(row: CriterionResult, grade: Grade) -> str:
    """The same for a criterion wherever its loss is and whatever is said of it: both change with edits."""
    return hashlib.sha256(f"{grade.exam['id']}\0{row.id}".encode(errors="replace")).hexdigest()
