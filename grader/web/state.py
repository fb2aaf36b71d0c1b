"""What the pages are made of: the gradebook, and what is remembered of it until it changes."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from grader.cohort import statistics
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.standing import Standing, standings
from grader.cohort.gradebook.store import Watch
from grader.cohort.similarity import kept
from grader.cohort.statistics.sheets import exam_of, sheets_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.statistics.model import Statistics

ANONYMOUS = "anonymous"
"""The setting: `yes` until marks are published."""
MAX_AT_ONCE = 60
"""Candidates whose statistics are computed while a browser waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row of the cohort's table."""

    standing: Standing
    name: str
    """Safe to be shown, as the next ones; unique."""
    key: str
    look: tuple[str, ...]
    """Why somebody should look, in a word each: `stale`, `flagged`, `open`, `similar`."""

    @property
    def number(self) -> str:
        """By which addresses name a candidate: it says nothing of name or order."""
        return f"{self.standing.number:06}"


@dataclass(frozen=True)
class Cohort:
    """Everybody, at one moment."""

    version: int
    names: Names
    people: tuple[Person, ...]
    """By name."""
    pairs: Mapping[str, Any]
    """What was alike when it was last compared; empty if it never was."""
    titles: Mapping[str, str]
    """Of tasks and criteria, in the exam's order."""
    tasks: Mapping[str, tuple[str, ...]]
    """Task -> its criteria."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What pages made of this moment and want to make once."""

    @cached_property
    def by_id(self) -> dict[int, Person]:
        """The gradebook's own number -> who it is."""
        return {person.standing.candidate: person for person in self.people}

    @cached_property
    def by_number(self) -> dict[str, Person]:
        """Number in addresses -> who it is."""
        return {person.number: person for person in self.people}

    @cached_property
    def queue(self) -> tuple[Person, ...]:
        """Who needs a look: the stale first, then the flagged, the open, the alike."""
        order = ("stale", "flagged", "open", "similar")
        waiting = [person for person in self.people if person.look]
        return tuple(sorted(waiting, key=lambda person: order.index(person.look[0])))

    def after(self, person: Person | None) -> Person | None:
        """The next one who needs a look; from the end on it begins again."""
        waiting = [each for each in self.queue if person is None or each.number != person.number]
        if person is None or not person.look:
            return waiting[0] if waiting else None
        place = self.queue.index(person)
        return (self.queue[place + 1 :] + self.queue[:place] or (None,))[0]


class State:
    """A gradebook that is served. For any number of threads."""

    def __init__(self, path: Path, *, author: str, read_only: bool = False, anonymous: bool = False) -> None:
        """Open it.

        Args:
            author: who decides, in what is written.
            anonymous: show numbers instead of names, whatever is set in the gradebook.

        Raises:
            UsageError: it is none.
        """
        self.path = path
        self.author = author
        self.read_only = read_only
        self.forced_anonymous = anonymous
        self._lock = threading.Lock()
        self._cohort: Cohort | None = None
        self._read_at = 0.0
        self._statistics: tuple[int, Statistics] | None = None
        self._computing: tuple[int, Future[Statistics]] | None = None
        self._pool: ProcessPoolExecutor | None = None
        with self.reading():
            self._watch = Watch(path)

    def close(self) -> None:
        """Let go of it."""
        self._watch.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Gradebook]:
        """The gradebook, for one request."""
        with open_gradebook(self.path) as book:
            yield book

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Gradebook]:
        """The gradebook in a transaction, also while a batch of this machine writes.

        Raises:
            UsageError: it may not be written, or another machine does.
        """
        with open_gradebook(self.path, write=True, beside=True) as book, book.transaction():
            yield book

    def cohort(self, *, seconds: float = 0.0) -> Cohort:
        """Everybody, as of now.

        Args:
            seconds: how old it may be: while a batch runs, it changes all the time.
        """
        with self._lock:
            version = self._watch.version()
            now = time.monotonic()
            if self._cohort is None or (self._cohort.version != version and now - self._read_at >= seconds):
                self._read_at = now
                with self.reading() as book, book.snapshot():
                    self._cohort = read_cohort(book, version, anonymous=self.forced_anonymous)
            return self._cohort

    def statistics(self) -> tuple[Statistics | None, bool]:
        """What was last computed, and whether it is of now; a large cohort takes some seconds elsewhere."""
        with self._lock:
            version = self._watch.version()
            if self._computing is not None and self._computing[1].done():
                at, future = self._computing
                self._computing = None
                self._statistics = (at, future.result())
            if self._statistics is not None and self._statistics[0] == version:
                return self._statistics[1], True
            if self._computing is None:
                with self.reading() as book:
                    people = book.rows("SELECT count(*) FROM chosen")[0][0]
                if people <= MAX_AT_ONCE:
                    self._statistics = (version, compute(self.path))
                    return self._statistics[1], True
                self._pool = self._pool or ProcessPoolExecutor(1, _spawning())
                self._computing = (version, self._pool.submit(compute, self.path))
            return (self._statistics[1] if self._statistics else None), False


def _spawning() -> Any:
    import multiprocessing

    return multiprocessing.get_context("spawn")


def compute(path: Path) -> Statistics:
    """The statistics of a gradebook. Who is named in them is named by the number in addresses."""
    with open_gradebook(path) as book:
        names = Names(book, anonymous=True)
        with book.snapshot():
            sheets = sheets_of(book, names)
            pass_mark, bonus, _ = exam_of(book) if sheets else (0, set(), {})
    return statistics.compute(sheets, pass_mark=pass_mark, bonus=bonus)


def read_cohort(book: Gradebook, version: int = 0, *, anonymous: bool = False) -> Cohort:
    """Everybody in a gradebook."""
    names = Names(book, anonymous=anonymous or book.setting(ANONYMOUS) == "yes")
    rows = standings(book)
    pairs = kept(book)
    alike = {each for pair in pairs.get("pairs", ()) for each in (*pair["left"], *pair["right"])}
    called = names.apart(names.candidates)
    people = [
        Person(
            standing=row,
            name=called[row.candidate],
            key=names.key(row.candidate),
            look=_look(row, similar=row.candidate in alike),
        )
        for row in rows
        if row.candidate in called  # who came in between is there the next time
    ]
    people.sort(key=lambda person: names.order(person.standing.candidate))
    titles, tasks = _exam(book)
    return Cohort(version, names, tuple(people), pairs, titles, tasks)


def _exam(book: Gradebook) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    from grader.cohort.gradebook.results import document_of

    newest = book.rows("SELECT max(result) AS result FROM chosen")[0]["result"]
    if newest is None:
        return {}, {}
    titles: dict[str, str] = {}
    tasks: dict[str, tuple[str, ...]] = {}
    for section in document_of(book, newest)["sections"]:
        for task in section["tasks"]:
            titles[task["id"]] = task["title"]
            titles |= {row["id"]: row["title"] for row in task["criteria"]}
            tasks[task["id"]] = tuple(row["id"] for row in task["criteria"])
    return titles, tasks


def _look(row: Standing, *, similar: bool) -> tuple[str, ...]:
    open_ = row.state == "open"
    why = {"stale": row.stale > 0, "flagged": row.flags > 0, "open": open_, "similar": similar}
    return tuple(name for name, is_so in why.items() if is_so)
