"""Where the time of a grade went: what `--timings` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.table import Table

from grader.report.console import Colour, console
from grader.report.safe import one_line
from grader.timeline import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.results import Grade

KINDS = {
    "start-up": "start of the grader (CPU time)",
    "collect": "copying the submission",
    "environment": "the candidate's packages",
    "service": "servers: until each was ready",
    "seed": "what the grader put into servers",
    "run": "programs that ran",
    "check": "criteria, including waiting",
}
"""Kinds of spans in the order in which they are shown; several of them go on at the same time."""
SHORTEST = 0.05
"""Seconds of a span that is worth a line."""
MAX_NAME = 70


def write_timings(grade: Grade, stream: TextIO, *, colour: Colour = "auto") -> None:
    """One table: when each thing began, how long it took, and how long of that it waited for its turn."""
    out = console(stream, colour)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("began", "seconds", "of that waiting"):
        table.add_column(title, justify="right")
    table.add_column("")
    for kind, title in KINDS.items():
        spans = [span for span in (*grade.spans, *_checks(grade)) if span.kind == kind]
        _add(table, title, spans)
    out.print()
    out.print(table)
    out.print(f"{grade.seconds:.1f} s in all")


def _checks(grade: Grade) -> Iterable[Span]:
    return (
        Span(kind="check", name=criterion.id, start=-1, seconds=criterion.seconds)
        for section in grade.sections
        for task in section.tasks
        for criterion in task.criteria
    )


def _add(table: Table, title: str, spans: list[Span]) -> None:
    shown = [span for span in spans if span.seconds >= SHORTEST]
    if not spans:
        return
    table.add_row("", f"{sum(span.seconds for span in spans):.1f}", "", title, style="bold")
    for span in shown:
        table.add_row(
            f"{span.start:.1f}" if span.start >= 0 else "",
            f"{span.seconds:.2f}",
            f"{span.waited:.2f}" if span.waited >= SHORTEST else "",
            f"  {one_line(span.name, longest=MAX_NAME)}",
        )
