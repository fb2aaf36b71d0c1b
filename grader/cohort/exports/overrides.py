"""Decisions of examiners out of a table: a row for each criterion or task of a candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.cohort.exports.delimited import read_table, shown
from grader.cohort.gradebook.anonymous import pseudonym
from grader.cohort.gradebook.decisions import override, target, twentieths_of
from grader.cohort.gradebook.whom import whom
from grader.cohort.sources.model import folded
from grader.errors import UsageError
from grader.report.safe import one_line
from grader.report.spreadsheet import FORMULA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.decisions import Target

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "key": ("key", "candidate", "who", "id", "login", "email", "e-mail"),
    "task": ("task",),
    "criterion": ("criterion",),
    "points": ("points",),
    "reason": ("reason",),
    "author": ("author",),
}
"""What a column may be called."""
MAX_COMPLAINTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row."""

    where: str
    key: str
    what: str
    """A criterion, or a whole task."""
    points: int
    """In twentieths."""
    reason: str
    author: str
    """Empty: whoever reads the table in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of a row."""

    target: Target
    points: int
    same: bool
    """It was so already, with the same reason."""


def read_overrides(path: Path) -> tuple[Line, ...]:
    """Read a table of overrides.

    Raises:
        UsageError: it cannot be read, a column is missing, or a row says nothing or too much.
    """
    table = read_table(path)
    titles = [title.casefold() for title in table.columns]
    at = {
        name: next((titles.index(each) for each in aliases if each in titles), -1)
        for name, aliases in COLUMNS.items()
    }
    missing = [name for name in ("key", "points", "reason") if at[name] < 0]
    if at["criterion"] < 0 and at["task"] < 0:
        missing.append("criterion (or task)")
    if missing:
        has = ", ".join(map(shown, table.columns[:8]))
        raise UsageError(f"{path} has no column {' and no column '.join(missing)} (it has: {has})")
    found: dict[tuple[str, str], Line] = {}
    complaints = []
    for record in table.records:
        cells = {name: _text(record[column]) if column >= 0 else "" for name, column in at.items()}
        if not any(cells.values()):
            continue
        where = f"{path}:{record.line}"
        what = cells["criterion"] or cells["task"]
        empty = [name for name in ("key", "points", "reason") if not cells[name]] + ["criterion"] * (not what)
        try:
            if empty:
                raise UsageError(f"the {' and the '.join(empty)} is missing")
            line = Line(
                where=where,
                key=cells["key"],
                what=what,
                points=twentieths_of(cells["points"].replace(",", ".")),
                reason=cells["reason"],
                author=cells["author"],
            )
        except UsageError as error:
            complaints.append(f"{where}: {error}")
            continue
        other = found.setdefault((line.key.casefold(), line.what), line)
        if other is not line:
            complaints.append(
                f"{where}: {line.what} of {shown(line.key)} is decided in {other.where} already"
            )
    _complain(complaints)
    return tuple(found.values())


def decide(book: Gradebook, lines: tuple[Line, ...], *, author: str) -> list[Decided]:
    """Make the overrides, within a transaction that is undone on a complaint.

    Raises:
        UsageError: a row names nobody or nothing, or has more points than there are; it names all such rows.
    """
    decided = []
    complaints = []
    for line in lines:
        try:
            what = target(book, _candidate(book, line.key), line.what)
            same = _is_so(book, what, line)
            if not same:
                override(book, what, line.points, author=line.author or author, reason=line.reason)
            decided.append(Decided(target=what, points=line.points, same=same))
        except UsageError as error:
            complaints.append(f"{line.where}: {error}")
    _complain(complaints)
    return decided


def _candidate(book: Gradebook, word: str) -> int:
    """Whom a row means: a part of a name is too little where nobody looks at each."""
    found = whom(book, word)
    row = book.rows("SELECT key, name, email, number FROM candidate WHERE id = ?", found)[0]
    known = {folded(row["key"]), folded(row["name"]), folded(row["email"]), pseudonym(row["number"])}
    known |= {
        folded(each["value"]) for each in book.rows("SELECT value FROM identity WHERE candidate = ?", found)
    }
    if folded(word) not in known:
        raise UsageError(f"there is no candidate {one_line(word)!r}; did you mean {one_line(row['key'])!r}?")
    return found


def _is_so(book: Gradebook, what: Target, line: Line) -> bool:
    return any(
        (row["points"], row["reason"]) == (line.points, line.reason.strip())
        for row in book.rows(
            "SELECT points, reason FROM live_override WHERE candidate = ? AND task = ? AND criterion = ?",
            *(what.candidate, what.task, what.criterion),
        )
    )


def _text(cell: str) -> str:
    """Without what an export puts before a text that a spreadsheet would run."""
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _complain(complaints: list[str]) -> None:
    if complaints:
        more = len(complaints) - MAX_COMPLAINTS
        told = complaints[:MAX_COMPLAINTS] + ([f"and {more} more"] if more > 0 else [])
        raise UsageError("; ".join(told))
