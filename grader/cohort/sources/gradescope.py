"""What Gradescope makes of *Export submissions*: folders, and `submission_metadata.yml` with whose they are.

The file is Ruby's YAML (keys such as `:submitters`, tags of classes) and holds every result and output of its
own autograder, so that it can be larger than any document that is read as one. Of each entry only the lines
that are needed are parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grader.cohort.sources.entries import Entry, Kind
from grader.cohort.sources.layout import Label, Reading, listed
from grader.cohort.sources.model import Person
from grader.documents import Problem, parse_yaml
from grader.errors import UsageError
from grader.files import open_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KIND = "Gradescope export"
SID, EMAIL = "gradescope-sid", "gradescope-email"
METADATA = ("submission_metadata.yml", "submission_metadata.yaml")
MAX_METADATA = 2**28
MAX_BLOCK = 2**18
"""Characters of an entry's people, or of its time."""
MAX_PEOPLE = 100

_TOP = re.compile(r"(?P<key>[^\s#-][^\n]*?):[ \t]*(?:[!&][^\n]*)?")
_FIELD = re.compile(r"  :?(?P<field>\w+):(?P<rest>.*)")
_TIME = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?P<part>\.\d{1,6})?\d*[ ]?(?P<zone>Z|UTC|[+-]\d\d:?\d\d)"
)


@dataclass(slots=True)
class _Told:
    """What the file tells of an entry, as text."""

    name: str
    people: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)


def recognises(held: Sequence[Entry]) -> bool:
    """Whether its file is there."""
    return any(entry.name in METADATA and entry.kind is Kind.FILE for entry in held)


def read(held: Sequence[Entry], reading: Reading) -> None:
    """Take what the file names for submissions.

    Raises:
        UsageError: the file cannot be read.
    """
    metadata = next(entry for entry in held if entry.name in METADATA)
    entries = {entry.text: entry for entry in held if entry is not metadata}
    content = open_tree(metadata.path.parent).read(metadata.name, MAX_METADATA)
    if content is None:
        raise UsageError(f"{metadata.path} cannot be read, or is larger than {MAX_METADATA >> 20} MB")
    named = 0
    for told in _entries(content.decode("utf-8", "replace")):
        named += 1
        people = _people(told)
        entry = entries.pop(told.name, None)
        if not people:
            people = (Person(key=told.name, name=told.name),)
            reading.remarks.append(f"{metadata.name} does not say whose {told.name} is: its name is used")
        label = Label(people, told.name, at=_time(told), evidence=metadata.name)
        if entry is None:
            reading.add(label, metadata.path.parent / told.name.replace("/", "_"), "it is not in the export")
        else:
            reading.join(label, [(told.name, entry)])
    if not named:
        raise UsageError(f"{metadata.path} names no submission")
    if entries:
        reading.remarks.append(f"skipped, {metadata.name} not naming them: {listed(entries)}")


def _entries(text: str) -> Iterator[_Told]:
    told: _Told | None = None
    block: list[str] | None = None
    for line in text.splitlines():
        if match := _TOP.fullmatch(line):
            if told:
                yield told
            told, block = _Told(_scalar(match["key"])), None
        elif told and (match := _FIELD.fullmatch(line)):
            block = {"submitters": told.people, "created_at": told.created}.get(match["field"])
            if block is not None:
                block.append(match["rest"])
        elif block is not None:
            block.append(line)
    if told:
        yield told


def _scalar(text: str) -> str:
    read = parse_yaml(text, "") if text[:1] in "\"'" else Problem("", "")
    return str(read[0].data) if not isinstance(read, Problem) and read else text


def _people(told: _Told) -> tuple[Person, ...]:
    text = "\n".join(told.people)
    read = parse_yaml(text, told.name) if len(text) <= MAX_BLOCK else Problem(told.name, "too long")
    listing = read[0].data if not isinstance(read, Problem) and read else []
    if not isinstance(listing, list):
        return ()
    people = [_person(each) for each in listing[:MAX_PEOPLE] if isinstance(each, dict)]
    return tuple({person.key: person for person in people if person.key}.values())


def _person(told: dict[Any, Any]) -> Person:
    name, sid, email = (_text(told.get(f":{each}", told.get(each))) for each in ("name", "sid", "email"))
    identities = tuple((system, value) for system, value in ((SID, sid), (EMAIL, email)) if value)
    return Person(key=sid or email or name, name=name, email=email, identities=identities)


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()[:300]


def _time(told: _Told) -> datetime | None:
    match = _TIME.search("\n".join(told.created)[:MAX_BLOCK])
    if match is None:
        return None
    zone = {"Z": "+00:00", "UTC": "+00:00"}.get(match["zone"], match["zone"])
    part = (match["part"] or "").ljust(7, "0") if match["part"] else ""
    try:
        return datetime.fromisoformat(f"{match['time'].replace(' ', 'T')}{part}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
