"""From a folder, archive or list of many submissions to whose they are: the front door of this package."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from grader.cohort.gradebook.store import is_gradebook
from grader.cohort.sources import canvas, folders, gradescope, moodle, repositories
from grader.cohort.sources.classrooms import CLASSROOM, CLASSROOM50
from grader.cohort.sources.deadlines import Deadline
from grader.cohort.sources.entries import MAX_WRAPPINGS, Entry, Kind, entries, entry_at
from grader.cohort.sources.layout import Label, Reading, listed
from grader.cohort.sources.mapping import Mapped, is_pattern
from grader.cohort.sources.model import Cohort, Found, folded
from grader.cohort.sources.roster import Matcher, Row, is_roster, read_roster
from grader.cohort.sources.unpack import unpacked
from grader.errors import UsageError
from grader.submission import git_revision
from grader.submission.manifest import NAMES
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


class Layout(Protocol):
    """How a source names what it holds."""

    @property
    def KIND(self) -> str:  # noqa: N802  (a constant of most)
        """What the source is called."""

    def read(self, held: Sequence[Entry], reading: Reading) -> None:
        """Note the submissions and whose they are."""


LAYOUTS = (gradescope, moodle, CLASSROOM50, CLASSROOM, canvas)
"""Those that have marks of their own, the surest first."""
ROSTER = "roster"
MIN_ANSWERS = 2
"""Paths of the exam's that a folder has itself, from which on it is one submission."""
BESIDE = ("", ".lock", ".files", "-wal", "-shm", "-journal")
"""What ends the names of a gradebook's files."""
_OLDEST = datetime.min.replace(tzinfo=UTC)


def discover(
    source: Path,
    *,
    aside: Path,
    mapping: str = "",
    deadline: datetime | None = None,
    starter: Collection[str] = (),
    revision: str = "",
    tools: Tools | None = None,
) -> Cohort:
    """Say what a source holds: a folder, the archive that a platform hands out, or a roster.

    Args:
        aside: a folder of ours, kept from run to run, for what is unpacked, cloned or put together. It is no
            submission where it lies among them, nor is the gradebook `X` for which it is `X.files`.
        mapping: a regular expression over names of entries with the group `key`, or the path of a roster.
        deadline: aware; what was handed in later is `late`, and of repositories the last commit before it
            counts.
        starter: paths at which the exam expects answers, by which one submission is told from many.
        revision: a tag or branch that is wanted of repositories, instead of their newest state.

    Raises:
        UsageError: there is no such source, it cannot be read, is itself one submission, or holds none.
        GraderFault: nothing can be written aside.
    """
    if deadline is not None and deadline.tzinfo is None:
        raise UsageError("the deadline does not say its zone: write 2026-02-01T18:00+01:00")
    aside = Path(os.path.abspath(aside))  # noqa: PTH100
    source = Path(os.path.abspath(source))  # noqa: PTH100  (its own name counts, not where a link leads)
    rows = _roster(mapping, deadline)
    if source.is_file() and is_roster(source):
        if mapping:
            raise UsageError(f"{source} is a roster: --map has no use there")
        rows = read_roster(source, deadline=deadline)
        reading, kind = _listed(source, rows, aside), ROSTER
    else:
        reading, kind = _folder(source, aside, Mapped(mapping) if mapping and not rows else None, starter)
    deadlines = Deadline(
        at=deadline, extensions={row.person.key: row.deadline for row in rows if row.deadline}
    )
    return _cohort(
        reading, kind, _Choices(rows if kind != ROSTER else (), deadlines, revision, tools or Tools())
    )


@dataclass(frozen=True, slots=True)
class _Choices:
    rows: Sequence[Row]
    """Of a roster beside the source."""
    deadlines: Deadline
    revision: str
    tools: Tools


