"""Why points were not earned, as plain text, for reports in forms that have no layout of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.report.losses import points_lost, points_open
from grader.report.safe import clean, counted, counted_points, one_line, points, safe
from grader.results import Status
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.results import CriterionResult, Finding, Grade, Place

MAX_FINDINGS = 20
MAX_DETAIL_LINES = 10
"""The last ones: the end of an output says what went wrong."""
MAX_REASONS = 6000
"""Characters of all that is said of one criterion."""
MAX_PATH = 4096
"""Characters: as many bytes are the limit of most systems."""


def total(grade: Grade) -> str:
    """`93 / 110 points, passed (pass mark 70)`, and what is still open."""
    score = grade.score
    line = f"{points(score.earned)} / {counted_points(score.possible)}, {verdict(grade)}"
    line += f" (pass mark {points(score.pass_mark)})"
    return line if score.complete else f"{line}; {interval(grade)}"


def verdict(grade: Grade) -> str:
    """`passed`, `not passed`, or `undecided` while what is open could change it."""
    if not grade.score.certain:
        return "undecided"
    return "passed" if grade.score.passed else "not passed"


def interval(grade: Grade) -> str:
    """`between 90 and 93 once 2 of 80 criteria are decided`, of a grade that is not complete."""
    rows = grade.criteria
    still_open = sum(row.status.open for row in rows)
    return (
        f"between {points(grade.score.lowest)} and {points(grade.score.highest)} once {still_open:,}"
        f" of {counted(len(rows), 'criterion', 'criteria')} {'is' if still_open == 1 else 'are'} decided"
    )


def label(row: CriterionResult) -> str:
    """`4.1.health: GET /health answers`."""
    return one_line(f"{row.id}: {row.title}")


def headline(row: CriterionResult) -> str:
    """`0 of 1 point, lost: src/a.py:3: it is wrong (expected x, found y)`, on one line."""
    line = f"{points(row.earned)} of {counted_points(row.points)}, {row.status.value}"
    return one_line(f"{line}: {told}" if (told := reason(row)) else line, longest=600)


def reason(row: CriterionResult) -> str:
    """The first thing that is said of it; empty where there is none."""
    if row.status is Status.BLOCKED:
        return f"{one_line(row.blocked_by) or 'something that it needs'} was lost"
    if not row.findings:
        return ""
    finding = row.findings[0]
    compared = (("expected", finding.expected), ("found", finding.actual))
    told = ", ".join(f"{name} {one_line(value)}" for name, value in compared if value)
    return _sentence(finding) + (f" ({told})" if told else "")


def _sentence(finding: Finding) -> str:
    message = one_line(finding.message)
    return f"{one_line(finding.where)}: {message}" if finding.where else message


def reasons(row: CriterionResult, *, hint: bool = True) -> str:
    """All that is known, on several lines: parts, findings with what was expected and found, the hint."""
    lines = [*_parts(row), *_findings(row)]
    if row.status is Status.BLOCKED:
        lines.append(f"not earned, because {reason(row)}")
    if hint and row.hint and row.status in (Status.LOST, Status.PARTIAL):
        lines.append(f"hint: {one_line(row.hint, longest=1000)}")
    return safe("\n".join(lines), longest=MAX_REASONS)


def _parts(row: CriterionResult) -> Iterator[str]:
    for part in row.parts:
        if part.id and part.status is not Status.EARNED:
            yield f"{one_line(part.title)} ({counted_points(part.points)}): {part.status.value}"


def _findings(row: CriterionResult) -> Iterator[str]:
    for finding in row.findings[:MAX_FINDINGS]:
        yield _sentence(finding)
        for name, value in (("expected", finding.expected), ("found", finding.actual)):
            if value:
                yield f"  {name}: {one_line(value)}"
        for line in safe(finding.detail[-MAX_REASONS:]).strip().split("\n")[-MAX_DETAIL_LINES:]:
            if line.strip():
                yield f"  {line}"
    if (left := len(row.findings) - MAX_FINDINGS) > 0:
        yield f"and {counted(left, 'more finding', 'more findings')}"


def left_out(rows: Sequence[CriterionResult]) -> str:
    """`and 12 more criteria: 3 points lost, 1 point open`, of those for which there is no room."""
    return f"and {counted(len(rows), 'more criterion', 'more criteria')}: {balance(rows)}"


def balance(rows: Sequence[CriterionResult]) -> str:
    """`3 points lost, 1 point open`."""
    lost, still_open = add(map(points_lost, rows)), add(map(points_open, rows))
    told = [f"{counted_points(lost)} lost"] if lost or not still_open else []
    return ", ".join([*told, f"{counted_points(still_open)} open"] if still_open else told)


def path_of(place: Place) -> str:
    """The path as a report may show it: a name that no sane file has is none that a reader could open."""
    return clean(place.path[:MAX_PATH]).replace("\n", "\N{REPLACEMENT CHARACTER}") or "."
