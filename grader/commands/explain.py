"""`grader explain`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from grader.checks import ALL
from grader.corpus.cases import Case, load_cases
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.describe import render
from grader.exam.loader import load_exam
from grader.report.console import console
from grader.runtime.temporary import scratch_directory
from grader.session import chosen_tasks
from grader.submission.collect import collect
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from grader.exam.model import Criterion, Exam, Task

MAX_MISTAKES = 6
"""Told for a criterion, those first that cost it alone."""
MAX_LINES = 200
"""Of a file of the reference solution."""


def explain_command(names: Sequence[str], directory: Path | None, *, solution: bool) -> int:
    """Print what criteria ask for, what decides them, and how they are usually lost.

    Raises:
        UsageError: the exam has no such criterion or task, or no solution to show.
    """
    exam = load_exam(directory or RUBRICS, ALL)
    tasks = chosen_tasks(exam, names, ())
    if solution and exam.reference is None:
        raise UsageError("there is no solution to show: this exam.yaml names no reference")
    defects = [case for case in load_cases(exam) if case.kind == "defect"]
    out = console(sys.stdout)
    for task in tasks:
        out.print(render(exam, (task,), ALL), end="")
        for criterion in task.criteria:
            for line in _mistakes(criterion, defects):
                out.print(Padding(line, (0, 0, 0, 2)))
    if solution:
        _print_solution(out, exam, tasks)
    return PASSED


def _mistakes(criterion: Criterion, defects: Sequence[Case]) -> Iterator[Text]:
    """How the criterion is usually lost: what the defects of the corpus say, without repetitions."""
    costly = [case for case in defects if criterion.id in case.loses]
    costly.sort(key=lambda case: len(case.loses))
    told = list(dict.fromkeys(" ".join(case.why.split()) for case in costly if case.why))
    if not told:
        return
    yield Text.assemble((criterion.id, "bold"), ": usual mistakes")
    for why in told[:MAX_MISTAKES]:
        yield Text(f"  - {why}")
    if len(told) > MAX_MISTAKES:
        yield Text(f"  and {len(told) - MAX_MISTAKES} more", style="dim")
    yield Text("")


def _print_solution(out: Console, exam: Exam, tasks: Sequence[Task]) -> None:
    """The files of the reference solution that the criteria are about."""
    with scratch_directory() as scratch:
        reference = collect(str(exam.reference), exam=exam, into=scratch / "reference", tools=Tools())
        for task in tasks:
            every = tuple(deliverable.id for deliverable in task.deliverables)
            wanted = (name for row in task.criteria for name in (row.files or every))
            for name in dict.fromkeys(wanted):
                file = reference.deliverable(name)
                if file is None or not isinstance(text := file.text, str):
                    continue
                lines = text.splitlines()
                out.print(Text(f"{task.id}  {name}: {file.name}", style="bold"))
                lexer = Syntax.guess_lexer(file.name, text)
                shown = "\n".join(lines[:MAX_LINES])
                out.print(
                    Syntax(shown, lexer, theme="ansi_dark", background_color="default", line_numbers=True)
                )
                if len(lines) > MAX_LINES:
                    out.print(Text(f"and {len(lines) - MAX_LINES} more lines", style="dim"))
