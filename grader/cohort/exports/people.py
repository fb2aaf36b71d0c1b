"""A roster read into a gradebook: who the people are that submissions were found of."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.cohort.exports import canvas, moodle
from grader.cohort.exports.delimited import read_table
from grader.cohort.gradebook.people import record_person
from grader.cohort.sources.canvas import SYSTEM as CANVAS
from grader.cohort.sources.model import Person
from grader.cohort.sources.moodle import SYSTEM as MOODLE
from grader.cohort.sources.roster import read_roster
from grader.errors import UsageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from grader.cohort.exports.delimited import Table
    from grader.cohort.exports.round_trip import Sheet
    from grader.cohort.gradebook import Gradebook

ROSTER = "roster"
"""The system whose identity is a roster's key, of somebody whom the gradebook knows by another."""
_TABLES = (".csv", ".tsv", ".txt")
Words = tuple[str, ...]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Who of a roster is who of a gradebook."""

    known: tuple[tuple[Person, int], ...]
    """Person and candidate, by key, e-mail or an identity."""
    by_name: tuple[tuple[Person, int], ...]
    """The same, where only names agree and nobody else has that name."""
    new: tuple[Person, ...]
    unclear: tuple[Person, ...]
    """Who may be several, or who has an identity that contradicts."""
    left: tuple[int, ...]
    """Candidates whom the roster does not have."""


def read_people(path: Path) -> tuple[Person, ...]:
    """The people of a roster, of Moodle's grading worksheet or of Canvas's gradebook.

    Raises:
        UsageError: it is none of these.
    """
    if path.suffix.lower() in _TABLES:
        with contextlib.suppress(UsageError):  # whatever is no platform's table may be a roster
            table = read_table(path)
            if canvas.is_gradebook(table):
                return tuple(_of_canvas(table))
            return tuple(_of_worksheet(table, moodle.read_worksheet(table)))
    people = {row.person.key: row.person for row in read_roster(path, deadline=None)}
    return tuple(people.values())


def _of_worksheet(table: Table, sheet: Sheet) -> Iterable[Person]:
    has_names = moodle.has_names(table, sheet)
    for row in sheet.rows:
        email = next((value for system, value in row.identities if system == "email"), "")
        yield Person(
            key=row.number,
            name=row.name.strip() if has_names else "",
            email=email,
            identities=((MOODLE, row.number),),
        )


def _of_canvas(table: Table) -> Iterable[Person]:
    at = {title: number for number, title in reversed(list(enumerate(table.columns)))}
    for record in table.records:
        number, name = record[at[canvas.ID]].strip(), record[at[canvas.NAME]].strip()
        if not number or name == canvas.TEST_STUDENT:
            continue
        last, comma, first = name.partition(", ")
        login = record[at[canvas.LOGIN]].strip() if canvas.LOGIN in at else ""
        yield Person(
            key=number,
            name=f"{first} {last}" if comma else name,
            email=login if "@" in login else "",
            section=record[at["Section"]].strip(),
            identities=((CANVAS, number),),
        )


def merge(book: Gradebook, people: Sequence[Person]) -> Merge:
    """Find everybody of a roster in a gradebook; nothing is changed.

    Raises:
        UsageError: two of the roster are one of the gradebook.
    """
    candidates = {row["id"]: row for row in book.rows("SELECT * FROM candidate")}
    own: dict[int, dict[str, str]] = {}
    by_mark: dict[tuple[str, str], set[int]] = {}
    for row in book.rows("SELECT * FROM identity"):
        own.setdefault(row["candidate"], {})[row["system"]] = row["value"]
        by_mark.setdefault((row["system"], row["value"]), set()).add(row["candidate"])
    for id_, row in candidates.items():
        by_mark.setdefault(("key", row["key"]), set()).add(id_)
        if row["email"]:
            by_mark.setdefault(("email", row["email"].casefold()), set()).add(id_)
    known: list[tuple[Person, int]] = []
    unclear: list[Person] = []
    others: list[Person] = []
    for person in people:
        found = {each for mark in _marks(person) for each in by_mark.get(mark, ())}
        if len(found) > 1 or any(_contradict(person, own.get(each, {})) for each in found):
            unclear.append(person)
        elif found:
            known.append((person, found.pop()))
        else:
            others.append(person)
    by_name, new = _by_name(others, candidates.values(), {each for _, each in known}, own)
    taken = Counter(each for _, each in (*known, *by_name))
    twice = next((each for each, times in taken.items() if times > 1), None)
    if twice is not None:
        keys = " and ".join(person.key for person, each in (*known, *by_name) if each == twice)
        raise UsageError(f"{keys} of the roster are both {candidates[twice]['key']} of the gradebook")
    return Merge(
        known=tuple(known),
        by_name=tuple(by_name),
        new=tuple(new),
        unclear=tuple(unclear),
        left=tuple(each for each in candidates if each not in taken),
    )


def _marks(person: Person) -> list[tuple[str, str]]:
    marks = [("key", person.key), (ROSTER, person.key), *person.identities]
    return [*marks, ("email", person.email.casefold())] if person.email else marks


def _contradict(person: Person, own: Mapping[str, str]) -> bool:
    """Whether a system calls them by two names."""
    return any(own.get(system, value) != value for system, value in person.identities)


def _by_name(
    people: Sequence[Person],
    candidates: Iterable[sqlite3.Row],
    taken: set[int],
    own: Mapping[int, Mapping[str, str]],
) -> tuple[list[tuple[Person, int]], list[Person]]:
    """Who has the same name, or a key like it (`jane-doe`), as nobody else; and who has not."""
    free: dict[Words, set[int]] = {}
    for row in candidates:
        for words in {_words(row["name"]), _words(row["key"])} - {()}:
            free.setdefault(words, set()).add(row["id"])
    times = Counter(_words(person.name) for person in people)
    found: list[tuple[Person, int]] = []
    new: list[Person] = []
    for person in people:
        words = _words(person.name)
        same = free.get(words, set()) if words and times[words] == 1 else set()
        candidate = next(iter(same)) if len(same) == 1 else None
        if candidate is None or candidate in taken or _contradict(person, own.get(candidate, {})):
            new.append(person)
        else:
            found.append((person, candidate))
    return found, new


def _words(name: str) -> Words:
    """`Jane Doe`, `Doe, Jane` and `jane-doe` are the same."""
    return tuple(sorted(_WORD.findall(unicodedata.normalize("NFKC", name).casefold().replace("_", " "))))


def apply(book: Gradebook, found: Merge, *, who: str, source: str) -> None:
    """Take over what the roster knows, within a transaction: of somebody known the key stays."""
    keys = {row["id"]: row["key"] for row in book.rows("SELECT id, key FROM candidate")}
    for person, candidate in (*found.known, *found.by_name):
        key = keys[candidate]
        more = ((ROSTER, person.key),) if person.key != key else ()
        record_person(book, replace(person, key=key, identities=(*person.identities, *more)))
    for person in found.new:
        record_person(book, person)
    book.record(
        "import",
        who=who,
        source=source,
        known=len(found.known) + len(found.by_name),
        new=len(found.new),
    )