def _roster(mapping: str, deadline: datetime | None) -> tuple[Row, ...]:
    if not mapping or is_pattern(mapping):
        return ()
    path = Path(mapping)
    if path.is_file():
        if not is_roster(path):
            raise UsageError(f"--map {mapping} is no roster: it is called neither .csv nor .yaml")
        return read_roster(path, deadline=deadline)
    if is_roster(path):
        raise UsageError(f"--map: there is no roster at {mapping}")
    return ()  # an expression, whose complaint tells of its groups


def _folder(
    source: Path, aside: Path, mapped: Mapped | None, starter: Collection[str]
) -> tuple[Reading, str]:
    root, has_times = source, True
    remarks: tuple[str, ...] = ()
    if source.is_file():
        root, remarks = unpacked(source, aside)
        has_times = False
    elif not source.is_dir():
        raise UsageError(f"there is nothing at {source}" if not source.exists() else f"{source} is no folder")
    root, held = _unwrapped(source, root, aside, mapped, starter)
    layout: Layout = mapped or _recognised(held) or folders
    reading = Reading(root, aside, starter, has_times)
    reading.remarks.extend(remarks)
    layout.read(held, reading)
    if not reading.found and not reading.wanted:
        raise UsageError(
            f"{source} holds no submissions: taken for a {layout.KIND}, there is none among "
            f"{listed(entry.text for entry in held) or 'nothing'}"
        )
    return reading, layout.KIND


def _unwrapped(
    source: Path, root: Path, aside: Path, mapped: Mapped | None, starter: Collection[str]
) -> tuple[Path, tuple[Entry, ...]]:
    """Where the submissions are: in the folder, or in the only one in it, if that is not one itself."""
    held = entries(root)
    books = [entry.name for entry in held if entry.kind is Kind.FILE and is_gradebook(entry.path)]
    ours = {f"{book}{end}" for book in books for end in BESIDE}
    held = tuple(entry for entry in held if entry.name not in ours and not _is_ours(entry, aside))
    _refuse_one(source, root, held, starter)
    if mapped or _recognised(held):
        return root, held
    inner, inside = root, held
    for _ in range(MAX_WRAPPINGS):
        if len(inside) != 1 or inside[0].kind is not Kind.FOLDER:
            break
        inner = inside[0].path
        inside = entries(inner)
        if _is_one(inner, inside, starter):
            break
        if _recognised(inside):
            return inner, inside
        if len(inside) > 1 and all(_can_be_one(each, folders_too=bool(starter)) for each in inside):
            return inner, inside
    return root, held


def _is_ours(entry: Entry, aside: Path) -> bool:
    """Whether it is the folder aside, or what that is named after: a gradebook, its lock and its logs."""
    if aside.is_relative_to(entry.path):
        return True
    name = aside.name.removesuffix(".files")
    return entry.path.parent == aside.parent and entry.name in {f"{name}{end}" for end in BESIDE}


def _recognised(held: Sequence[Entry]) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.recognises(held)), None)


def _can_be_one(entry: Entry, *, folders_too: bool) -> bool:
    """Whether it is called an archive; a folder is a part of one submission as often as one itself."""
    return folders_too if entry.kind is Kind.FOLDER else entry.stem != entry.text


def _is_one(root: Path, held: Iterable[Entry], starter: Collection[str]) -> bool:
    answers = sum(os.path.lexists(root / path) for path in starter)
    return any(entry.name in NAMES for entry in held) or (
        bool(answers) and answers >= min(MIN_ANSWERS, len(starter))
    )


def _refuse_one(source: Path, root: Path, held: Sequence[Entry], starter: Collection[str]) -> None:
    inner = held[0].path if len(held) == 1 and held[0].kind is Kind.FOLDER and root != source else None
    if _is_one(root, held, starter) or (inner and _is_one(inner, entries(inner), starter)):
        raise UsageError(f"{source} is one submission, not many: use `grader score {source}`")


