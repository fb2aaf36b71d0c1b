"""What Canvas makes of *Download submissions*: one flat folder.

`doejane_LATE_4711_98765_exam.zip` is name, mark of lateness, user, attachment and the name that the
candidate chose; `anon_Ab1Cd_98765_exam.zip` where names are hidden; `doejane_4711_text.html` and
`doejane_4711_link.html` are a text or an address that was handed in instead. Canvas numbers a file that is
handed in again: `exam-1.zip`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry, Kind, is_packed
from grader.cohort.sources.layout import Label, Reading, listed
from grader.cohort.sources.links import repository_link
from grader.cohort.sources.model import Person

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND = "Canvas download"
SYSTEM = "canvas"
ANONYMOUS = "canvas-anonymous"
_WHO = r"(?:(?P<name>.*?)_)??(?P<late>late_)?(?:anon_(?P<anon>[a-z0-9]{1,20})|(?P<id>[1-9][0-9]{0,19}))"
_UPLOAD = re.compile(rf"{_WHO}_(?P<file>[1-9][0-9]{{0,19}})_(?P<rest>.+)", re.DOTALL | re.IGNORECASE)
_TEXT = re.compile(rf"{_WHO}_(?:text|link)\.html", re.DOTALL | re.IGNORECASE)
_AGAIN = re.compile(r"(?P<stem>.+)-[0-9]{1,3}(?P<end>(?:\.tar)?\.[^.]*|)", re.DOTALL)


@dataclass(slots=True)
class _User:
    person: Person
    late: bool
    uploads: list[tuple[int, str, Entry]] = field(default_factory=list)
    page: Entry | None = None


def recognises(held: Sequence[Entry]) -> bool:
    """Whether it is a flat folder of Canvas's names: each attachment has a number of its own, and there is
    more than one user, or but one file."""
    if not held or any(entry.kind is Kind.FOLDER for entry in held):
        return False
    matches = [match for entry in held if (match := _matched(entry))]
    if 2 * len(matches) < len(held):
        return False
    users = {_key(match) for match in matches}
    names = {(_key(match), match["name"]) for match in matches}
    files = [match["file"] for match in matches if match.re is _UPLOAD]
    return (
        len(files) == len(set(files)) and len(names) == len(users) and (len(users) > 1 or len(matches) == 1)
    )


def _matched(entry: Entry) -> re.Match[str] | None:
    return _UPLOAD.fullmatch(entry.text) or _TEXT.fullmatch(entry.text)


def _key(match: re.Match[str]) -> str:
    return match["id"] or f"anon_{match['anon']}"


def read(held: Sequence[Entry], reading: Reading) -> None:
    """Take each user's files for a submission."""
    users: dict[str, _User] = {}
    others = []
    for entry in held:
        match = _matched(entry)
        if match is None:
            others.append(entry.text)
            continue
        key = _key(match)
        identity = (SYSTEM, key) if match["id"] else (ANONYMOUS, match["anon"])
        person = Person(key=key, name=match["name"] or "", identities=(identity,))
        user = users.setdefault(key, _User(person, late=False))
        user.late |= bool(match["late"])
        if match.re is _UPLOAD:
            user.uploads.append((int(match["file"]), match["rest"], entry))
        else:
            user.page = entry
    for user in users.values():
        _take(user, reading)
    if others:
        reading.remarks.append(f"skipped, being no submissions of Canvas's: {listed(others)}")


def _take(user: _User, reading: Reading) -> None:
    label = Label((user.person,), late=user.late)
    uploads = sorted(user.uploads, key=lambda upload: upload[0])
    if uploads:
        for attempt in _attempts([(name, entry) for _, name, entry in uploads]):
            reading.join(replace(label, tag=attempt[0][0]), attempt)
    elif user.page:
        link = repository_link(user.page.path)
        if link.source:
            reading.want(label, link.source)
        else:
            reading.add(label, user.page.path, link.unreadable)


def _attempts(uploads: list[tuple[str, Entry]]) -> list[list[tuple[str, Entry]]]:
    """Uploads by attempt: an archive that was handed in again is another attempt, files are parts of one."""
    packed = [upload for upload in uploads if is_packed(upload[1])]
    first = {_first(name) for name, _ in packed}
    if len(packed) > 1 and len(first) == 1 and len(packed) == len(uploads):
        return [[upload] for upload in packed]
    return [uploads]


def _first(name: str) -> str:
    again = _AGAIN.fullmatch(name)
    return f"{again['stem']}{again['end']}" if again else name
