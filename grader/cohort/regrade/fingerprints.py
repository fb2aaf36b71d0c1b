"""A fingerprint for each task: of all that decides its result, but for the submission and the options.

It has a digest for each thing that decides, so that it can be said which of them differs: `r
`rubric=1f0c… code=…`.
Titles, hints and notes decide nothing: results that are kept get those that the exam has now.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from grader import __version__
from grader.check import World
from grader.checks import ALL
from grader.cohort.regrade.code import INSIDE, Source
from grader.results import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from grader.check import Check
    from grader.cohort.regrade.code import Closure
    from grader.exam.model import Criterion, Exam, Part, Task

LENGTH = 16
"""Hexadecimal digits of each digest."""
BASE = (
    "grader.context",
    "grader.exam.loader",
    "grader.grading",
    "grader.score",
    "grader.submission.collect",
)
"""What decides every task."""
SESSION = "grader.session"
"""It decides too, and imports every check: it counts without them."""
RUNTIME = "grader.runtime.submission_runtime"
WORDS = {
    "rubric": "its rubric changed",
    "worlds": "a world of its checks changed",
    "deliverables": "the deliverables changed",
    "data": "the given data changed",
    "environment": "the exam's environment changed",
    "services": "the exam's services changed",
    "reference": "the reference solution changed",
    "code": "the grader's checks changed",
    "packages": "packages of the grader changed",
    "needs": "a task that it needs changed",
}
"""What differs -> how to say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprints:
    """What decides the results of an exam's tasks."""

    tasks: Mapping[str, str]
    """Task -> fingerprint."""
    needs: Mapping[str, frozenset[str]]
    """Task -> the others without which it cannot be graded."""
    exam: str
    """For a job's key: the exam's digest, and one of its reference solution and its environment's lock, which
    that leaves out."""
    grader: str
    """The grader's version, and a digest of all of it that can decide a result: `1.2.0+0a1b…`. Who changes
    a check without a new version must not find everything graded already."""


def fingerprints(exam: Exam, source: Source | None = None, checks: Mapping[str, Check] = ALL) -> Fingerprints:
    """Those of an exam's tasks.

    Args:
        source: of the grader; else of the one that runs.
    """
    source = source or Source()
    base = source.closure(BASE)
    session = source.module(SESSION).digest
    known = _Known(exam)
    needs = needed_tasks(exam)
    own: dict[str, dict[str, str]] = {}
    for task in exam.tasks:
        code = _code_of(task, source, checks)
        used = base.exam | code.exam
        worlds: list[Any] = []
        rubric = [_criterion(row, worlds) for row in task.criteria]
        own[task.id] = {
            "rubric": digest_of(rubric),
            "worlds": digest_of(worlds),
            "deliverables": known.deliverables,
            **{name: known.digest(name) for name in known.FIELDS if name in used},
            "code": digest_of([session, base.digest, code.digest]),
            "packages": digest_of(_versions(base.packages | code.packages)),
        }
    found = {}
    for task in exam.tasks:
        others = [own[name] for name in sorted(needs[task.id])]
        parts = {**own[task.id], **({"needs": digest_of(others)} if others else {})}
        found[task.id] = " ".join(f"{name}={digest[:LENGTH]}" for name, digest in parts.items())
    beside = ("environment", "reference")
    code_digest = digest_of(sorted({f"{parts['code']} {parts['packages']}" for parts in own.values()}))
    return Fingerprints(
        tasks=found,
        needs=needs,
        exam=f"{exam.digest}+{digest_of([known.digest(each) for each in beside])[:LENGTH]}",
        grader=f"{__version__}+{code_digest[:LENGTH]}",
    )


def difference(before: str, now: str) -> tuple[str, ...]:
    """Which things that decide a task differ, by the keys of `WORDS`."""
    old, new = (dict(word.partition("=")[::2] for word in text.split()) for text in (before, now))
    return tuple(name for name in (*new, *(old.keys() - new.keys())) if old.get(name) != new.get(name))


