"""`grader rubric lint` and `grader rubric show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from grader.checks import ALL
from grader.error_handler import PASSED, UNUSABLE
from grader.exam.bundled import RUBRICS
from grader.exam.describe import render
from grader.exam.lint import lint
from grader.exam.loader import load_exam
from grader.session import chosen_tasks

if TYPE_CHECKING:
    from pathlib import Path


def lint_command(directory: Path | None) -> int:
    """Print every complaint, one a line."""
    console = Console(highlight=False, soft_wrap=True)
    complaints = lint(directory or RUBRICS, ALL)
    for complaint in complaints:
        console.print(str(complaint), markup=False)
    if any(not complaint.warning for complaint in complaints):
        return UNUSABLE
    exam = load_exam(directory or RUBRICS, ALL)
    tasks = tuple(exam.tasks)
    count = sum(len(task.criteria) for task in tasks)
    console.print(f"{exam.title}: {len(tasks)} tasks, {count} criteria, no errors", markup=False)
    return PASSED


def show_command(task: str | None, directory: Path | None) -> int:
    """Print what is graded."""
    exam = load_exam(directory or RUBRICS, ALL)
    tasks = chosen_tasks(exam, (task,) if task else (), ())
    Console(highlight=False).print(render(exam, tasks, ALL))
    return PASSED
