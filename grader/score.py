"""Points arithmetic. Pure: no clock, no files; the only place where points are added."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from grader.results import CriterionResult, Evidence, PartResult, Score, SectionResult, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.exam.model import Criterion


def add(points: Iterable[float]) -> float:
    """Sum without rounding errors of binary fractions (0.4 + 0.4 + 0.4 is 1.2)."""
    return round(math.fsum(points), 6)


def criterion_result(criterion: Criterion, parts: tuple[PartResult, ...]) -> CriterionResult:
    """Combine the results of a criterion's parts."""
    earned = add(part.points for part in parts if part.status is Status.EARNED)
    still_open = add(part.points for part in parts if part.status.open)
    return CriterionResult(
        id=criterion.id,
        title=criterion.title,
        points=criterion.points,
        earned=earned,
        highest=add((earned, still_open)),
        status=_status(parts),
        evidence=_evidence(parts),
        hint=criterion.hint,
        parts=parts,
        blocked_by=next((part.blocked_by for part in parts if part.blocked_by), ""),
        seconds=max((part.seconds for part in parts), default=0.0),
    )


def _status(parts: tuple[PartResult, ...]) -> Status:
    statuses = {part.status for part in parts}
    for status in (Status.ERROR, Status.UNVERIFIED):
        if status in statuses:
            return status
    if statuses <= {Status.EARNED}:
        return Status.EARNED
    if Status.EARNED in statuses:
        return Status.PARTIAL
    return Status.BLOCKED if statuses <= {Status.BLOCKED} else Status.LOST


def _evidence(parts: tuple[PartResult, ...]) -> Evidence | None:
    kinds = {part.evidence for part in parts if part.evidence is not None}
    if not kinds:
        return None
    return Evidence.RUNS if Evidence.RUNS in kinds else Evidence.STATIC


def total(sections: Iterable[SectionResult], *, pass_mark: float) -> Score:
    """The totals of the sections that were graded; the pass mark is in points, bonus counted."""
    rows = [
        (section.bonus, criterion)
        for section in sections
        for task in section.tasks
        for criterion in task.criteria
    ]
    earned = add(criterion.earned for _, criterion in rows)
    return Score(
        earned=earned,
        possible=add(criterion.points for _, criterion in rows),
        bonus_earned=add(criterion.earned for bonus, criterion in rows if bonus),
        bonus_possible=add(criterion.points for bonus, criterion in rows if bonus),
        lowest=earned,
        highest=add(criterion.highest for _, criterion in rows),
        pass_mark=pass_mark,
        passed=earned >= pass_mark,
        complete=not any(criterion.status.open for _, criterion in rows),
    )
