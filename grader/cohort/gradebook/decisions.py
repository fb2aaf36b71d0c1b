"""What people decide: overrides and flags. Nothing is ever changed or lost, and each has its event."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from grader.check import unknown
from grader.cohort.gradebook.store import now
from grader.cohort.points import TWENTIETHS, shown
from grader.errors import UsageError
from grader.report.safe import one_line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from grader.cohort.gradebook.store import Gradebook

MAX_DIGITS = 50
MAX_POINTS = 10**6
MAX_TEXT = 4000
"""Characters of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What of a candidate's mark is decided on. Points are twentieths."""

    candidate: int
    task: str
    criterion: str
    """Empty: the whole task."""
    result: int
    points: int
    """As the mark is now."""
    possible: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Those who lost a criterion in the same way."""

    criterion: str
    fingerprint: str
    targets: tuple[Target, ...]
    """To be overridden."""
    kept: tuple[int, ...]
    """Candidates about whom somebody has decided alone, or on the whole task: that stays."""
    done: tuple[int, ...]
    """Candidates for whom it is so already."""


def twentieths_of(text: str) -> int:
    """Points that a user typed.

    Raises:
        UsageError: they are no such number.
    """
    try:
        value = Decimal(text.strip()[:MAX_DIGITS])
        if 0 <= value < MAX_POINTS and value * TWENTIETHS == int(value * TWENTIETHS):
            return int(value * TWENTIETHS)
    except ArithmeticError:  # as of decimals, that NaN is neither more nor less included
        raise UsageError(f"{one_line(text)!r} are no points: such as 2 or 1.5") from None
    raise UsageError(f"{one_line(text)} points cannot be: from 0 on, in steps of {1 / TWENTIETHS}")


def target(book: Gradebook, candidate: int, name: str) -> Target:
    """A task or criterion of the result that counts.

    Raises:
        UsageError: there is none.
    """
    rows = book.rows(
        "SELECT task, criterion, result, points, possible FROM criterion_mark WHERE candidate = ?", candidate
    )
    if not rows:
        raise UsageError("there is no result yet that could be overridden: grade first (`grader batch`)")
    for row in rows:
        if row["criterion"] == name:
            return Target(candidate=candidate, **dict(row))
    for row in book.rows(
        "SELECT task, '' AS criterion, result, points, possible FROM task_mark WHERE candidate = ?", candidate
    ):
        if row["task"] == name:
            return Target(candidate=candidate, **dict(row))
    known = {row["task"] for row in rows} | {row["criterion"] for row in rows}
    raise UsageError(unknown("task or criterion", name, sorted(known)))


def override(
    book: Gradebook, what: Target, points: int, *, author: str, reason: str, fingerprint: str = ""
) -> int:
    """Decide how many points a candidate has, whatever is graded; within a transaction.

    One that was there before is withdrawn.

    Args:
        points: in twentieths.
        fingerprint: of the group that it is made for.

    Returns:
        The number of the override.

    Raises:
        UsageError: it is more than there is, nobody says why, or the whole task is overridden.
    """
    author, reason = _texts(author, reason)
    if points > what.possible:
        name = what.criterion or what.task
        raise UsageError(f"{name} has {shown(what.possible)} points: {shown(points)} are too many")
    if what.criterion and (whole := _live(book, what.candidate, what.task, "")):
        raise UsageError(
            f"task {what.task} is overridden as a whole (number {whole['id']}): withdraw that first, or"
            f" override {what.task}"
        )
    before = _live(book, what.candidate, what.task, what.criterion)
    if before:
        _withdraw(book, before["id"], author)
    number = int(
        book.database.execute(
            "INSERT INTO override (candidate, task, criterion, points, author, reason, at, based_on,"
            " fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                *(what.candidate, what.task, what.criterion, points, author, reason, now(), what.result),
                fingerprint,
            ),
        ).fetchone()[0]
    )
    book.database.execute(
        "INSERT INTO override_basis SELECT ?, criterion, basis FROM criterion"
        " WHERE result = ? AND task = ? AND ? IN ('', criterion)",
        (number, what.result, what.task, what.criterion),
    )
    book.record(
        "override",
        who=author,
        candidate=what.candidate,
        override=number,
        target=what.criterion or what.task,
        before=shown(what.points),
        points=shown(points),
        reason=reason,
        **({"replaces": before["id"]} if before else {}),
        **({"group": fingerprint} if fingerprint else {}),
    )
    return number


def group(book: Gradebook, criterion: str, fingerprint: str, points: int) -> Group:
    """Everybody who lost a criterion in one way, in the results that count.

    Raises:
        UsageError: nobody did.
    """
    rows = book.rows(
        "SELECT row.candidate, row.task, row.criterion, row.result, row.points, row.possible, row.override,"
        " override.fingerprint AS of_group, EXISTS (SELECT 1 FROM live_override AS whole"
        " WHERE whole.candidate = row.candidate AND whole.task = row.task AND whole.criterion = '') AS whole"
        " FROM criterion_mark AS row LEFT JOIN override ON override.id = row.override"
        " WHERE row.criterion = ? AND row.fingerprint = ? ORDER BY row.candidate",
        *(criterion, fingerprint),
    )
    if not rows or not fingerprint:
        raise UsageError(f"nobody lost {one_line(criterion)} in that way")
    kept = [row for row in rows if row["whole"] or (row["override"] and row["of_group"] != fingerprint)]
    done = [row for row in rows if row not in kept and row["override"] and row["points"] == points]
    fields = Target.__dataclass_fields__
    return Group(
        criterion=criterion,
        fingerprint=fingerprint,
        targets=tuple(
            Target(**{name: row[name] for name in fields})
            for row in rows
            if row not in kept and row not in done
        ),
        kept=tuple(row["candidate"] for row in kept),
        done=tuple(row["candidate"] for row in done),
    )


def fingerprint_of(book: Gradebook, candidate: int, criterion: str) -> str:
    """How a candidate lost a criterion.

    Raises:
        UsageError: it was not lost, or there is none.
    """
    found = book.rows(
        "SELECT fingerprint FROM criterion_mark WHERE candidate = ? AND criterion = ?", candidate, criterion
    )
    if not found:
        target(book, candidate, criterion)
        raise UsageError(f"{one_line(criterion)} is a whole task: name one of its criteria")
    if not found[0]["fingerprint"]:
        raise UsageError(f"nothing of {one_line(criterion)} was lost there: nobody lost it in the same way")
    return str(found[0]["fingerprint"])


def withdraw(book: Gradebook, number: int, *, author: str, reason: str = "") -> None:
    """Let an override count no more; within a transaction.

    Raises:
        UsageError: there is none of that number, or it does not count any more.
    """
    author, _ = _texts(author, reason or "-")
    found = book.rows("SELECT * FROM override WHERE id = ?", number)
    if not found:
        raise UsageError(f"there is no override {number}: `grader gradebook history` shows them")
    if found[0]["withdrawn_at"]:
        raise UsageError(f"override {number} was withdrawn before, by {one_line(found[0]['withdrawn_by'])}")
    _withdraw(book, number, author)
    book.record(
        "withdraw",
        who=author,
        candidate=found[0]["candidate"],
        override=number,
        target=found[0]["criterion"] or found[0]["task"],
        **({"reason": reason.strip()} if reason.strip() else {}),
    )


def same_group(book: Gradebook, numbers: Sequence[int]) -> list[int]:
    """These overrides and all that were made for the same groups and still count."""
    found = set(numbers)
    for number in numbers:
        found |= {
            row["id"]
            for row in book.rows(
                "SELECT other.id FROM override AS own JOIN live_override AS other"
                " ON other.criterion = own.criterion AND other.fingerprint = own.fingerprint"
                " WHERE own.id = ? AND own.fingerprint <> ''",
                number,
            )
        }
    return sorted(found)


def flag(book: Gradebook, candidate: int, *, author: str, reason: str) -> int:
    """Say that somebody should look again; within a transaction. The number of the flag.

    Raises:
        UsageError: nobody says why.
    """
    author, reason = _texts(author, reason)
    number = int(
        book.database.execute(
            "INSERT INTO flag (candidate, author, reason, at) VALUES (?, ?, ?, ?) RETURNING id",
            (candidate, author, reason, now()),
        ).fetchone()[0]
    )
    book.record("flag", who=author, candidate=candidate, flag=number, reason=reason)
    return number


def settle(book: Gradebook, number: int, *, author: str, reason: str = "") -> None:
    """Say that a flag is done; within a transaction.

    Raises:
        UsageError: there is none of that number, or it is done.
    """
    author, _ = _texts(author, reason or "-")
    found = book.rows("SELECT * FROM flag WHERE id = ?", number)
    if not found:
        raise UsageError(f"there is no flag {number}: `grader gradebook history` shows them")
    if found[0]["done_at"]:
        raise UsageError(f"flag {number} was done before, by {one_line(found[0]['done_by'])}")
    book.database.execute("UPDATE flag SET done_at = ?, done_by = ? WHERE id = ?", (now(), author, number))
    book.record(
        "flag done",
        who=author,
        candidate=found[0]["candidate"],
        flag=number,
        **({"reason": reason.strip()} if reason.strip() else {}),
    )


def _live(book: Gradebook, candidate: int, task: str, criterion: str) -> sqlite3.Row | None:
    found = book.rows(
        "SELECT * FROM live_override WHERE candidate = ? AND task = ? AND criterion = ?",
        *(candidate, task, criterion),
    )
    return found[0] if found else None


def _withdraw(book: Gradebook, number: int, author: str) -> None:
    book.database.execute(
        "UPDATE override SET withdrawn_at = ?, withdrawn_by = ? WHERE id = ?", (now(), author, number)
    )


def _texts(author: str, reason: str) -> tuple[str, str]:
    author, reason = _storable(author), _storable(reason)
    if not author:
        raise UsageError("say who decides this, by --author")
    if not reason:
        raise UsageError("say why, by --reason: candidates and colleagues will ask")
    if len(reason) > MAX_TEXT:
        raise UsageError(f"the reason is longer than {MAX_TEXT} characters")
    return author, reason


def _storable(text: str) -> str:
    """Text as a database takes it: an argument may hold bytes that are no text."""
    return text.encode(errors="replace").decode().replace("\0", "").strip()
