"""Where each candidate stands: the mark, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

    from grader.cohort.gradebook.store import Gradebook

State = Literal["graded", "open", "ungraded", "unreadable", "missing"]
"""`open`: graded, but for criteria that are undecided. `missing`: nothing was handed in."""
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One candidate. Points are twentieths, and None without a mark; texts are as candidates wrote them."""

    candidate: int
    key: str
    name: str
    email: str
    section: str
    number: int
    state: State
    reason: str
    """Why there is no mark, or what was handed in later and does not count yet."""
    submission: int | None = None
    """The one that counts; without a mark None."""
    result: int | None = None
    submitted_at: str | None = None
    late: bool | None = None
    points: int | None = None
    highest: int | None = None
    """What the mark can still become."""
    possible: int | None = None
    pass_mark: int | None = None
    passed: bool | None = None
    """None also where it depends on what is undecided."""
    overrides: int = 0
    stale: int = 0
    """Of the overrides: based on what has changed."""
    flags: int = 0
    """That are open."""


ONLY: Mapping[str, Callable[[Standing], bool]] = {
    "graded": lambda row: row.state == "graded",
    "open": lambda row: row.state == "open",
    "ungraded": lambda row: row.state == "ungraded",
    "unreadable": lambda row: row.state == "unreadable",
    "missing": lambda row: row.state == "missing",
    "passed": lambda row: row.passed is True,
    "failed": lambda row: row.passed is False,
    "undecided": lambda row: row.points is not None and row.passed is None,
    "late": lambda row: row.late is True,
    "overridden": lambda row: row.overrides > 0,
    "stale": lambda row: row.stale > 0,
    "flagged": lambda row: row.flags > 0,
}
"""By what candidates are selected."""


def standings(book: Gradebook) -> list[Standing]:
    """Everybody, by key; all of one moment."""
    with book.snapshot():
        people = book.rows("SELECT * FROM candidate ORDER BY key")
        marks = {row["candidate"]: row for row in book.rows("SELECT * FROM mark")}
        handed_in: dict[int, list[sqlite3.Row]] = {}
        for row in book.rows(
            "SELECT submission.*, EXISTS (SELECT 1 FROM graded WHERE graded.submission = submission.id)"
            " AS graded, (SELECT reason FROM job WHERE job.submission = submission.digest"
            " AND job.state = 'died' ORDER BY job.id DESC LIMIT 1) AS gave_up FROM submission"
            " ORDER BY coalesce(submitted_at, found_at) DESC, id DESC"
        ):
            handed_in.setdefault(row["candidate"], []).append(row)
        overrides = _counts(book.rows("SELECT candidate FROM live_override"))
        stale = _counts(book.rows("SELECT candidate FROM stale_override"))
        flags = _counts(book.rows("SELECT candidate FROM flag WHERE done_at IS NULL"))
    return [
        replace(
            _standing(row, marks.get(row["id"]), handed_in.get(row["id"], [])),
            overrides=overrides.get(row["id"], 0),
            stale=stale.get(row["id"], 0),
            flags=flags.get(row["id"], 0),
        )
        for row in people
    ]


def _standing(person: sqlite3.Row, mark: sqlite3.Row | None, handed_in: list[sqlite3.Row]) -> Standing:
    known = {name: person[name] for name in ("key", "name", "email", "section", "number")}
    if mark is None:
        state, reason = _without(handed_in)
        return Standing(candidate=person["id"], **known, state=state, reason=reason)
    own = next(row for row in handed_in if row["id"] == mark["submission"])
    newer = [row for row in handed_in[: handed_in.index(own)] if not row["graded"]]
    return Standing(
        candidate=person["id"],
        **known,
        state="graded" if mark["complete"] else "open",
        reason=f"a newer submission {_why(newer[0])}" if newer else "",
        **{name: mark[name] for name in ("submission", "result", "points", "highest", "possible")},
        pass_mark=mark["pass_mark"],
        passed=None if mark["passed"] is None else bool(mark["passed"]),
        submitted_at=own["submitted_at"],
        late=None if own["late"] is None else bool(own["late"]),
    )


def _without(handed_in: list[sqlite3.Row]) -> tuple[State, str]:
    if not handed_in:
        return "missing", "nothing was handed in"
    gradable = [row for row in handed_in if not row["unreadable"] or row["retry"]]
    if gradable:
        return "ungraded", _why(gradable[0])
    return "unreadable", _why(handed_in[0])


def _why(row: sqlite3.Row) -> str:
    if row["unreadable"]:
        return f"cannot be read: {row['unreadable']}"
    return f"was given up: {row['gave_up']}" if row["gave_up"] is not None else "is not graded yet"


def _counts(rows: Iterable[sqlite3.Row]) -> dict[int, int]:
    found: dict[int, int] = {}
    for row in rows:
        found[row["candidate"]] = found.get(row["candidate"], 0) + 1
    return found