def _listed(source: Path, rows: Sequence[Row], aside: Path) -> Reading:
    """What a roster names; rows of one source are a group."""
    reading = Reading(source.parent, aside)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.source:
            groups.setdefault((row.source, row.tag), []).append(row)
        else:
            reading.missing.append(row.person)
    for (text, tag), several in groups.items():
        label = Label(tuple(row.person for row in several), tag)
        path = Path(os.path.abspath(source.parent / text))  # noqa: PTH100
        if "://" not in text and path.exists() and not _is_bare(path):
            entry = entry_at(path)
            if entry.kind is Kind.FOLDER and (path / ".git").is_dir():
                reading.want(label, str(path), folder=reading.speakable(path))
            else:
                reading.take(label, entry)
        elif wanted := _repository(text, path, source.parent):
            reading.want(label, wanted)
        else:
            reading.add(label, path, f"{several[0].where}: there is nothing at {text}")
    return reading


def _repository(text: str, path: Path, beside: Path) -> str:
    if git_revision.revision(text) and ("://" in text or (":" in text and not (beside / text).exists())):
        return text
    if _is_bare(path):
        return str(path)
    return str(path) if git_revision.revision(str(path)) else ""


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir()


def _cohort(reading: Reading, kind: str, choices: _Choices) -> Cohort:
    matcher = Matcher(choices.rows)
    wanted = [
        replace(each, people=matcher.people(each.people, Path(each.source).name), revision=choices.revision)
        for each in reading.wanted
    ]
    found = [
        replace(each, people=matcher.people(each.people, Path(each.source).name)) for each in reading.found
    ]
    found += repositories.find(
        [replace(each, deadline=choices.deadlines.of(each.people)) for each in wanted],
        reading.aside,
        choices.tools,
    )
    found = _ordered([choices.deadlines.judged(each) for each in found])
    remarks = [*reading.remarks, *_namesakes(found)]
    if choices.rows:
        strangers = {person.key for each in found for person in each.people if person.key not in matcher.met}
        if strangers:
            remarks.append(f"not in the roster: {listed(sorted(strangers))}")
    handed_in = {person.key for each in found for person in each.people}
    missing = [person for person in (*reading.missing, *matcher.missing()) if person.key not in handed_in]
    return Cohort(
        kind=kind, root=reading.root, found=tuple(found), missing=tuple(missing), remarks=tuple(remarks)
    )


def _ordered(found: Sequence[Found]) -> list[Found]:
    """By person, the oldest first; each of a person's with a tag of its own."""
    ordered = sorted(
        found,
        key=lambda each: (
            _natural(each.people[0].key),
            each.submitted_at or _OLDEST,
            _natural(each.tag),
            each.source,
        ),
    )
    seen: Counter[tuple[str, str]] = Counter()
    several = Counter(each.people[0].key for each in ordered)
    for index, each in enumerate(ordered):
        key = each.people[0].key
        if several[key] == 1:
            continue
        tag = each.tag or unicodedata.normalize("NFC", Path(each.source).name)
        seen[key, tag] += 1
        number = seen[key, tag]
        ordered[index] = replace(each, tag=f"{tag} ({number})" if number > 1 else tag)
    return ordered


def _natural(text: str) -> list[tuple[int, str]]:
    """For an order in which 9 comes before 10."""
    return [
        (int(part) if part.isdecimal() and len(part) < 20 else -1, part) for part in re.split(r"(\d+)", text)
    ]


def _namesakes(found: Sequence[Found]) -> list[str]:
    """Remarks on people of one name, who are told apart by their keys."""
    keys: dict[str, dict[str, None]] = {}
    for each in found:
        for person in each.people:
            if person.name and person.identities:
                keys.setdefault(folded(person.name), {})[person.key] = None
    names: Mapping[str, str] = {folded(person.name): person.name for each in found for person in each.people}
    return [
        f"{len(several)} people are called {names[name]} and are told apart by their keys: {listed(several)}"
        for name, several in keys.items()
        if len(several) > 1
    ]
