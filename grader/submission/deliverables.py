"""Which file answers which deliverable.

The candidate's manifest decides first, then the path that the exam names, then the rubric's accepted
alternatives. Where the exam names no path, files are found by what they do.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.documents import NOTEBOOK
from grader.results import Finding
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.documents import SourceFile
    from grader.exam.model import Deliverable, Exam
    from grader.submission.model import Manifest, Submission

_WILD = re.compile(r"[*?\[]")
_SHELL = ("*.sh", "*.bash")
_TEXTS = ("*.md", "*.txt", "*.rst", "Makefile", "makefile", "*.mk")
"""Where commands are noted down; a function's name there is only talk."""
MAX_SOURCES = 2_000
"""Files that are read for what they call, the likeliest first."""
_SPACE = r"\s+"
_LATER = r"\s(?:[^\n\\]|\\.|\\\n){0,500}?"
"""What may stand between a program and an address that it is given: the rest of a command's lines."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Deliverable id -> its file, and every file that may answer it, best first."""

    deliverables: Mapping[str, PurePosixPath]
    alternatives: Mapping[str, tuple[PurePosixPath, ...]]
    unread: int = 0
    """How many files were not read for what they call."""
    remarks: tuple[Finding, ...] = ()


@dataclass(slots=True)
class _Seen:
    """What a file calls, and which neighbours it imports from."""

    names: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    runnable: bool = False
    text: str = field(default="", repr=False)
    talk: bool = False
    """A text for people: only commands of several words count."""
    paths: str = field(default="", repr=False)
    """Texts in a program that have a slash: a REST interface is asked by its paths, as `runs/search`."""


def resolve(submission: Submission, exam: Exam, manifest: Manifest) -> Resolved:
    """Find every deliverable of the exam; what is not there is in neither mapping."""
    finder = _Finder(submission, exam)
    found = {
        deliverable.id: finder.candidates(deliverable, manifest.paths.get(deliverable.id))
        for task in exam.tasks
        for deliverable in task.deliverables
    }
    alternatives = {name: paths for name, paths in found.items() if paths}
    return Resolved(
        {name: paths[0] for name, paths in alternatives.items()},
        alternatives,
        unread=finder.unread,
        remarks=tuple(finder.remarks()),
    )


class _Finder:
    def __init__(self, submission: Submission, exam: Exam) -> None:
        self._submission = submission
        self._wanted = [deliverable for task in exam.tasks for deliverable in task.deliverables]
        self._named = {deliverable.path for deliverable in self._wanted}
        self._seen: dict[PurePosixPath, _Seen] = {}
        self.unread = 0
        """How many files were not read for what they call."""

    def remarks(self) -> Iterator[Finding]:
        """What was left out."""
        if self.unread:
            count = MAX_SOURCES + self.unread
            message = f"{self.unread:,} of {count:,} programs and notes were not searched for answers"
            yield Finding(message=message, expected="the likeliest files were searched first")

    def candidates(self, deliverable: Deliverable, told: str | None) -> tuple[PurePosixPath, ...]:
        """Every file that may answer, each once, best first."""
        paths = [PurePosixPath(told)] if told is not None else []
        if deliverable.path:
            paths.append(PurePosixPath(deliverable.path))
        here = [path for path in paths if self._submission.file(path) is not None]
        for pattern in deliverable.accept:
            here += self._accepted(pattern)
        if deliverable.calls:
            here += self._discovered(deliverable)
        return tuple(dict.fromkeys(here))

    def _accepted(self, pattern: str) -> list[PurePosixPath]:
        if not _WILD.search(pattern):
            file = self._submission.file(pattern)
            return [] if file is None else [file.path]
        found = (file.path for file in self._submission.matching(pattern))
        return sorted(found, key=lambda path: (len(path.parts), path))

    def _discovered(self, deliverable: Deliverable) -> list[PurePosixPath]:
        if not self._seen:
            self._look_around()
        ranked = []
        for path, seen in self._seen.items():
            uses = _uses(seen, deliverable.calls)
            if uses or self._imports_user(path, seen, deliverable.calls):
                ranked.append((self._rank(path, seen, deliverable, uses), path))
        return [path for _, path in sorted(ranked)]

    def _look_around(self) -> None:
        """Read what may matter: files with a wanted name in them, and files with one of their names."""
        files = self._submission.matching("*.py", "*.ipynb", *_SHELL, *_TEXTS)
        ordered = by_likelihood(files)
        left, self.unread = ordered[:MAX_SOURCES], max(0, len(ordered) - MAX_SOURCES)
        wanted = {call.split()[0] for deliverable in self._wanted for call in deliverable.calls}
        for _ in range(2):
            texts = {file: file.text for file in left if isinstance(file.text, str)}
            near = [file for file, text in texts.items() if any(name in text for name in wanted)]
            self._seen |= {file.path: _look(file) for file in near}
            left = [file for file in left if file not in near]
            wanted = {_module_of(file.path) for file in near}

    def _rank(
        self, path: PurePosixPath, seen: _Seen, deliverable: Deliverable, uses: int
    ) -> tuple[object, ...]:
        """What speaks against a file, the weightiest first."""
        prefer = (index for index, pattern in enumerate(deliverable.prefer) if path.match(pattern))
        return (
            _is_test(path),
            _uses(seen, deliverable.unless) > 0,
            str(path) in self._named,  # it has another job in the exam
            next(prefer, len(deliverable.prefer)),
            uses == 0,
            seen.talk,
            -uses,
            not seen.runnable,
            len(path.parts),
        )

    def _imports_user(self, path: PurePosixPath, seen: _Seen, calls: tuple[str, ...]) -> bool:
        """Whether a script has a neighbour do it: a module that it imports makes the call."""
        if not seen.runnable:
            return False
        return any(
            other != path and _module_of(other) in seen.modules and _uses(found, calls) > 0
            for other, found in self._seen.items()
        )


