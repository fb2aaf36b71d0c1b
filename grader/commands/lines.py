"""Lines in which `grader gradebook export` and `import` say what came of it, people by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.report.console import console
from grader.report.safe import few, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

MAX_LISTED = 20
MAX_LINE = 4000


def named(what: str, who: Sequence[str]) -> list[str]:
    """A line about some people, who are named; none about nobody."""
    return [f"  {len(who)} {what}: {few(who, MAX_LISTED)}"] if who else []


def say(lines: Sequence[str], stream: TextIO) -> None:
    """Write lines, each as one, whatever names hold and however wide the terminal is."""
    out = console(stream)
    for line in lines:
        indent = len(line) - len(line.lstrip())
        out.print(" " * indent + one_line(line, longest=MAX_LINE), markup=False, soft_wrap=True)
