"""`grader gradebook diff`: what moved between the results that counted at some moment and those of now."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.store import written
from grader.cohort.regrade.deltas import deltas, last_batch
from grader.cohort.regrade.report import as_data, told
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.report.console import console
from grader.report.document import dump

if TYPE_CHECKING:
    from pathlib import Path


def diff_command(
    path: Path, *, since: str = "", anonymous: bool = False, form: Literal["text", "json"] = "text"
) -> int:
    """Print what moved.

    Args:
        since: a time in ISO 8601, local where it names no zone; empty: when the last batch began.

    Raises:
        UsageError: it is no time, or there is no result yet.
    """
    with open_gradebook(path) as book, book.snapshot():
        moment = _moment(since) if since else last_batch(book)
        found = deltas(book, moment)
        names = Names(book, anonymous=anonymous)
        if form == "json":
            dump(as_data(found, names), sys.stdout)
            return PASSED
        out = console(sys.stdout)
        out.print(f"since {moment}", markup=False)
        for line in told(found, names):
            out.print(line, markup=False)
        if not found.compared:
            out.print("nobody had a result then", markup=False)
    return PASSED


def _moment(word: str) -> str:
    try:
        return written(datetime.fromisoformat(word))
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"--from {word}: no time, such as 2026-11-28 or 2026-11-28T09:30") from None