def _module_of(path: PurePosixPath) -> str:
    """The last part of the name under which a file is imported."""
    return path.parent.name if path.stem == "__init__" else path.stem


def _is_test(path: PurePosixPath) -> bool:
    return path.name.startswith("test_") or path.stem.endswith("_test") or "tests" in path.parts[:-1]


def _uses(seen: _Seen, calls: tuple[str, ...]) -> int:
    """How many of the calls a file makes."""
    return sum(
        call in seen.names
        or ((" " in call or not seen.talk) and _mentions(seen.text, call))
        or ("/" in call and _mentions(seen.paths, call))
        for call in calls
    )


def _mentions(text: str, call: str) -> bool:
    """Whether a shell script has the words of a command (or a function's name) one after another.

    A word with a slash is the end of an address, which may come later in the command.
    """
    words = call.split()
    if not all(word in text for word in words):
        return False
    first, *others = map(re.escape, words)
    more = (rf"{_LATER if '/' in word else _SPACE}{word}" for word in others)
    # What must not stand before it is asked last: a pattern that begins with a word is found much faster.
    return re.search(rf"{first}(?<![\w-]{first}){''.join(more)}(?![\w-])", text) is not None


def _look(file: SourceFile) -> _Seen:
    text = file.text if isinstance(file.text, str) else ""
    if any(map(file.path.match, _SHELL)):
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        return _Seen(text="\n".join(lines), runnable=True)
    if file.path.suffix not in (".py", NOTEBOOK):
        return _Seen(text=text, talk=True)
    module = file.python
    if not isinstance(module, ast.Module):
        return _Seen()
    aliases = dict(_aliases(module))
    return _Seen(
        names=frozenset(aliases.get(name, name) for name in _called(module)),
        modules=frozenset(_imported(module)),
        runnable=any(map(_acts, module.body)),
        paths="\n".join(_paths(module)),
    )


def _acts(statement: ast.stmt) -> bool:
    """Whether a statement makes its module a script: it calls something when the module is started."""
    declares = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return not declares and any(isinstance(node, ast.Call) for node in ast.walk(statement))


def _aliases(module: ast.Module) -> Iterator[tuple[str, str]]:
    """`from mlflow import search_runs as find`, `find = client.search_runs`: the new name and the old."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            yield from ((alias.asname, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            yield from (
                (target.id, node.value.attr) for target in node.targets if isinstance(target, ast.Name)
            )


def _paths(module: ast.Module) -> Iterator[str]:
    """Texts with a slash that a program uses, so none that only stands there, as a docstring does."""
    talk = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        match node:
            case ast.Constant(value=str(text)) if node not in talk and "/" in text:
                yield text


def _called(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id


def _imported(module: ast.Module) -> Iterator[str]:
    """The last part of each module's name, and names that may be modules (`from src import tracking`)."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name.rpartition(".")[2] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").rpartition(".")[2]
            yield from (alias.name for alias in node.names)
