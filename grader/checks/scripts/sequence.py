"""The order in which a submission runs several of its files: as its text has it, else by name and content."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.readers.invocations import every_invocation
from grader.readers.python.module import modules
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from grader.documents import SourceFile
    from grader.submission.model import Submission

MAX_FILES = 500
"""Programs that are looked at for what they read, the likeliest first."""
MAX_WRITTEN = 20
"""Files of which the readers are looked for."""


def in_order(
    submission: Submission, files: Sequence[SourceFile], calls: Sequence[str]
) -> tuple[tuple[SourceFile, ...], str]:
    """The files as they are run one after another, and where the submission says so (empty if nowhere).

    Args:
        calls: functions in the order in which an answer comes to them, for files that no text runs.
    """
    by_path = {file.path: file for file in files}
    said: dict[str, dict[PurePosixPath, str]] = {}
    for each in submission.derived(every_invocation):
        if each.path in by_path:
            said.setdefault(each.where.rpartition(":")[0], {}).setdefault(each.path, each.where)
    for found in said.values():
        if len(found) > 1:
            return tuple(by_path[path] for path in found), next(iter(found.values()))
    return tuple(sorted(files, key=lambda file: _place(submission, file, calls))), ""


def readers_of(
    submission: Submission,
    written: Sequence[str],
    unwanted: Container[PurePosixPath],
    suffixes: Sequence[str],
) -> Iterator[SourceFile]:
    """Programs that go on from files that another one wrote: they name one, or are called with it.

    Args:
        written: the files, seen from the root.
        unwanted: programs that are none.
        suffixes: of programs.
    """
    names = {PurePosixPath(path).name for path in written[:MAX_WRITTEN]}
    names = {name for name in names if len(name) > 3 and "." in name}
    called = {
        each.path
        for each in submission.derived(every_invocation)
        if any(PurePosixPath(word.rpartition("=")[2]).name in names for word in each.arguments)
    }
    for file in by_likelihood(submission.matching(*(f"*{suffix}" for suffix in suffixes)))[:MAX_FILES]:
        wanted = file.path not in unwanted and not is_test(file.path)
        if wanted and (file.path in called or any(name in _text(file) for name in names)):
            yield file


def is_test(path: PurePosixPath) -> bool:
    """Whether a file tests others."""
    return path.name.startswith("test_") or "tests" in path.parts


def _text(file: SourceFile) -> str:
    return file.text if isinstance(file.text, str) else ""


def _place(submission: Submission, file: SourceFile, calls: Sequence[str]) -> tuple[int, int, str]:
    """By the number that its name begins with, then by the first thing that it does."""
    number = re.match(r"\d+", file.path.name)
    made = {call.name.rpartition(".")[2] for module in modules(submission, file) for call in module.calls()}
    first = next((n for n, call in enumerate(calls) if call in made), len(calls))
    return int(number[0][:6]) if number else 0, first, str(file.path)
