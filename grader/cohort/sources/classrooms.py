"""Clones that the tools of two classrooms on GitHub make.

GitHub Classroom: `<assignment>-submissions/<assignment>-<login>`. Classroom 50:
`<classroom>-<assignment>_submissions_<time>/<classroom>-<assignment>-<login>`, with `result.json` and
`results.json` written into each clone, and `scores.csv` beside them, which names who handed nothing in.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grader.cohort.sources.entries import Entry, Kind, skipped
from grader.cohort.sources.layout import Label, Reading, is_work, listed
from grader.cohort.sources.model import Person
from grader.cohort.sources.repositories import Told
from grader.documents import parse_json
from grader.files import open_tree
from grader.submission.copy_tree import readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SYSTEM = "github"
RESULT, RESULTS, SCORES = "result.json", "results.json", "scores.csv"
SCHEMA = "classroom50/result/v1"
MAX_RESULT = 10 * 2**20
MAX_TOLD = 50
MAX_ASKED = 50
"""Folders in which a result is looked for, to tell whose layout it is."""

_CLASSROOM = re.compile(r"(?P<assignment>.+)-submissions(?: ?\(\d+\)|-\d+)?")
_CLASSROOM50 = re.compile(r"(?P<prefix>.+)_submissions_\d{4}_\d\d_\d\d_T_\d\d_\d\d_\d\d")
_COMMIT = re.compile(r"(?:.*/)?(?P<commit>[0-9a-f]{40}(?:[0-9a-f]{24})?)")


@dataclass(frozen=True, slots=True)
class Classroom:
    """One of the two."""

    KIND: str

    def recognises(self, held: Sequence[Entry]) -> bool:
        """Whether the folder and what is in it are called so."""
        return bool(self._prefix(held))

    def _prefix(self, held: Sequence[Entry]) -> str:
        if not held:
            return ""
        name = held[0].path.parent.name
        if self is CLASSROOM:
            match = _CLASSROOM.fullmatch(name)
            prefix = f"{match['assignment']}-" if match else ""
        else:
            match = _CLASSROOM50.fullmatch(name)
            prefix = f"{match['prefix']}-" if match else _told_prefix(held)
        return prefix if prefix and any(_login(entry, prefix) for entry in held) else ""

    def read(self, held: Sequence[Entry], reading: Reading) -> None:
        """Take each clone for the submission of whose name it ends with."""
        prefix = self._prefix(held)
        others, logins = [], set()
        for entry in held:
            login = _login(entry, prefix)
            if why := skipped(entry):
                reading.remarks.append(why)
            elif login and is_work(entry):
                logins.add(login.lower())
                self._take(login, entry, reading)
            elif entry.name != SCORES:
                others.append(entry.text)
        if others:
            reading.remarks.append(f"skipped, their names not beginning with {prefix}: {listed(others)}")
        if self is CLASSROOM50:
            reading.missing += [
                _person(login) for login in _scored(reading.root) if login.lower() not in logins
            ]

    def _take(self, login: str, entry: Entry, reading: Reading) -> None:
        people = (_person(login),)
        if entry.kind is Kind.FOLDER and open_tree(entry.path).is_folder(".git"):
            told = _told(entry.path) if self is CLASSROOM50 else ()
            folder = reading.speakable(entry.path)
            reading.want(Label(people), folder, folder=folder, told=told)
        else:
            reading.take(Label(people, entry.text), entry)


CLASSROOM = Classroom("GitHub Classroom download")
CLASSROOM50 = Classroom("Classroom 50 download")


def _person(login: str) -> Person:
    return Person(key=login, name=login, identities=((SYSTEM, login),))


def _login(entry: Entry, prefix: str) -> str:
    return entry.stem[len(prefix) :] if entry.stem.startswith(prefix) else ""


def _told_prefix(held: Sequence[Entry]) -> str:
    """What names begin with, by the results that some of them hold."""
    prefixes: Counter[str] = Counter()
    for entry in [each for each in held if each.kind is Kind.FOLDER][:MAX_ASKED]:
        for result in _results(entry.path, RESULT):
            prefix = f"{result.get('classroom')}-{result.get('assignment')}-"
            prefixes[prefix] += entry.text.startswith(prefix)
    return max(prefixes, key=lambda prefix: prefixes[prefix], default="") if any(prefixes.values()) else ""


def _results(folder: Path, name: str) -> list[dict[str, Any]]:
    content = open_tree(folder).read(name, MAX_RESULT)
    if content is None:
        return []
    try:
        data = parse_json(content.decode("utf-8-sig"))
    except ValueError:
        return []
    if isinstance(data, dict):
        data = data.get("submissions", [data])
    every = data if isinstance(data, list) else []
    return [each for each in every if isinstance(each, dict) and each.get("schema") == SCHEMA]


def _told(folder: Path) -> tuple[Told, ...]:
    """The submissions that the download notes, by their commit."""
    told = {}
    for result in [*_results(folder, RESULTS), *_results(folder, RESULT)][-MAX_TOLD:]:
        match = _COMMIT.fullmatch(str(result.get("commit"))[:500])
        if match:
            commit = match["commit"]
            told[commit] = Told(
                commit, readable(str(result.get("submission", "")))[:200], _time(result.get("datetime"))
            )
    return tuple(told.values())


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(str(value)[:40])
    except ValueError:
        return None
    return None if time.tzinfo is None else time.astimezone(UTC)


def _scored(root: Path) -> list[str]:
    content = open_tree(root).read(SCORES, MAX_RESULT)
    if content is None:
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig", "replace"), newline="")))
    except csv.Error:
        return []
    names = [row.get("username") or row.get("login") or row.get("owner") or "" for row in rows]
    return list(dict.fromkeys(name.strip()[:100] for name in names if name.strip()))
