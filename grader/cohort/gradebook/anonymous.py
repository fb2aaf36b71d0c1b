"""Numbers instead of names: for whoever should not know whose work it is.

A number was drawn at random when its candidate was first met, and stays.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from grader.cohort.gradebook.store import Gradebook

PREFIX = "candidate-"
MIN_HIDDEN = 3
"""Characters of a name below which it is too much like any other word."""
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
        self._patterns: dict[int, re.Pattern[str]] = {}
        self._identities = book.rows("SELECT candidate, value FROM identity") if anonymous else []

    @property
    def candidates(self) -> Collection[int]:
        """Everybody, by the gradebook's own numbers."""
        return self._people.keys()

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

    def apart(self, candidates: Iterable[int]) -> dict[int, str]:
        """What to call some of them side by side: by name, and by key too where two have one name."""
        called = {each: self.of(each) for each in candidates}
        times = Counter(called.values())
        return {each: self.full(each) if times[name] > 1 else name for each, name in called.items()}

    def order(self, candidate: int) -> tuple[str, str]:
        """By name; in anonymous mode by number, which says nothing of the name."""
        return self.of(candidate).casefold(), self.key(candidate)

    def text(self, text: str, *, longest: int = 300) -> str:
        """A text without anybody's names in it, if that is wanted.

        It cannot hide what is written in another way, such as half of a name.
        """
        if self.anonymous:
            text = self._words.sub(lambda match: self._hidden[match[0].casefold()], text[: 20 * longest])
        return one_line(text, longest=longest)

    def without(self, text: str, whose: Iterable[int]) -> str:
        """A text of any length, lines kept and not yet safe to be shown, without the names of some people.

        Only of these: of a whole document, that is quick also in a large cohort.
        """
        if not self.anonymous:
            return text
        for candidate in whose:
            text = self._own(candidate).sub(pseudonym(self._people[candidate]["number"]), text)
        return text

    def _own(self, candidate: int) -> re.Pattern[str]:
        if candidate not in self._patterns:
            row = self._people[candidate]
            words = [str(row[column]) for column in ("key", "name", "email")]
            words += [each["value"] for each in self._identities if each["candidate"] == candidate]
            self._patterns[candidate] = _pattern(words)
        return self._patterns[candidate]

    @cached_property
    def _hidden(self) -> dict[str, str]:
        words = [
            (str(row[column]), row["number"])
            for row in self._people.values()
            for column in ("key", "name", "email")
        ]
        words += [(row["value"], self._people[row["candidate"]]["number"]) for row in self._identities]
        return {
            word.casefold(): pseudonym(number) for word, number in words if len(word.strip()) >= MIN_HIDDEN
        }

    @cached_property
    def _words(self) -> re.Pattern[str]:
        return _pattern(self._hidden)


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted((word for word in words if len(word.strip()) >= MIN_HIDDEN), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)", re.IGNORECASE)