def needed_tasks(exam: Exam) -> dict[str, frozenset[str]]:
    """Of each task, the others that have criteria which it needs, directly or indirectly."""
    owner = {row.id: task.id for task in exam.tasks for row in task.criteria}
    direct = {
        task.id: {owner[name] for need in _needs(task) if (name := need.partition("/")[0]) in owner}
        for task in exam.tasks
    }
    found = {}
    for task in exam.tasks:
        reached: set[str] = set()
        left = [task.id]
        while left:
            more = direct[left.pop()] - reached
            reached |= more
            left += more
        found[task.id] = frozenset(reached - {task.id})
    return found


def digest_of(value: Any) -> str:
    """The same for equal plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class _Known:
    """What is the same for all tasks, each digest made when it is first asked for."""

    FIELDS = ("data", "environment", "services", "reference")

    def __init__(self, exam: Exam) -> None:
        self._exam = exam
        self._digests: dict[str, str] = {}
        everything = [entry for task in exam.tasks for entry in task.deliverables]
        # All of them: what one is found by is no answer to another one.
        self.deliverables = digest_of(plain(everything, []))

    def digest(self, name: str) -> str:
        if name not in self._digests:
            self._digests[name] = digest_of(self._value(name))
        return self._digests[name]

    def _value(self, name: str) -> Any:
        exam = self._exam
        match name:
            case "data":
                return {path: _file(file) for path, file in exam.data.items()}
            case "environment":
                spec = {each.name: getattr(exam.environment, each.name) for each in fields(exam.environment)}
                fallback = exam.environment.fallback
                return plain({**spec, "fallback": _file(fallback) if fallback is not None else ""}, [])
            case "services":
                return plain(exam.services, [])
            case "reference":
                return dict(_folder(exam.reference)) if exam.reference is not None else {}
        raise AssertionError(name)


def _code_of(task: Task, source: Source, checks: Mapping[str, Check]) -> Closure:
    """What the task's checks can reach; the whole runtime, where one of them runs something."""
    used = [checks[name] for name in sorted({part.check for row in task.criteria for part in row.parts})]
    functions = [function for check in used for function in (check.function, check.reads) if function]
    roots = sorted({function.__module__ for function in functions})
    closure = source.closure(roots)
    if closure.runs or any(check.needs_runtime or check.evidence is Evidence.RUNS for check in used):
        inside = [name for package in INSIDE[:2] for name in source.inside(package)]
        closure = source.closure([*roots, RUNTIME, *inside])
    return closure


def _criterion(row: Criterion, worlds: list[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "points": row.points,
        "needs": [*row.needs],
        "files": [*row.files],
        "parts": [_part(part, worlds) for part in row.parts],
    }


def _part(part: Part, worlds: list[Any]) -> dict[str, Any]:
    return {
        "id": part.id,
        "points": part.points,
        "check": part.check,
        "needs": [*part.needs],
        "parameters": plain(part.parameters, worlds),
    }


def _needs(task: Task) -> Iterable[str]:
    for row in task.criteria:
        yield from row.needs
        for part in row.parts:
            yield from part.needs


def plain(value: Any, worlds: list[Any]) -> Any:
    """A value out of an exam's model as plain data; worlds are taken out, and their names stay.

    Raises:
        TypeError: it holds something of another kind.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value.value if isinstance(value, Enum) else value
        case BaseModel():
            told = {
                "": type(value).__name__,
                **{name: plain(each, worlds) for name, each in dict(value).items()},
            }
            if isinstance(value, World):
                worlds.append(told)
                return {"world": value.name}
            return told
        case dict():
            return {str(key): plain(each, worlds) for key, each in value.items()}
        case list() | tuple():
            return [plain(each, worlds) for each in value]
        case set() | frozenset():
            return sorted((plain(each, worlds) for each in value), key=str)
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name), worlds) for each in fields(value)}
    raise TypeError(f"no plain data: {type(value).__name__}")


def _file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _folder(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(root)), _file(path)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Distribution -> version, of packages by the names under which they are imported."""
    known = _distributions()
    names = {name for package in packages for name in known.get(package, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
