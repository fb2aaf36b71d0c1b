"""The layout of those who have none: each folder or archive is a submission, and its name the candidate's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry, Kind, skipped
from grader.cohort.sources.layout import Label, Reading, is_work, listed
from grader.cohort.sources.model import Person

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "folder of submissions"


def read(held: Sequence[Entry], reading: Reading) -> None:
    """Take every folder and archive for a submission."""
    others = []
    of_key: dict[str, list[str]] = {}
    for entry in held:
        if why := skipped(entry):
            reading.remarks.append(why)
        elif entry.kind is Kind.FOLDER and entry.name.startswith("."):
            reading.remarks.append(f"{entry.text} is skipped: it is a hidden folder")
        elif is_work(entry):
            person = Person(key=entry.stem, name=entry.stem)
            reading.take(Label((person,), entry.text), entry)
            of_key.setdefault(entry.stem, []).append(entry.text)
        else:
            others.append(entry.text)
    for key, names in of_key.items():
        if len(names) > 1:
            reading.remarks.append(f"taken for submissions of one candidate, {key}: {listed(names)}")
    if others:
        reading.remarks.append(f"skipped, being neither folders nor archives: {listed(others)}")
