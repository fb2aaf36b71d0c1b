"""A platform's own file filled in: one column is written, whoever cannot be matched is named."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from grader.cohort.exports.delimited import shown
from grader.cohort.points import TWENTIETHS
from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from grader.cohort.exports.delimited import Cell, Record, Table
    from grader.cohort.exports.marks import Candidate, Marks

DECIMALS = Decimal("0.00001")
"""As Moodle keeps them: finer than any step of a mark, so that rounding passes nobody."""
BLANK = ("", "-", "\N{EN DASH}")
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:[.,]\d{1,12})?")
Identity = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A person's row."""

    record: Record
    identities: tuple[Identity, ...]
    """What tells whose row it is, the surest first; `email` and `key` are the gradebook's own."""
    number: str
    """The platform's, of the person."""
    name: str
    is_nobody: bool = False
    """Such as Canvas's test student: not missed."""

    def who(self, *, anonymous: bool) -> str:
        """What messages call it."""
        return self.number if anonymous or not self.name else f"{shown(self.name)} ({self.number})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a platform's file turned out to be."""

    table: Table
    system: str
    """Whose identities tell who it is; who has one of these is known by nothing else."""
    column: int
    """Of the mark."""
    maximum: Fraction
    rows: tuple[Row, ...]
    capped: bool
    """Whether the platform refuses marks above the maximum."""


@dataclass(slots=True, kw_only=True)
class Filled:
    """The file filled in, and what is to be said of it. People are as messages call them."""

    data: bytes = b""
    column: str
    maximum: Fraction
    full: Fraction
    """The points that are worth the maximum."""
    new: int = 0
    changed: int = 0
    same: int = 0
    zero: int = 0
    """Rows of people that the gradebook does not know, and that were empty."""
    capped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """Rows with something that is no number, or with a mark where the gradebook has only a 0 for nothing."""
    no_mark: list[str] = field(default_factory=list)
    """Matched, but the gradebook has no mark to hand out."""
    unknown_rows: list[str] = field(default_factory=list)
    """Of the file, not in the gradebook."""
    unknown_people: list[str] = field(default_factory=list)
    """With a mark in the gradebook, but not in the file."""
    ambiguous: list[str] = field(default_factory=list)
    """Rows that are several people's, or of which several are one person's."""


