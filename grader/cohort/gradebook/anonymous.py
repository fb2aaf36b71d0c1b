"""Numbers instead of names: for whoever should not know whose work it is.

A number was drawn at random when its candidate was first met, and stays.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.cohort.gradebook.store import Gradebook

PREFIX = "candidate-"
MIN_HIDDEN = 3
"""Characters of a name below which it is too much like any other word."""
HIDDEN = f"{PREFIX}\N{HORIZONTAL ELLIPSIS}"
"""Of a name that is found in letters of which no two sizes agree."""
LONGEST = 60


def pseudonym(number: int) -> str:
    """What stands for somebody in anonymous mode: `candidate-004217`."""
    return f"{PREFIX}{number:06}"


def number_of(word: str) -> int | None:
    """The number in a pseudonym; None if it is none."""
    found = re.fullmatch(rf"{PREFIX}(\d{{1,9}})", word.strip(), re.ASCII)
    return int(found[1]) if found else None


class Names:
    """What a gradebook's candidates are called. All that it returns is safe to be shown, on one line."""

    def __init__(self, book: Gradebook, *, anonymous: bool = False) -> None:
        """Candidates who are met later are not in it."""
        self.anonymous = anonymous
        self._people = {row["id"]: row for row in book.rows("SELECT * FROM candidate")}
        self._identities = book.rows("SELECT candidate, value FROM identity") if anonymous else []

    def of(self, candidate: int) -> str:
        """A candidate's name, or the key where there is none."""
        row = self._people[candidate]
        if self.anonymous:
            return pseudonym(row["number"])
        return one_line(row["name"], longest=LONGEST) or self.key(candidate)

    def key(self, candidate: int) -> str:
        """A candidate's key."""
        row = self._people[candidate]
        return pseudonym(row["number"]) if self.anonymous else one_line(row["key"], longest=LONGEST)

    def full(self, candidate: int) -> str:
        """Both, where they differ: two people may have one name."""
        name, key = self.of(candidate), self.key(candidate)
        return name if name == key else f"{name} ({key})"

    def order(self, candidate: int) -> tuple[str, str]:
        """By name; in anonymous mode by number, which says nothing of the name."""
        return self.of(candidate).casefold(), self.key(candidate)

    def text(self, text: str, *, longest: int = 300, parts: bool = True) -> str:
        """A text without anybody's names in it, if that is wanted.

        Args:
            parts: nor with single words of names, as they are spelt there; what is written for all may have
                words in it that are somebody's name.
        """
        if self.anonymous:
            text = self._whole(text[: 20 * longest])
            text = self._parts(text) if parts else text
        return one_line(text, longest=longest)

    @cached_property
    def _whole(self) -> Callable[[str], str]:
        words = {
            str(row[column]).lower(): row["number"]
            for row in self._people.values()
            for column in ("key", "name", "email")
        }
        words |= {row["value"].lower(): self._people[row["candidate"]]["number"] for row in self._identities}
        return _hider(words, re.IGNORECASE)

    @cached_property
    def _parts(self) -> Callable[[str], str]:
        words = {
            word: row["number"] for row in self._people.values() for word in re.split(r"[\W_]+", row["name"])
        }
        return _hider(words, 0)


def _hider(words: Mapping[str, int], flags: int) -> Callable[[str], str]:
    """Puts pseudonyms in the place of words, the longest first."""
    known = {word: pseudonym(number) for word, number in words.items() if len(word.strip()) >= MIN_HIDDEN}
    if not known:
        return lambda text: text
    longest_first = sorted(known, key=len, reverse=True)
    pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, longest_first))})(?![^\W_])", flags)

    def put(match: re.Match[str]) -> str:
        return known.get(match[0].lower() if flags else match[0], HIDDEN)

    return lambda text: pattern.sub(put, text)
