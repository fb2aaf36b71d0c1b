"""`grader gradebook override`, `withdraw` and `flag`: what people decide."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from rich.text import Text

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.decisions import (
    fingerprint_of,
    flag,
    group,
    override,
    same_group,
    settle,
    target,
    twentieths_of,
    withdraw,
)
from grader.cohort.gradebook.whom import whom
from grader.cohort.points import shown
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.report.console import console
from grader.report.safe import counted, few, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.decisions import Target

MAX_LISTED = 10


def override_command(
    path: Path,
    what: str,
    amount: str,
    *,
    candidates: Sequence[str],
    like: str = "",
    reason: str,
    author: str = "",
    dry_run: bool = False,
    anonymous: bool = False,
) -> int:
    """Give points by hand.

    Args:
        what: a task or criterion.
        candidates: to these.
        like: to everybody who lost the criterion as this candidate did, or with this fingerprint.

    Raises:
        UsageError: nobody is named, or it cannot be done; then nothing was.
    """
    value = twentieths_of(amount)
    if bool(candidates) == bool(like):
        raise UsageError("say whose by --candidate, or by --like everybody who lost it in one way")
    author = author or login()
    with open_gradebook(path, write=not dry_run) as book:
        names = Names(book, anonymous=anonymous)
        out = console(sys.stdout)
        _remarks(book, out)
        if like:
            _override_group(book, out, names, what, value, like, reason, author, dry_run=dry_run)
            return PASSED
        found = dict.fromkeys(whom(book, word, anonymous=anonymous) for word in candidates)
        targets = [target(book, each, what) for each in found]
        numbers = [0] * len(targets)
        if not dry_run:
            with book.transaction():
                numbers = [override(book, each, value, author=author, reason=reason) for each in targets]
        for each, number in zip(targets, numbers, strict=True):
            _told(book, out, names, each, value, number)
    return PASSED


def _override_group(
    book: Gradebook,
    out: Console,
    names: Names,
    criterion: str,
    value: int,
    like: str,
    reason: str,
    author: str,
    *,
    dry_run: bool,
) -> None:
    known = {
        row["fingerprint"]
        for row in book.rows("SELECT DISTINCT fingerprint FROM criterion WHERE criterion = ?", criterion)
    }
    fingerprint = like if like in known else ""
    fingerprint = fingerprint or fingerprint_of(book, whom(book, like, anonymous=names.anonymous), criterion)
    found = group(book, criterion, fingerprint, value)
    numbers = [0] * len(found.targets)
    if not dry_run:
        with book.transaction():
            numbers = [
                override(book, each, value, author=author, reason=reason, fingerprint=fingerprint)
                for each in found.targets
            ]
    together = len(found.targets) + len(found.kept) + len(found.done)
    out.print(
        Text(
            f"{counted(together, 'candidate', 'candidates')} lost {one_line(criterion)} in this way,"
            f" {len(found.targets)} {'would be' if dry_run else 'are'} overridden"
        )
    )
    for each, number in zip(found.targets[:MAX_LISTED], numbers, strict=False):
        _told(book, out, names, each, value, number)
    if len(found.targets) > MAX_LISTED:
        out.print(Text(f"and {len(found.targets) - MAX_LISTED} more"))
    for reason_, people in (("overridden alone before, which stays", found.kept), ("so already", found.done)):
        if people:
            out.print(Text(f"{reason_}: {few([names.of(each) for each in people], MAX_LISTED)}"))


def _told(book: Gradebook, out: Console, names: Names, what: Target, value: int, number: int) -> None:
    line = Text(f"{one_line(what.criterion or what.task)} of {names.of(what.candidate)}: ")
    line.append(f"{shown(what.points)} -> {shown(value)}", style="bold")
    line.append(f" of {shown(what.possible)}", style="")
    if number:
        line.append(f" (override {number})", style="dim")
        for mark in book.rows("SELECT points, possible FROM mark WHERE candidate = ?", what.candidate):
            line.append(f"; the mark is {shown(mark['points'])} of {shown(mark['possible'])}", style="")
    out.print(line)


def withdraw_command(
    path: Path, numbers: Sequence[int], *, whole_group: bool = False, reason: str = "", author: str = ""
) -> int:
    """Let overrides count no more: all of them, or none.

    Args:
        whole_group: also those that were made together with these.
    """
    author = author or login()
    with open_gradebook(path, write=True) as book:
        out = console(sys.stdout)
        _remarks(book, out)
        wanted = same_group(book, numbers) if whole_group else list(dict.fromkeys(numbers))
        with book.transaction():
            for number in wanted:
                withdraw(book, number, author=author, reason=reason)
        out.print(Text(f"{counted(len(wanted), 'override', 'overrides')} withdrawn"))
    return PASSED


def flag_command(
    path: Path,
    who: str,
    *,
    done: int | None = None,
    reason: str = "",
    author: str = "",
    anonymous: bool = False,
) -> int:
    """Say that somebody should be looked at again, or that it is done.

    Raises:
        UsageError: it is neither of the two.
    """
    author = author or login()
    if bool(who) == (done is not None):
        raise UsageError("name a candidate to flag, or a flag that is done by --done")
    with open_gradebook(path, write=True) as book:
        out = console(sys.stdout)
        _remarks(book, out)
        if done is not None:
            with book.transaction():
                settle(book, done, author=author, reason=reason)
            out.print(Text(f"flag {done} is done"))
            return PASSED
        found = whom(book, who, anonymous=anonymous)
        with book.transaction():
            number = flag(book, found, author=author, reason=reason)
        out.print(Text(f"{Names(book, anonymous=anonymous).of(found)} is flagged (flag {number})"))
    return PASSED


def login() -> str:
    """Who decides, if nobody says so."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise UsageError("nobody knows who you are: say it by --author") from None


def _remarks(book: Gradebook, out: Console) -> None:
    for remark in book.remarks:
        out.print(Text(one_line(remark), style="yellow"))
