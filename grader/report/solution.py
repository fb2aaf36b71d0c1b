"""What `--solution` prints: what would turn a candidate's files into the reference solution's."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

from rich.rule import Rule
from rich.text import Text

from grader.report.safe import one_line, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from grader.results import Comparison, Grade

MAX_CHARACTERS = 40_000
MAX_LINE = 400
"""Characters of a line that is shown."""
CONTEXT = 3
STYLES = {"+": "green", "-": "red", "@": "cyan"}


def write_solutions(grade: Grade, console: Console) -> None:
    """A unified difference for each file; nothing where nothing was lost."""
    for comparison in grade.comparisons:
        console.print()
        title = Text(f"{comparison.task}  {comparison.deliverable}: from this submission to the reference")
        console.print(Rule(title, align="left", style="dim", characters="─"))
        for line in difference(comparison):
            console.print(line, soft_wrap=True)


def difference(comparison: Comparison) -> Iterator[Text]:
    """The lines of a unified difference, each in its colour."""
    before, after = (
        safe(text, longest=MAX_CHARACTERS).splitlines()
        for text in (comparison.text, comparison.reference_text)
    )
    yield Text(f"--- {one_line(comparison.path) or 'not handed in'}", style="bold")
    yield Text(f"+++ {one_line(comparison.reference_path) or 'none'}", style="bold")
    if before == after:
        yield Text("no difference", style="dim")
    lines = unified_diff(before, after, n=CONTEXT, lineterm="")
    for line in list(lines)[2:]:
        yield Text(line[:MAX_LINE], style=STYLES.get(line[:1], ""))
