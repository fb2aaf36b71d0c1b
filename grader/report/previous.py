"""What changed since an earlier grade of the same exam."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from grader.report.safe import points

if TYPE_CHECKING:
    from grader.results import CriterionResult, Grade


class Direction(StrEnum):
    """Which way a criterion went."""

    UP = "up"
    DOWN = "down"
    DECIDED = "decided"  # was open, and lost since
    UNDECIDED = "undecided"  # was decided, and is open now
    NEW = "new"  # was not graded before
    GONE = "gone"  # is not graded any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One criterion before and now; each is None where it was not graded."""

    direction: Direction
    before: CriterionResult | None
    now: CriterionResult | None

    @property
    def row(self) -> CriterionResult:
        """The criterion as it is now, or as it was last."""
        row = self.now or self.before
        assert row is not None  # noqa: S101
        return row

    @property
    def delta(self) -> float:
        """Points more than before; negative where there are fewer."""
        after = self.now.earned if self.now else 0.0
        return round(after - (self.before.earned if self.before else 0.0), 6)


def changes(previous: Grade, grade: Grade) -> list[Change]:
    """What went up, down, appeared or went, the largest change first, then in the exam's order.

    A criterion whose points and status are as before is no change, whatever its findings say. What only a
    grade of the whole exam would have graded again is none either.
    """
    now = {row.id: row for row in grade.criteria}
    whole = len(now) >= grade.criteria_of_exam
    before = {row.id: row for row in previous.criteria if whole or row.id in now}
    found = [
        Change(direction=direction, before=before.get(name), now=now.get(name))
        for name in dict.fromkeys((*now, *before))
        if (direction := _direction(before.get(name), now.get(name))) is not None
    ]
    return sorted(found, key=lambda change: -abs(change.delta))


def _direction(before: CriterionResult | None, now: CriterionResult | None) -> Direction | None:
    if before is None:
        return Direction.NEW
    if now is None:
        return Direction.GONE
    if now.earned != before.earned:
        return Direction.UP if now.earned > before.earned else Direction.DOWN
    if now.status.open != before.status.open:
        return Direction.UNDECIDED if now.status.open else Direction.DECIDED
    return None


def difference(previous: Grade, grade: Grade) -> float:
    """Points more than before, over what was graded both times or is new."""
    return round(sum(change.delta for change in changes(previous, grade)), 6)


def comparability(previous: Grade, grade: Grade) -> str:
    """Why a difference of totals may not be the candidate's doing; empty where nothing speaks for that."""
    if previous.exam["id"] != grade.exam["id"]:
        return f"the earlier grade is of another exam ({previous.exam['title']})"
    if previous.exam["digest"] != grade.exam["digest"]:
        return "the exam's rubrics have changed since the earlier grade"
    if previous.isolation != grade.isolation and "static" in (previous.isolation, grade.isolation):
        return "one of the two grades ran nothing"
    return ""


def signed(value: float) -> str:
    """`+1.5`, `-2`, `±0`."""
    if value == 0:
        return "±0"
    return f"{'+' if value > 0 else '-'}{points(abs(value))}"


def told(change: Change) -> str:
    """`+1  4.2.replicas  lost -> earned`, without the title."""
    before = change.before.status.value if change.before else "not graded"
    now = change.now.status.value if change.now else "not graded"
    return f"{signed(change.delta)}  {change.row.id}  {before} → {now}"
