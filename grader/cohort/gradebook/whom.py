"""Whom a user means: by key, number, e-mail, identity, name or a part of it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from grader.cohort.gradebook.anonymous import Names, number_of
from grader.cohort.sources.model import folded
from grader.errors import UsageError
from grader.report.safe import few, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.cohort.gradebook.store import Gradebook

MAX_NAMED = 5


def whom(book: Gradebook, word: str, *, anonymous: bool = False) -> int:
    """The candidate whom a word names; the surest way to name somebody comes first.

    Raises:
        UsageError: it names nobody, or several.
    """
    names = Names(book, anonymous=anonymous)
    said = folded(word)
    for found in _readings(book, word, said):
        if len(found) == 1:
            return found.pop()
        if found:
            told = sorted(names.full(each) for each in found)
            raise UsageError(
                f"{one_line(word)!r} may be any of {len(told)}: {few(told, MAX_NAMED)}; name one by the key"
            )
    raise UsageError(f"there is no candidate {one_line(word)!r}{_near(book, said, anonymous=anonymous)}")


def _readings(book: Gradebook, word: str, said: str) -> Iterator[set[int]]:
    people = book.rows("SELECT * FROM candidate")
    if not said:
        return

    def those(matches: Callable[[dict[str, str]], bool]) -> set[int]:
        return {row["id"] for row in people if matches({key: str(value) for key, value in dict(row).items()})}

    yield those(lambda row: row["key"] == word)
    if (number := number_of(word)) is not None:
        yield those(lambda row: row["number"] == str(number))
    yield those(lambda row: row["key"].casefold() == said)
    yield those(lambda row: row["email"].casefold() == said)
    yield {
        row["candidate"]
        for row in book.rows("SELECT candidate, value FROM identity")
        if row["value"].casefold() == said
    }
    yield those(lambda row: folded(row["name"]) == said)
    yield those(
        lambda row: said in folded(row["name"]) or said in row["key"].casefold() or _has_words(row, said)
    )


def _has_words(row: dict[str, str], said: str) -> bool:
    """Whether all words are in the name, in whatever order."""
    return bool(row["name"]) and set(said.split()) <= set(folded(row["name"]).replace(",", " ").split())


def _near(book: Gradebook, said: str, *, anonymous: bool) -> str:
    if anonymous:
        return ""
    known: dict[str, str] = {}
    for row in book.rows("SELECT key, name FROM candidate"):
        known |= {each.casefold(): each for each in (row["key"], row["name"]) if each}
    near = difflib.get_close_matches(said, known, n=1, cutoff=0.6)
    return f"; did you mean {one_line(known[near[0]])!r}?" if near else ""
