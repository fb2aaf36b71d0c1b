"""`grader exam new` and `grader export`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.error_handler import PASSED
from grader.exam.bundled import RUBRICS
from grader.exam.candidate_edition import write_candidate_edition
from grader.exam.loader import load_exam
from grader.exam.new_exam import write_exam
from grader.report.console import console

if TYPE_CHECKING:
    from pathlib import Path


def new_command(directory: Path) -> int:
    """Write an exam to start from, and say how to go on."""
    out = console(sys.stdout)
    for name in write_exam(directory, ALL):
        out.print(f"{directory / name}", markup=False, soft_wrap=True)
    out.print(
        f"\nChange it, then: grader rubric lint {directory} && grader verify --exam {directory}",
        markup=False,
        soft_wrap=True,
    )
    return PASSED


def export_command(candidate: Path, exam: Path | None) -> int:
    """Write the edition for candidates, and say how it is installed."""
    count = write_candidate_edition(load_exam(exam or RUBRICS, ALL), candidate, ALL)
    said = f"{candidate}: {count} files; candidates install it with: pip install {candidate}"
    console(sys.stdout).print(said, markup=False, soft_wrap=True)
    return PASSED
