"""What `--solution` prints: a candidate's files and the reference solution's, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from grader.report.safe import one_line, safe

if TYPE_CHECKING:
    from grader.results import Comparison, Grade

MAX_CHARACTERS = 40_000


def write_solutions(grade: Grade, stream: TextIO) -> None:
    """One table a file; nothing where nothing was lost."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console = Console(file=stream, no_color=True, highlight=False, width=160)
    for comparison in grade.comparisons:
        console.print()
        title = Text(f"{comparison.task}  {comparison.deliverable}: this submission, and the reference")
        console.print(Rule(title, align="left", style="dim", characters="─"))
        console.print(_table(comparison))


def _table(comparison: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
    table.add_column(Text(one_line(comparison.path) or "not handed in"), ratio=1, overflow="fold")
    table.add_column(Text(one_line(comparison.reference_path) or "none"), ratio=1, overflow="fold")
    table.add_row(
        Text(safe(comparison.text, longest=MAX_CHARACTERS)),
        Text(safe(comparison.reference_text, longest=MAX_CHARACTERS), style="green"),
    )
    return table
