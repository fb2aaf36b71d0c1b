"""`grader verify`."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from grader.checks import ALL
from grader.corpus.cases import chosen, load_cases
from grader.corpus.report import WRITERS, write_json
from grader.corpus.verify import Verdict, Verification, built_in, only_read, verify
from grader.error_handler import INCOMPLETE, NOT_PASSED, PASSED
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.console import console
from grader.report.formats import refuse_unwritable, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from grader.session import Options


def verify_command(
    options: Options,
    *,
    only: str,
    jobs: int,
    full: bool,
    static: bool,
    form: str,
    output: Path | None,
    verbose: bool,
) -> int:
    """Grade the corpus, print how far it agrees, and say so by the exit code."""
    if output is not None:
        refuse_unwritable(output)
    exam = load_exam(options.exam or RUBRICS, ALL)
    cases = (*(case for case in built_in(exam) if chosen(case.name, only)), *load_cases(exam, only))
    if static:
        cases = only_read(cases, exam)
    if not cases:
        raise UsageError(f"no case matches {only!r}; give a task, a glob or part of a case's name")
    with _progress() as progress:
        task = progress.add_task("cases", total=len(cases))

        def observe(verdict: Verdict) -> None:
            progress.advance(task)
            if not verdict.agrees and not progress.disable:
                progress.console.print(f"✘ {verdict.case.name}", style="red", highlight=False)

        whole = not (only or static)
        result = verify(exam, cases, options, jobs=jobs, full=full, whole=whole, observe=observe)
    if output is not None:
        document = io.StringIO()
        write_json(result, document)
        write_whole(output, document.getvalue())
    WRITERS[form](result, sys.stdout, verbose=verbose)
    return exit_code(result)


def exit_code(result: Verification) -> int:
    """The contract of `grader verify`."""
    wrong = [verdict for verdict in result.verdicts if not verdict.agrees]
    if not wrong:
        return PASSED
    return INCOMPLETE if all(verdict.undecided for verdict in wrong) else NOT_PASSED


def _progress() -> Progress:
    out = console(sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=out,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
