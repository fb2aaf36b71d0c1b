"""What Moodle's assignment makes of *Download all submissions*.

Of each participant and kind of submission there is a folder, or in the flat form a file:
`Full Name_4711_assignsubmission_file/exam.zip`, `Full Name_4711_assignsubmission_file_exam.zip`,
`Participant_4711_assignsubmission_onlinetext/onlinetext.html`. Folders end with `_` before Moodle 4.1.
Moodle takes underscores out of names, so that the first number before `_assignsubmission_` is the
participant's: what follows it in a flat download is a name that the candidate chose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry
from grader.cohort.sources.layout import Reading, listed
from grader.cohort.sources.model import Person

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "Moodle download"
SYSTEM = "moodle-participant"
_ENTRY = re.compile(
    r"(?P<name>.*?)_(?P<id>[0-9]{1,20})_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<rest>.*))?", re.DOTALL
)


def recognises(held: Sequence[Entry]) -> bool:
    """Whether any entry is called so; nobody else's are."""
    return any(_ENTRY.fullmatch(entry.text) for entry in held)


def read(held: Sequence[Entry], reading: Reading) -> None:
    """Take each participant's files for a submission."""
    of_participant: dict[str, list[tuple[re.Match[str], Entry]]] = {}
    others = []
    for entry in held:
        if match := _ENTRY.fullmatch(entry.text):
            of_participant.setdefault(match["id"], []).append((match, entry))
        else:
            others.append(entry.text)
    for number, parts in of_participant.items():
        name = parts[0][0]["name"]
        person = Person(key=number, name=name, identities=((SYSTEM, number),))
        files = [entry for match, entry in parts if match["plugin"] == "file"]
        for entry in files:
            reading.take((person,), entry, tag=entry.text if len(files) > 1 else "")
    if others:
        reading.remarks.append(f"skipped, being no submissions of Moodle's: {listed(others)}")
