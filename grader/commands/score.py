"""`grader score`."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO

from grader.error_handler import INCOMPLETE, NOT_PASSED, PASSED, discard_output
from grader.errors import UsageError
from grader.report.console import Colour, console
from grader.report.document import write_json
from grader.report.progress import Progress
from grader.report.text import summary, write_text
from grader.report.timings import write_timings
from grader.session import Options, score_submission

if TYPE_CHECKING:
    from grader.results import Grade


class Writer(Protocol):
    """Writes a whole report to a stream."""

    def __call__(self, grade: Grade, stream: TextIO, *, verbose: bool, colour: Colour) -> None:
        """Documents for programs have everything in them, and no colours."""


WRITERS: dict[str, Writer] = {
    "text": write_text,
    "json": lambda grade, stream, **_settings: write_json(grade, stream),
}
"""What `--format` may name."""
STANDARD_OUTPUT = Path("-")


def score_command(
    source: str,
    options: Options,
    *,
    form: str,
    output: Path | None,
    quiet: bool,
    verbose: bool,
    timings: bool,
    strict: bool = False,
    colour: Colour = "auto",
) -> int:
    """Grade, report, and say by the exit code how it went."""
    to_stdout = output == STANDARD_OUTPUT
    if output is not None and not to_stdout:
        refuse_unwritable(output)
    with Progress(quiet=quiet) as progress:
        grade = score_submission(source, options, progress.observe, timeline=progress.timeline)
    if output is not None and not to_stdout:
        write_file(output, grade, form, verbose=verbose)
    # With a file for the report, the terminal still shows the table.
    shown = form if output is None or to_stdout else "text"
    try:
        if shown == "text" and quiet and not to_stdout:
            console(sys.stdout, colour).print(summary(grade))
        else:
            WRITERS[shown](grade, sys.stdout, verbose=verbose, colour=colour)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()  # whoever read it has seen enough; the verdict stands
    if timings:
        # Standard output may be a document for another program.
        write_timings(grade, sys.stderr, colour=colour)
    return exit_code(grade, strict=strict)


def exit_code(grade: Grade, *, strict: bool = False) -> int:
    """The contract of `grader score`.

    Args:
        strict: nothing may be open, even where it could not change the verdict.
    """
    if not (grade.score.complete if strict else grade.score.certain):
        return INCOMPLETE
    return PASSED if grade.score.passed else NOT_PASSED


def write_file(path: Path, grade: Grade, form: str, *, verbose: bool = False) -> None:
    """Write a report; a reader never sees half of it."""
    text = io.StringIO()
    WRITERS[form](grade, text, verbose=verbose, colour="never")
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
