"""The order in which a submission runs several of its files: as its text has it, else by name and content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.readers.invocations import every_invocation
from grader.readers.python.module import modules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePosixPath

    from grader.documents import SourceFile
    from grader.submission.model import Submission


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


def _place(submission: Submission, file: SourceFile, calls: Sequence[str]) -> tuple[int, int, str]:
    """By the number that its name begins with, then by the first thing that it does."""
    number = re.match(r"\d+", file.path.name)
    made = {call.name.rpartition(".")[2] for module in modules(submission, file) for call in module.calls()}
    first = next((n for n, call in enumerate(calls) if call in made), len(calls))
    return int(number[0][:6]) if number else 0, first, str(file.path)
