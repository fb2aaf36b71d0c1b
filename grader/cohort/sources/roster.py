"""A list of people: who they are, where their submissions are, and until when they have time.

CSV or YAML with the columns key, name, email, section, source, deadline or extension, tag, and any of the
names of other systems (`github`, `canvas`, …). Given as the source it says where submissions are; given as
the mapping it says who the people of another source are.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.cohort.sources import canvas, classrooms, gradescope, moodle
from grader.cohort.sources.model import Person, folded
from grader.documents import MAX_BYTES, Problem, parse_yaml
from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SUFFIXES = (".csv", ".tsv", ".yaml", ".yml")
MAX_TEXT = 1000
MAX_ROWS = 100_000

_COLUMNS = {
    "key": ("key", "id", "candidate", "student", "login", "username", "user", "matriculation"),
    "name": ("name", "full name", "fullname", "student name"),
    "email": ("email", "e-mail", "mail", "email address"),
    "section": ("section", "group", "team", "class"),
    "source": ("source", "path", "url", "repository", "repo", "submission", "folder", "file"),
    "deadline": ("deadline", "due"),
    "extension": ("extension", "extra", "extra time"),
    "tag": ("tag", "attempt", "revision"),
}
_SYSTEMS = {
    "github": classrooms.SYSTEM,
    "canvas": canvas.SYSTEM,
    "canvas id": canvas.SYSTEM,
    "moodle": moodle.SYSTEM,
    "moodle-participant": moodle.SYSTEM,
    "participant": moodle.SYSTEM,
    "sid": gradescope.SID,
    "gradescope-sid": gradescope.SID,
}
_DURATION = re.compile(r"\+?(?P<number>\d{1,5}(?:\.\d{1,3})?)\s*(?P<unit>d|h|m|days?|hours?|minutes?|min)")
_UNITS = {"d": 86400, "h": 3600, "m": 60}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a roster."""

    person: Person
    source: str = ""
    tag: str = ""
    deadline: datetime | None = None
    where: str = ""


def is_roster(path: Path) -> bool:
    """Whether a file is called one."""
    return path.suffix.lower() in SUFFIXES


