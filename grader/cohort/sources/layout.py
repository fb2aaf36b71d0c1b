"""What every layout gives: submissions with whose they are, and remarks."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry, Kind, Work, is_packed, skipped, works, works_of
from grader.cohort.sources.model import Found, Person
from grader.cohort.sources.repositories import Told, Wanted
from grader.errors import GraderFault
from grader.files import Budget, open_tree
from grader.report.safe import few
from grader.submission.copy_tree import Bounds, readable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

MAX_NAMED = 5
"""Names that one remark lists."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a submission before it is looked at: see `Found`."""

    people: tuple[Person, ...]
    tag: str = ""
    late: bool | None = None
    at: datetime | None = None
    evidence: str = ""


@dataclass(slots=True)
class Reading:
    """What a layout makes of a folder, as it grows."""

    root: Path
    aside: Path
    """A folder of ours for what has to be put together; it need not exist yet."""
    starter: Collection[str] = ()
    """Paths at which answers are expected."""
    has_times: bool = True
    """Whether times of files are theirs, not those of our own unpacking."""
    found: list[Found] = field(default_factory=list)
    wanted: list[Wanted] = field(default_factory=list)
    """Repositories, which are had when all are known."""
    missing: list[Person] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def take(self, label: Label, entry: Entry) -> None:
        """Note what an entry holds as submissions of some people."""
        if why := skipped(entry):
            self.remarks.append(why)
        else:
            self._note(label, entry.text, works(entry))

    def join(self, label: Label, parts: Sequence[tuple[str, Entry]]) -> None:
        """Note files that were handed in one by one, under the names that they had: the archive among them,
        or else a folder in which they stand together."""
        files = []
        for name, entry in parts:
            if entry.kind is Kind.FILE:
                files.append((name, entry))
            else:
                self.take(replace(label, tag=label.tag or name), entry)
        if files:
            packed = works_of([entry for _, entry in files])
            self._note(label, files[0][1].text, packed or (self._together(label, files),))

    def add(self, label: Label, source: Path, unreadable: str) -> None:
        """Note what cannot be read."""
        self._note(label, "", (Work(path=source, unreadable=unreadable),))

    def want(self, label: Label, source: str, *, folder: str = "", told: tuple[Told, ...] = ()) -> None:
        """Note a repository."""
        self.wanted.append(
            Wanted(
                people=label.people,
                source=source,
                tag=label.tag,
                late=label.late,
                folder=folder,
                told=told,
            )
        )

    def _note(self, label: Label, title: str, held: Sequence[Work]) -> None:
        for work in held:
            at, evidence = (work.submitted_at, work.evidence) if self.has_times else (None, "")
            self.found.append(
                Found(
                    people=label.people,
                    source=self.speakable(work.path),
                    tag=Entry(work.path, Kind.FILE).text if len(held) > 1 else label.tag,
                    submitted_at=label.at or at,
                    evidence=label.evidence if label.at else evidence,
                    late=label.late,
                    unreadable=work.unreadable,
                    retry=work.retry,
                )
            )
        if len(held) > 1:
            names = listed(readable(work.path.name) for work in held)
            self.remarks.append(
                f"{title}: each of {len(held)} archives is taken for a submission by itself: {names}"
            )
        if beside := held[0].beside:
            self.remarks.append(f"{title}: only the archive is read, not what is beside it: {listed(beside)}")
        if within := held[0].within:
            self.remarks.append(f"{title}: archives among the files are not read: {listed(within)}")

    def speakable(self, path: Path) -> str:
        """A path; for one that is no text, that of a link to it which is."""
        plain = os.path.abspath(path)  # noqa: PTH100  (`resolve` would follow a link put there since)
        if plain == readable(plain):
            return plain
        link = self.aside / "named" / hashlib.sha256(os.fsencode(plain)).hexdigest()[:32]
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(plain)
        except OSError as error:
            raise GraderFault(f"cannot write to {self.aside}: {error.strerror}") from error
        return str(link)

    def _together(self, label: Label, files: Sequence[tuple[str, Entry]]) -> Work:
        """One folder of files that were handed in one by one."""
        key = f"{label.people[0].key}\0{label.tag}"
        names = _names([name for name, _ in files], self.starter)
        target = self.aside / "together" / hashlib.sha256(key.encode()).hexdigest()[:32]
        bounds = Bounds()
        budget = Budget(bytes=bounds.total_bytes)
        too_large = []
        try:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for (name, entry), called in zip(files, names, strict=True):
                place = target / called
                if entry.size > bounds.file_bytes or place.exists():
                    too_large.append(name)
                elif not open_tree(entry.path.parent).copy_out(entry.path.name, place, budget=budget):
                    too_large.append(name)
                    place.unlink(missing_ok=True)
        except (OSError, UnicodeError) as error:
            raise GraderFault(f"cannot write to {self.aside}: {error}") from error
        if too_large:
            self.remarks.append(
                f"{files[0][1].text}: left out, being too large or not to be read: {listed(too_large)}"
            )
        newest = max((entry.modified for _, entry in files if entry.modified), default=None)
        return Work(
            path=target,
            submitted_at=newest,
            evidence="newest file time" if newest else "",
            unreadable="" if len(too_large) < len(files) else "its files are too large or cannot be read",
        )


def _names(names: Sequence[str], expected: Collection[str]) -> list[str]:
    """The names by which files are put together: a platform numbers a file that is handed in again
    (`train-1.py`), which the exam knows without the number."""
    wanted = {PurePosixPath(path).name for path in expected}
    called = [_file_name(name) for name in names]
    for index, name in enumerate(called):
        path = PurePosixPath(name)
        stem, dash, number = path.stem.rpartition("-")
        plain = f"{stem}{path.suffix}"
        if (
            dash
            and stem
            and number.isdecimal()
            and plain in wanted
            and name not in wanted
            and plain not in called
        ):
            called[index] = plain
    return called


def _file_name(name: str) -> str:
    plain = name.replace("/", "_").replace("\0", "_")
    return plain if plain.strip(".") else f"file{plain}"


def is_work(entry: Entry) -> bool:
    """Whether an entry can be a submission by itself."""
    return entry.kind is Kind.FOLDER or is_packed(entry)


def listed(names: Iterable[str]) -> str:
    """The first of some names."""
    return few(list(names), MAX_NAMED)