def number(text: str) -> Fraction | None:
    """A number with a decimal point or comma."""
    text = text.strip().replace("\u00a0", "")
    return Fraction(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def find_column(columns: Sequence[str], wanted: str, name: str) -> int:
    """The column that a user named, in whatever case.

    Raises:
        UsageError: there is none, or several.
    """
    found = [at for at, column in enumerate(columns) if column.casefold() == wanted.strip().casefold()]
    if len(found) != 1:
        has = ", ".join(shown(column) for column in columns[:20])
        raise UsageError(
            f"{name} has {'no' if not found else len(found)} column {shown(wanted)!r}; it has {has}"
        )
    return found[0]


def fill(sheet: Sheet, marks: Marks, *, full: Fraction | None = None, zero: bool = False) -> Filled:
    """Write the marks into the file's column; nothing is erased, and no other byte changes.

    Args:
        full: the points that are worth the platform's maximum; else those without bonus, unless the maximum
            is just what can be earned with it.
        zero: people of the file of whom the gradebook knows nothing get a 0 where there is nothing yet; only
            if everybody of the gradebook was found, since else they may be the same.
    """
    full = full or _full(sheet, marks)
    matched, ambiguous = _match(sheet, marks.candidates)
    filled = Filled(
        column=sheet.table.columns[sheet.column],
        maximum=sheet.maximum,
        full=full,
        ambiguous=[row.who(anonymous=marks.anonymous) for row in ambiguous],
    )
    changes: dict[Cell, str] = {}
    comma = _has_decimal_comma(sheet)
    met = {each.id for each in matched.values()}
    filled.unknown_people.extend(
        each.who for each in marks.candidates if each.id not in met and each.state != "missing"
    )
    zero = zero and not filled.unknown_people and not ambiguous
    for at, row in enumerate(sheet.rows):
        cell = row.record.cells[sheet.column]
        candidate = matched.get(at)
        who = row.who(anonymous=marks.anonymous)
        if candidate is None:
            if row in ambiguous or row.is_nobody:
                continue
            if zero and cell.value.strip() in BLANK:
                changes[cell] = "0"
                filled.zero += 1
            else:
                filled.unknown_rows.append(who)
            continue
        if candidate.points is None:
            filled.no_mark.append(f"{who} ({candidate.state})")
            continue
        mark = Fraction(candidate.points, TWENTIETHS) * sheet.maximum / full
        if sheet.capped and mark > sheet.maximum:
            mark = sheet.maximum
            filled.capped.append(who)
        before = number(cell.value)
        text = decimal(mark, comma=comma)
        if candidate.result is None and before is not None and before != mark:
            filled.left.append(f"{who} ({shown(cell.value)}, nothing to grade)")
        elif before is None and cell.value.strip() not in BLANK:
            filled.left.append(f"{who} ({shown(cell.value)})")
        elif before is not None and decimal(before, comma=comma) == text:
            filled.same += 1
        else:
            changes[cell] = text
            filled.new += before is None
            filled.changed += before is not None
    filled.data = sheet.table.written(changes)
    return filled


def _full(sheet: Sheet, marks: Marks) -> Fraction:
    exams = {(each.full, each.possible) for each in marks.candidates if each.possible}
    if len(exams) > 1:
        told = " and ".join(f"{decimal(Fraction(full, TWENTIETHS))}" for full, _ in sorted(exams))
        raise UsageError(
            f"marks are of different exams, with {told} points: grade all by one, or say by --full which"
            " points are worth the maximum grade"
        )
    if not exams:
        raise UsageError("nobody in the gradebook has a mark")
    full, possible = (Fraction(points, TWENTIETHS) for points in exams.pop())
    return possible if sheet.maximum == possible or not full else full


def _match(sheet: Sheet, candidates: Iterable[Candidate]) -> tuple[dict[int, Candidate], list[Row]]:
    """Whose each row is, by the row's position; and the rows of which it cannot be said."""
    by_identity: dict[Identity, list[Candidate]] = {}
    for candidate in candidates:
        for identity in _identities(candidate, sheet.system):
            by_identity.setdefault(identity, []).append(candidate)
    found: dict[int, Candidate] = {}
    doubtful: set[int] = set()
    for at, row in enumerate(sheet.rows):
        several = next((by_identity[each] for each in row.identities if each in by_identity), [])
        if len(several) == 1:
            found[at] = several[0]
        elif several:
            doubtful.add(at)
    times = Counter(each.id for each in found.values())
    doubtful |= {at for at, candidate in found.items() if times[candidate.id] > 1}
    return (
        {at: candidate for at, candidate in found.items() if at not in doubtful},
        [row for at, row in enumerate(sheet.rows) if at in doubtful],
    )


def _identities(candidate: Candidate, system: str) -> list[Identity]:
    """One that the platform gave is trusted alone: a key may look like another's number."""
    own = [identity for identity in candidate.identities if identity[0] == system]
    return own or [identity for identity in candidate.identities if identity[0] in ("email", "key")]


def decimal(value: Fraction, *, comma: bool = False) -> str:
    """A number as platforms read it: `85`, `92.75`, or `92,75`."""
    exact = (Decimal(value.numerator) / Decimal(value.denominator)).quantize(DECIMALS, ROUND_HALF_EVEN)
    text = f"{exact:f}".rstrip("0").rstrip(".") or "0"
    return text.replace(".", ",") if comma else text


def _has_decimal_comma(sheet: Sheet) -> bool:
    """As the numbers in the file are written, first of all in our column."""
    columns = [sheet.column, *range(len(sheet.table.columns))]
    for column in columns:
        for record in sheet.table.records:
            if (text := record[column].strip()) and number(text) is not None and re.search(r"[.,]", text):
                return "," in text
    return False
