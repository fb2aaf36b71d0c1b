"""`grader rubric lint`, `grader rubric show`, `grader rubric checks` and `grader rubric try`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from rich.markdown import Markdown

from grader.check import unknown
from grader.checks import ALL
from grader.error_handler import INCOMPLETE, NOT_PASSED, PASSED, UNUSABLE
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.check_reference import as_json, as_markdown, check_references, declarations
from grader.exam.describe import render
from grader.exam.lint import lint
from grader.exam.loader import load_exam
from grader.exam.trial import trial_exam
from grader.report.console import console
from grader.report.safe import counted
from grader.report.text import print_criterion
from grader.results import Status
from grader.runtime.environment import uv
from grader.runtime.temporary import scratch_directory
from grader.session import chosen_tasks, score_submission

if TYPE_CHECKING:
    from pathlib import Path

    from grader.session import Options


def lint_command(directory: Path | None) -> int:
    """Print every complaint, one a line."""
    out = console(sys.stdout)
    complaints = lint(directory or RUBRICS, ALL, exists=uv.is_version)
    for complaint in complaints:
        out.print(str(complaint), markup=False, soft_wrap=True)
    if any(not complaint.warning for complaint in complaints):
        return UNUSABLE
    exam = load_exam(directory or RUBRICS, ALL)
    tasks = tuple(exam.tasks)
    count = sum(len(task.criteria) for task in tasks)
    held = f"{counted(len(tasks), 'task', 'tasks')}, {counted(count, 'criterion', 'criteria')}"
    out.print(f"{exam.title}: {held}, no errors", markup=False, soft_wrap=True)
    return PASSED


def show_command(task: str | None, directory: Path | None) -> int:
    """Print what is graded."""
    exam = load_exam(directory or RUBRICS, ALL)
    tasks = chosen_tasks(exam, (task,) if task else (), ())
    console(sys.stdout).print(render(exam, tasks, ALL))
    return PASSED


def try_command(check: str, given: str, source: str, options: Options, *, task: str, verbose: bool) -> int:
    """Decide one criterion that no rubric has yet, and say whether it is earned by the exit code."""
    with scratch_directory() as folder:
        exam = trial_exam(check, given, folder, ALL, exam=options.exam, task=task)
        grade = score_submission(source, options, exam=exam)
    row = replace(grade.criteria[0], hint="")
    print_criterion(console(sys.stdout), row, verbose=verbose)
    if row.status.open:
        return INCOMPLETE
    return PASSED if row.status is Status.EARNED else NOT_PASSED


def checks_command(name: str | None, form: Literal["text", "json", "markdown"]) -> int:
    """Print what rubrics may call.

    Raises:
        UsageError: there is no check of that name, nor any whose name begins so.
    """
    references = check_references(ALL, load_exam(RUBRICS, ALL))
    declared = declarations(ALL)
    if name is not None:
        references = tuple(each for each in references if each.name == name) or tuple(
            each for each in references if each.name.startswith(f"{name}.")
        )
        if not references:
            raise UsageError(unknown("check", name, ALL))
        kinds = {each.scenario for each in references}
        declared = tuple(each for each in declared if each.section == "scenarios" and each.kind in kinds)
    if form == "json":
        print(json.dumps(as_json(references, declared), indent=2, ensure_ascii=False))  # noqa: T201
    elif form == "markdown":
        print(as_markdown(references, declared), end="")  # noqa: T201
    else:
        _, _, body = as_markdown(references, declared).partition("\n## ")
        console(sys.stdout).print(Markdown(f"## {body}"))
    return PASSED