def read_roster(path: Path, *, deadline: datetime | None) -> tuple[Row, ...]:
    """Read a roster.

    Args:
        deadline: of all; an extension such as `2 days` counts from there, and times without a zone are in
            its zone.

    Raises:
        UsageError: it cannot be read, a column is missing, a key stands twice, a time is none.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the roster {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"the roster {path} is larger than {MAX_BYTES >> 20} MB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the roster {path} is not text in UTF-8: save it as such (byte {error.start})"
        ) from error
    records = _yaml(text, path) if path.suffix.lower() in (".yaml", ".yml") else _csv(text, path)
    rows = tuple(_row(record, where, deadline) for record, where in records)
    if not rows:
        raise UsageError(f"the roster {path} names nobody")
    seen: dict[tuple[str, str], str] = {}
    for row in rows:
        known = seen.setdefault((row.person.key, row.tag), row.where)
        if known != row.where:
            raise UsageError(
                f"{row.where}: {row.person.key} stands there already ({known}); tell attempts by a tag"
            )
    return rows


Record = tuple["Mapping[str, str]", str]


def _csv(text: str, path: Path) -> list[Record]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = max("\t;,", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    records: list[Record] = []
    columns: dict[int, str] = {}
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{path}:{reader.line_num}"
            if not columns:
                columns = _columns(cells, str(path))
                continue
            if len(cells) > max(len(columns), len(first.split(mark))) and any(cells[len(columns) :]):
                raise UsageError(f"{where} has more cells than there are columns: is one not in quotes?")
            if len(records) >= MAX_ROWS:
                raise UsageError(f"the roster {path} has more than {MAX_ROWS:,} lines")
            records.append(({name: cells[at] for at, name in columns.items() if at < len(cells)}, where))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num} cannot be read as CSV: {error}") from error
    return records


def _yaml(text: str, path: Path) -> list[Record]:
    read = parse_yaml(text, str(path))
    if isinstance(read, Problem):
        raise UsageError(
            f"{read.where}: {read.message}" + (": try CSV" if "too many" in read.message else "")
        )
    data: Any = read[0].data if read else []
    if isinstance(data, dict):
        data = next((data[name] for name in ("people", "candidates", "students") if name in data), data)
    if isinstance(data, dict):
        data = [{"key": key, **value} if isinstance(value, dict) else value for key, value in data.items()]
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise UsageError(f"{path} is no list of people: write `- key: …` for each")
    records: list[Record] = []
    for number, each in enumerate(data, 1):
        names = [str(name) for name in each]
        columns = _columns(names, f"{path}, entry {number}")
        values = [_as_text(value) for value in each.values()]
        records.append(({name: values[at] for at, name in columns.items()}, f"{path}, entry {number}"))
    return records


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def _columns(cells: Sequence[str], where: str) -> dict[int, str]:
    """Where each column is that is known; of those with one meaning, the first."""
    known = {alias: name for name, aliases in _COLUMNS.items() for alias in aliases}
    columns: dict[int, str] = {}
    for at, cell in enumerate(cells):
        title = " ".join(cell.strip().lower().replace("_", " ").split())
        name = known.get(title) or (f"={_SYSTEMS[title]}" if title in _SYSTEMS else "")
        if name and name not in columns.values():
            columns[at] = name
    if "key" not in columns.values():
        said = ", ".join(cell.strip()[:30] for cell in cells[:8])
        raise UsageError(
            f"{where} has no column `key` (it has: {said}); others are {', '.join(list(_COLUMNS)[1:])}"
        )
    return columns


def _row(record: Mapping[str, str], where: str, deadline: datetime | None) -> Row:
    texts = {name: unicodedata.normalize("NFC", value.strip()) for name, value in record.items()}
    long = next((name for name, value in texts.items() if len(value) > MAX_TEXT), "")
    if long:
        raise UsageError(f"{where}: its {long.lstrip('=')} is longer than {MAX_TEXT:,} characters")
    if not texts.get("key"):
        raise UsageError(f"{where} has no key")
    try:
        "".join(texts.values()).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{where} has characters that are no text") from None
    person = Person(
        key=texts["key"],
        name=texts.get("name", ""),
        email=texts.get("email", ""),
        section=texts.get("section", ""),
        identities=tuple(
            (name[1:], value) for name, value in texts.items() if name.startswith("=") and value
        ),
    )
    own = _time(texts.get("deadline", ""), where, deadline)
    longer = _extended(texts.get("extension", ""), where, own or deadline)
    source = record.get("source", "").strip()
    return Row(person=person, source=source, tag=texts.get("tag", ""), deadline=longer or own, where=where)


def _extended(text: str, where: str, deadline: datetime | None) -> datetime | None:
    match = _DURATION.fullmatch(text.lower())
    if match is None:
        return _time(text, where, deadline)
    if deadline is None:
        raise UsageError(f"{where}: an extension of {text} needs a deadline that it counts from")
    return deadline + timedelta(seconds=float(match["number"]) * _UNITS[match["unit"][0]])


def _time(text: str, where: str, deadline: datetime | None) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None and deadline is not None:
            time = time.replace(tzinfo=deadline.tzinfo)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{where}: {text[:40]!r} is no time such as 2026-02-01T18:00+01:00") from None
    raise UsageError(f"{where}: {text[:40]!r} does not say its zone: write 2026-02-01T18:00+01:00")


class Matcher:
    """Who of a roster a person of another source is."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = tuple(rows)
        self._by: dict[tuple[str, str], list[Person]] = {}
        for row in self._rows:
            person = row.person
            for mark in _marks(person):
                self._by.setdefault(mark, []).append(person)
            if row.source:
                self._by.setdefault(("entry", unicodedata.normalize("NFC", row.source)), []).append(person)
        self.met: set[str] = set()

    def people(self, people: Sequence[Person], entry: str) -> tuple[Person, ...]:
        """The same people as the roster has them, where it has them."""
        return tuple(self._person(person, unicodedata.normalize("NFC", entry)) for person in people)

    def missing(self) -> tuple[Person, ...]:
        """Who was not met."""
        people = {row.person.key: row.person for row in self._rows}
        return tuple(person for key, person in people.items() if key not in self.met)

    def _person(self, person: Person, entry: str) -> Person:
        for mark in (*_marks(person), ("entry", entry)):
            several = {each.key: each for each in self._by.get(mark, ())}
            if len(several) == 1:
                known = next(iter(several.values()))
                self.met.add(known.key)
                identities = tuple(dict.fromkeys((*known.identities, *person.identities)))
                email, name = known.email or person.email, known.name or person.name
                return replace(known, name=name, email=email, identities=identities)
        return person


def _marks(person: Person) -> list[tuple[str, str]]:
    """What tells a person, the surest first; a name last, and only if nobody else has it."""
    marks = [("key", person.key), *person.identities]
    if person.email:
        marks.append(("email", person.email.casefold()))
    if person.name:
        marks.append(("name", folded(person.name)))
    return marks
