"""`grader score`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from grader.error_handler import INCOMPLETE, NOT_PASSED, PASSED, discard_output
from grader.errors import UsageError
from grader.report.console import Colour, console
from grader.report.formats import FORMATS, Settings, load_later, refuse_unwritable, write_file
from grader.report.progress import Progress
from grader.report.read import read_grade
from grader.report.text import summary
from grader.report.timings import write_timings
from grader.results import Status
from grader.session import Options, score_submission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.results import Grade

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
    reports: Sequence[tuple[str, Path]] = (),
    previous: Path | None = None,
    strict: bool = False,
    fail_on_loss: bool = False,
    colour: Colour = "auto",
) -> int:
    """Grade, report, and say by the exit code how it went."""
    to_stdout = output == STANDARD_OUTPUT
    files = [*reports, *([] if output is None or to_stdout else [(form, output)])]
    for _, path in files:
        refuse_unwritable(path)
    before = read_grade(previous) if previous is not None else None
    settings = Settings(verbose=verbose, colour=colour, previous=before)
    loading = load_later({form, *(name for name, _ in files)})
    try:
        with Progress(quiet=quiet) as progress:
            grade = score_submission(source, options, progress.observe, timeline=progress.timeline)
    finally:
        loading.cancel()
    write_files(grade, files, settings)
    # With a file for the report, the terminal still shows the table.
    shown = form if output is None or to_stdout else "text"
    show(grade, shown, settings, brief=quiet and not to_stdout)
    if timings:
        # Standard output may be a document for another program.
        write_timings(grade, sys.stderr, colour=colour)
    if fail_on_loss:
        return NOT_PASSED if has_losses(grade) else PASSED
    return exit_code(grade, strict=strict)


def has_losses(grade: Grade) -> bool:
    """Whether any part is certainly lost; what is undecided is not."""
    return any(part.status in (Status.LOST, Status.BLOCKED) for row in grade.criteria for part in row.parts)


def tasks_with_losses(path: Path) -> tuple[str, ...]:
    """Tasks that had not earned all in an earlier grade.

    Raises:
        UsageError: there were none, or the file is no document of a grade.
    """
    found = tuple(
        task.id
        for task in read_grade(path).tasks
        if any(row.status is not Status.EARNED for row in task.criteria)
    )
    if not found:
        raise UsageError(f"nothing was lost in {path}: leave out --only-lost to grade all")
    return found


def write_files(grade: Grade, files: Sequence[tuple[str, Path]], settings: Settings) -> None:
    """Write one grade into a file for each form."""
    for form, path in files:
        write_file(form, path, grade, replace(settings, colour="never"))


def show(grade: Grade, form: str, settings: Settings, *, brief: bool = False) -> None:
    """Write one grade to standard output.

    Args:
        brief: of the text, only the last line.
    """
    try:
        if form == "text" and brief:
            console(sys.stdout, settings.colour).print(summary(grade, settings.previous))
        else:
            FORMATS[form].write(grade, sys.stdout, settings)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()  # whoever read it has seen enough; the verdict stands


def exit_code(grade: Grade, *, strict: bool = False) -> int:
    """The contract of `grader score`.

    Args:
        strict: nothing may be open, even where it could not change the verdict.
    """
    if not (grade.score.complete if strict else grade.score.certain):
        return INCOMPLETE
    return PASSED if grade.score.passed else NOT_PASSED
