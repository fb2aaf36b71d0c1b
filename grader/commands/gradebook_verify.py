"""`grader gradebook verify`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.text import Text

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.sound import complaints
from grader.cohort.gradebook.store import is_older
from grader.error_handler import NOT_PASSED, PASSED
from grader.report.console import console
from grader.report.safe import counted, one_line

if TYPE_CHECKING:
    from pathlib import Path

MAX_LISTED = 100


def verify_command(path: Path) -> int:
    """Say what is wrong with a gradebook; one of an older grader is brought up to date first."""
    out = console(sys.stdout)
    wrong = 0
    with open_gradebook(path, write=is_older(path)) as book:
        for remark in book.remarks:
            out.print(Text(one_line(remark), style="yellow"), soft_wrap=True)
        for wrong, complaint in enumerate(complaints(book), 1):
            if wrong <= MAX_LISTED:
                out.print(Text(one_line(complaint)))
        held = [
            counted(book.rows(query)[0][0], name, f"{name}s")
            for name, query in (
                ("candidate", "SELECT count(*) FROM candidate"),
                ("submission", "SELECT count(*) FROM submission"),
                ("job", "SELECT count(*) FROM job"),
                ("override", "SELECT count(*) FROM override"),
                ("event", "SELECT count(*) FROM event"),
            )
        ]
        results = book.rows("SELECT count(*), sum(void <> '') FROM result")[0]
    if wrong > MAX_LISTED:
        out.print(f"and {wrong - MAX_LISTED} more")
    if wrong:
        out.print(Text(f"{counted(wrong, 'thing is', 'things are')} wrong with {path}", style="red"))
        return NOT_PASSED
    told = f"{counted(results[0], 'result', 'results')} ({results[1] or 0} void)"
    out.print(Text(f"{path} is sound: {', '.join([*held[:3], told, *held[3:]])}"))
    return PASSED
