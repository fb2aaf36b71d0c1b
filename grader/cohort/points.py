"""Points as a gradebook keeps them: integers of twentieths, so that sums are exact."""

from __future__ import annotations

from typing import overload

from grader.report.safe import points

TWENTIETHS = 20
"""To a point; no rubric has finer ones."""


def twentieths(value: float) -> int:
    """Points as they are kept."""
    return round(value * TWENTIETHS)


@overload
def points_of(value: int) -> float: ...
@overload
def points_of(value: int | None) -> float | None: ...
def points_of(value: int | None) -> float | None:
    """Twentieths as points; None where there are none."""
    return None if value is None else value / TWENTIETHS


def shown(value: int) -> str:
    """Twentieths as people read them: `2`, `1.5`."""
    return points(value / TWENTIETHS)
