"""A layout that the user describes: a regular expression over the names of entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from grader.cohort.sources.entries import Entry, skipped
from grader.cohort.sources.layout import Label, Reading, is_work, listed
from grader.cohort.sources.model import Person
from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "folder by --map"
GROUPS = ("key", "name", "email", "section", "tag")
MAX_PATTERN = 1000


def is_pattern(mapping: str) -> bool:
    """Whether a mapping is meant as an expression, not as the path of a roster."""
    return "(?P<" in mapping or "(?<" in mapping


class Mapped:
    """Entries by an expression. It is matched in time that grows with the name alone."""

    KIND = KIND

    def __init__(self, pattern: str) -> None:
        """Raises UsageError for an expression that is none, or has no group `key`."""
        options = re2.Options()
        options.log_errors = False
        try:
            self._pattern = re2.compile(pattern[: MAX_PATTERN + 1], options)
        except (re2.error, UnicodeEncodeError) as error:
            said = error.args[0] if error.args else error
            why = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            raise UsageError(f"--map {pattern!r} is no regular expression (of RE2): {why}") from error
        if len(pattern) > MAX_PATTERN:
            raise UsageError(f"--map is longer than {MAX_PATTERN:,} characters")
        groups = set(self._pattern.groupindex)
        if "key" not in groups:
            raise UsageError(f"--map {pattern!r} has no group (?P<key>…), and is no roster either")
        if unknown := ", ".join(sorted(groups - set(GROUPS))):
            raise UsageError(
                f"--map {pattern!r}: no group is called {unknown}; known are {', '.join(GROUPS)}"
            )
        self._text = pattern

    def read(self, held: Sequence[Entry], reading: Reading) -> None:
        """Take what matches for submissions.

        Raises:
            UsageError: nothing does.
        """
        others, matching = [], 0
        for entry in held:
            match = self._pattern.fullmatch(entry.text)
            if match is None or not match["key"]:
                others.append(entry.text)
                continue
            matching += 1
            if why := skipped(entry):
                reading.remarks.append(why)
                continue
            told = {name: value or "" for name, value in match.groupdict().items()}
            tag = told.pop("tag", "") or entry.text
            person = Person(
                key=told["key"],
                name=told.get("name", ""),
                email=told.get("email", ""),
                section=told.get("section", ""),
            )
            label = Label((person,), tag)
            if is_work(entry):
                reading.take(label, entry)
            else:
                reading.join(label, [(entry.text, entry)])
        if not matching:
            raise UsageError(f"--map {self._text!r} matches none of the whole names {listed(others)}")
        if others:
            reading.remarks.append(f"skipped, --map not matching: {listed(others)}")
