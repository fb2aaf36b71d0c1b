"""What every report tells first: what was not earned, the dearest before the cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.results import Place, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.results import CriterionResult, Grade


def losses(grade: Grade) -> list[CriterionResult]:
    """Criteria that cost points or may still: by points lost, by points open, in the exam's order."""
    return dearest_first(row for row in grade.criteria if row.status is not Status.EARNED)


def dearest_first(rows: Iterable[CriterionResult]) -> list[CriterionResult]:
    """By points lost, by points open, in the order in which they were; what was earned comes last."""
    return sorted(
        rows,
        key=lambda row: (
            row.highest - row.points,
            row.earned - row.highest,
            row.status is Status.EARNED,
        ),
    )


def points_lost(row: CriterionResult) -> float:
    """Points that are gone, whatever is still decided."""
    return round(row.points - row.highest, 6)


def points_open(row: CriterionResult) -> float:
    """Points that are still undecided."""
    return round(row.highest - row.earned, 6)


def place_of(row: CriterionResult, grade: Grade) -> Place | None:
    """Where to look first: a line that a finding names, else a file that one names."""
    places = [place for finding in row.findings for place in grade.places.get(finding.where, ())]
    return next((place for place in places if place.line), next(iter(places), None))


def nearest_place(row: CriterionResult, grade: Grade, files: Mapping[str, str]) -> Place:
    """The same for readers that insist on a file: else one of the task's, else the folder itself.

    Args:
        files: what `task_files` returns.
    """
    return place_of(row, grade) or Place(path=files.get(row.id) or ".")


def task_files(grade: Grade) -> dict[str, str]:
    """Criterion id -> the first file that was taken for its task; empty where there is none."""
    return {
        row.id: next(filter(None, task.files.values()), "") for task in grade.tasks for row in task.criteria
    }
