"""`grader init`."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from grader.boundary import PASSED
from grader.bundled import RUBRICS
from grader.checks import ALL
from grader.exam_loader import load_exam
from grader.starter import write_starter


def init_command(directory: Path, exam: Path | None) -> int:
    """Write the starter folder and say what is in it."""
    console = Console(highlight=False, soft_wrap=True)
    for name in write_starter(load_exam(exam or RUBRICS, ALL), directory):
        console.print(f"{directory / name}", markup=False)
    console.print(f"\nWrite your answers there, then: grader score {directory}", markup=False)
    return PASSED
