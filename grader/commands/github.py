"""`grader github`: what the action does with a grade."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from grader.documents import parse_json
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.files import open_tree
from grader.github.api import Api, checked_commit, checked_repository
from grader.github.check_run import post_check
from grader.github.comment import origin_of, post_comment
from grader.github.markdown import render
from grader.github.step import annotate, outputs
from grader.report.read import read_grade
from grader.report.safe import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_EVENT = 2**24


def step_command(path: Path, *, previous: Path | None, folder: str, feedback: bool) -> int:
    """Write annotations to standard output, and the summary and outputs where the runner wants them."""
    grade = read_grade(path)
    before = read_grade(previous) if previous is not None else None
    _print(annotate(grade, folder=folder))
    _append("GITHUB_STEP_SUMMARY", render(grade, before, feedback=feedback))
    _append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs(grade).items()))
    return PASSED


def comment_command(*, artifact: str, author: str) -> int:
    """Comment on the pull request of this event."""
    repository = checked_repository(os.environ.get("GITHUB_REPOSITORY"))
    origin = origin_of(_event())
    if origin is None:
        _print(["no pull request started that run: nothing is said"])
        return PASSED
    _print(post_comment(_api(), repository, origin, artifact=artifact, author=author))
    return PASSED


def check_command(path: Path, *, repository: str, commit: str, name: str, previous: Path | None) -> int:
    """Post a grade as a check run."""
    grade = read_grade(path)
    before = read_grade(previous) if previous is not None else None
    where, digest = checked_repository(repository), checked_commit(commit)
    _print([post_check(_api(), where, digest, name, grade, before)])
    return PASSED


def _api() -> Api:
    base = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    return Api(os.environ.get("GITHUB_TOKEN", ""), base=base)


def _event() -> object:
    path = Path(os.environ.get("GITHUB_EVENT_PATH") or "event.json")
    data = open_tree(path.parent).read(path.name, MAX_EVENT)
    if data is None:
        raise UsageError("there is no event: this runs in a workflow, where GITHUB_EVENT_PATH names one")
    try:
        return parse_json(data.decode("utf-8", "replace"))
    except ValueError as error:
        raise UsageError(f"the event is not JSON: {error}") from None


def _print(lines: Iterable[str]) -> None:
    # Of a command, `clean` would break the colons; each line of those is made of escaped text alone.
    for line in lines:
        sys.stdout.write(f"{line if line.startswith('::') else clean(line)}\n")
    sys.stdout.flush()


def _append(variable: str, text: str) -> None:
    """Add to one of the runner's files; elsewhere there is none."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
