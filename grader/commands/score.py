"""`grader score`."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from grader.error_handler import INCOMPLETE, NOT_PASSED, PASSED
from grader.errors import UsageError
from grader.report.document import write_json
from grader.report.progress import Progress
from grader.report.solution import write_solutions
from grader.report.text import summary, write_text
from grader.report.timings import write_timings
from grader.session import Options, score_submission

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.results import Grade

WRITERS: dict[str, Callable[[Grade, TextIO], None]] = {"text": write_text, "json": write_json}


def score_command(
    source: str,
    options: Options,
    *,
    form: str,
    output: Path | None,
    quiet: bool,
    verbose: bool,
    timings: bool,
) -> int:
    """Grade, report, and say by the exit code how it went."""
    if output is not None:
        refuse_unwritable(output)
    with Progress(quiet=quiet) as progress:
        grade = score_submission(source, options, progress.observe)
    if output is not None:
        write_file(output, grade, form)
    if form == "json" and output is None:
        write_json(grade, sys.stdout)
    elif quiet:
        Console(highlight=False).print(summary(grade))
    else:
        write_text(grade, sys.stdout, verbose=verbose)
        write_solutions(grade, sys.stdout)
    if timings:
        # Standard output may be a document for another program.
        write_timings(grade, sys.stderr)
    return exit_code(grade)


def exit_code(grade: Grade) -> int:
    """The contract of `grader score`."""
    if not grade.score.complete:
        return INCOMPLETE
    return PASSED if grade.score.passed else NOT_PASSED


def write_file(path: Path, grade: Grade, form: str) -> None:
    """Write a report; a reader never sees half of it."""
    text = io.StringIO()
    WRITERS[form](grade, text)
    write_whole(path, text.getvalue())


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)


def refuse_unwritable(path: Path) -> None:
    """Better now than after a minute of grading."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UsageError(f"cannot write to {path}: the folder must exist, and the path must be a file")
