"""`grader serve`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.commands.gradebook_decisions import login
from grader.error_handler import PASSED
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.console import console
from grader.web.server import serve

if TYPE_CHECKING:
    from pathlib import Path


def serve_command(
    path: Path,
    *,
    host: str,
    port: int,
    read_only: bool = False,
    anonymous: bool = False,
    author: str = "",
    exam: Path | None = None,
) -> int:
    """Serve a gradebook until it is ended."""
    out = console(sys.stdout)

    def say(line: str) -> None:
        # One line whatever the width: it is to be clicked, or copied.
        out.print(line, markup=False, highlight=False, soft_wrap=True)

    serve(
        path,
        host=host,
        port=port,
        author=author or login(),
        say=say,
        read_only=read_only,
        anonymous=anonymous,
        exam=load_exam(exam or RUBRICS, ALL),
        exam_folder=str(exam.resolve()) if exam else "",
    )
    return PASSED
