"""`grader init`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from grader.checks import ALL
from grader.error_handler import PASSED
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.starter import write_starter

if TYPE_CHECKING:
    from pathlib import Path


def init_command(directory: Path, exam: Path | None) -> int:
    """Write the starter folder and say what is in it."""
    console = Console(highlight=False, soft_wrap=True)
    for name in write_starter(load_exam(exam or RUBRICS, ALL), directory):
        console.print(f"{directory / name}", markup=False)
    console.print(f"\nWrite your answers there, then: grader score {directory}", markup=False)
    return PASSED
