"""`grader init`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.error_handler import PASSED
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.starter import write_starter
from grader.report.console import console

if TYPE_CHECKING:
    from pathlib import Path


def init_command(directory: Path, exam: Path | None) -> int:
    """Write the starter folder and say what is in it."""
    out = console(sys.stdout)
    for name in write_starter(load_exam(exam or RUBRICS, ALL), directory):
        out.print(f"{directory / name}", markup=False, soft_wrap=True)
    done = f"\nWrite your answers there, then: grader score {directory}"
    out.print(done, markup=False, soft_wrap=True)
    return PASSED
