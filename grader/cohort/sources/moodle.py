"""What Moodle's assignment makes of *Download all submissions*.

Of each participant and kind of submission there is a folder, or in the flat form a file:
`Full Name_4711_assignsubmission_file/exam.zip`, `Full Name_4711_assignsubmission_file_exam.zip`,
`Participant_4711_assignsubmission_onlinetext/onlinetext.html`. Folders end with `_` before Moodle 4.1.
Moodle takes underscores out of names, so that the first number before `_assignsubmission_` is the
participant's: what follows it in a flat download is a name that the candidate chose.

Of teams, Moodle since 4.1 packs one entry each, under the team's name and number (`Default group`, which has
none, are those in no team); before, it packed the team's work once for each member: `Team-Full Name_4711_…`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry, Kind, fingerprint
from grader.cohort.sources.layout import Label, Reading, listed
from grader.cohort.sources.links import repository_link
from grader.cohort.sources.model import Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KIND = "Moodle download"
SYSTEM = "moodle-participant"
GROUP = "moodle-group"
_ENTRY = re.compile(
    r"(?P<name>.*?)(?:_(?P<id>[0-9]{1,20}))?_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<rest>.*))?", re.DOTALL
)


@dataclass(slots=True)
class _Participant:
    person: Person
    files: list[tuple[str, Entry]] = field(default_factory=list)
    texts: list[Entry] = field(default_factory=list)
    other: list[Entry] = field(default_factory=list)


def recognises(held: Sequence[Entry]) -> bool:
    """Whether any entry is called so; nobody else's are."""
    return any(_ENTRY.fullmatch(entry.text) for entry in held)


def read(held: Sequence[Entry], reading: Reading) -> None:
    """Take each participant's files for a submission."""
    participants: dict[str, _Participant] = {}
    others = []
    for entry in held:
        if match := _ENTRY.fullmatch(entry.text):
            _place(match, entry, participants)
        else:
            others.append(entry.text)
    teams = _teams(participants.values())
    beside = 0
    for people, each in teams:
        if each.files:
            reading.join(Label(people), each.files)
            beside += bool(each.texts)
        elif each.texts:
            _take_text(people, each.texts[0], reading)
        else:
            plugins = listed(entry.text for entry in each.other)
            reading.remarks.append(f"skipped, being neither files nor online texts: {plugins}")
    if beside:
        reading.remarks.append(f"online texts beside files are not read (of {beside:,} participants)")
    if others:
        reading.remarks.append(f"skipped, being no submissions of Moodle's: {listed(others)}")


def _place(match: re.Match[str], entry: Entry, participants: dict[str, _Participant]) -> None:
    name, number = match["name"], match["id"]
    key = number or name or entry.text
    if key not in participants:
        identity = (SYSTEM, number) if number else (GROUP, name)
        participants[key] = _Participant(Person(key=key, name=name, identities=(identity,)))
    each = participants[key]
    if match["plugin"] == "file":
        each.files.append((match["rest"] or "", entry))
    elif match["plugin"] == "onlinetext":
        each.texts.append(entry)
    else:
        each.other.append(entry)


def _take_text(people: tuple[Person, ...], entry: Entry, reading: Reading) -> None:
    page = entry.path / "onlinetext.html" if entry.kind is Kind.FOLDER else entry.path
    link = repository_link(page)
    if link.source:
        reading.want(Label(people), link.source)
    else:
        reading.add(Label(people), page, link.unreadable)


def _teams(participants: Iterable[_Participant]) -> list[tuple[tuple[Person, ...], _Participant]]:
    """Members of a team as Moodle packed them before 4.1: every name begins with a team's, and theirs with
    the same, and they handed in the same."""
    every = list(participants)
    if not all("-" in each.person.name for each in every):
        return [((each.person,), each) for each in every]
    alike: dict[tuple[str, str], list[_Participant]] = {}
    for each in every:
        start = each.person.name.partition("-")[0]
        content = "\n".join(f"{name} {fingerprint(entry)}" for name, entry in each.files)
        digest = hashlib.sha256(content.encode()).hexdigest() if each.files else each.person.key
        alike.setdefault((start, digest), []).append(each)
    return [(tuple(_members(several)), several[0]) for several in alike.values()]


def _members(several: Sequence[_Participant]) -> Iterable[Person]:
    people = sorted((each.person for each in several), key=lambda person: person.name)
    if len(people) == 1:
        return people
    team = _shared(people[0].name, people[-1].name).rpartition("-")[0]
    return [
        Person(
            key=person.key,
            name=person.name[len(team) + 1 :],
            section=team,
            identities=(*person.identities, (GROUP, team)),
        )
        for person in people
    ]


def _shared(first: str, last: str) -> str:
    """What the first and the last of sorted names, and so all between, begin with."""
    length = next(
        (index for index, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None
    )
    return first[: length if length is not None else min(len(first), len(last))]
