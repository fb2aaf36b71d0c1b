"""What moved, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from grader.report.previous import signed
from grader.report.safe import counted, one_line, points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.cohort.gradebook.anonymous import Names
    from grader.cohort.regrade.deltas import Delta, Deltas, Moved

MAX_CANDIDATES = 20
"""That are listed where nobody asked for all of them."""
MAX_FINDING = 120


def told(found: Deltas, names: Names, *, longest: int | None = None) -> Iterator[str]:
    """Lines of text; none where no result counted before.

    Args:
        longest: candidates to list; None: all.
    """
    if not found.compared:
        return
    if not found.candidates:
        yield f"nothing moved, of {counted(found.compared, 'candidate', 'candidates')}"
        return
    same = len(found.candidates) - found.up - found.down
    parts = [f"{found.up} up, {found.down} down, of {counted(found.compared, 'candidate', 'candidates')}"]
    parts += [f"{same} with the points of before and other findings or statuses"] if same else []
    yield "; ".join(parts)
    yield from _by_criterion(found)
    listed = found.candidates[:longest]
    for delta in listed:
        yield from _of_candidate(delta, names)
    if len(listed) < len(found.candidates):
        left = len(found.candidates) - len(listed)
        yield f"  and {counted(left, 'candidate', 'candidates')} more: `grader gradebook diff` lists all"


def as_data(found: Deltas, names: Names) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "since": found.since,
        "compared": found.compared,
        "new": found.new,
        "up": found.up,
        "down": found.down,
        "candidates": [
            {
                "key": names.key(delta.candidate),
                "name": names.of(delta.candidate),
                "before": delta.before,
                "now": delta.now,
                "delta": delta.delta,
                "criteria": [_row(moved, names) for moved in delta.moved],
            }
            for delta in found.candidates
        ],
    }


def _row(moved: Moved, names: Names) -> dict[str, Any]:
    return {
        "task": moved.task,
        "id": moved.criterion,
        "direction": moved.direction.value if moved.direction else "same",
        "before": {"earned": moved.before, "status": moved.status_before or None},
        "now": {"earned": moved.now, "status": moved.status_now or None},
        "gone": [names.text(message) for message in moved.gone],
        "found": [names.text(message) for message in moved.found],
        "reason": names.text(moved.reason),
    }


def _by_criterion(found: Deltas) -> Iterator[str]:
    """`  5.2.passes: 12 up, 1 down: its rubric changed`."""
    ways: dict[tuple[str, str], Counter[str]] = {}
    for delta in found.candidates:
        for moved in delta.moved:
            # Each has its own source: a line for each of them is the candidates' list.
            reason = moved.reason.partition(": ")[0]
            way = moved.direction.value if moved.direction else "with other findings"
            ways.setdefault((moved.criterion, reason), Counter())[way] += 1
    for (criterion, reason), counts in ways.items():
        numbers = ", ".join(f"{count} {way}" for way, count in counts.most_common())
        yield f"  {criterion}: {numbers}: {reason}"


def _of_candidate(delta: Delta, names: Names) -> Iterator[str]:
    went = f"{points(delta.before)} → {points(delta.now)} ({signed(delta.delta)})"
    yield f"  {names.full(delta.candidate)}: {went}"
    for moved in delta.moved:
        statuses = f"{moved.status_before or 'not graded'} → {moved.status_now or 'not graded'}"
        yield f"    {signed(moved.delta)}  {moved.criterion}  {statuses}: {names.text(moved.reason)}"
        for sign, messages in (("-", moved.gone), ("+", moved.found)):
            for message in messages:
                yield f"      {sign} {one_line(names.text(message), longest=MAX_FINDING)}"
