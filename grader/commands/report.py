"""`grader report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.commands.score import exit_code, show, write_files
from grader.report.formats import Settings, refuse_unwritable
from grader.report.read import read_grade

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from grader.report.console import Colour


def report_command(
    path: Path,
    *,
    form: str,
    reports: Sequence[tuple[str, Path]],
    previous: Path | None,
    verbose: bool,
    strict: bool,
    colour: Colour,
) -> int:
    """Report what was graded before, and say by the exit code how it went."""
    for _, target in reports:
        refuse_unwritable(target)
    grade = read_grade(path)
    before = read_grade(previous) if previous is not None else None
    settings = Settings(verbose=verbose, colour=colour, previous=before)
    write_files(grade, reports, settings)
    if form or not reports:
        show(grade, form or "text", settings)
    return exit_code(grade, strict=strict)
