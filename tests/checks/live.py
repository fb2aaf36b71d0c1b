"""Real runs for slow tests: a submission written on the spot, in the exam's own environment."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grader.checks import ALL
from grader.context import Context
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.model import EnvironmentSpec, Exam, Part
from grader.grading import outcome_of
from grader.results import Outcome, Verdict
from grader.runtime.shared_runtime import SharedRuntime
from grader.runtime.submission_runtime import SubmissionRuntime
from grader.tools import Tools
from tests.builders import EXAM, make_submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_shared = contextlib.ExitStack()


@functools.cache
def shared_runtime() -> SharedRuntime:
    """One for all tests of a process: the servers and the imports that they share take most of the time."""
    return _shared.enter_context(SharedRuntime(hidden=(RUBRICS.resolve(),)))


def close() -> None:
    """End what `shared_runtime` began, if anything."""
    _shared.close()
    shared_runtime.cache_clear()


@contextlib.contextmanager
def live_context(
    root: Path, files: Mapping[str, str | bytes], *, deliverables: Mapping[str, str], seed: int = 0
) -> Iterator[Context]:
    """A context whose checks run code for real, in the exam's own environment."""
    bundled = bundled_exam()
    given = {path: source.resolve() for path, source in bundled.data.items()}
    exam = replace(EXAM, directory=RUBRICS, data=given, environment=bundled.environment)
    submission = replace(make_submission(root, files, deliverables=deliverables), given=given)
    with SubmissionRuntime(submission, exam, shared=shared_runtime()) as runtime:
        yield Context(submission=submission, exam=exam, tools=Tools(), seed=seed, runtime=runtime)


@contextlib.contextmanager
def plain_context(
    root: Path, files: Mapping[str, str | bytes], *, deliverables: Mapping[str, str]
) -> Iterator[Context]:
    """A context whose checks run code for real, in an exam without packages, models and given data."""
    exam = replace(EXAM, environment=EnvironmentSpec())
    submission = make_submission(root, files, deliverables=deliverables)
    with SubmissionRuntime(submission, exam, shared=shared_runtime()) as runtime:
        yield Context(submission=submission, exam=exam, tools=Tools(), runtime=runtime)


def lost(context: Context, task: str) -> dict[str, Outcome]:
    """Every criterion and part of a task that its check does not pass, asked as its rubric asks."""
    found = {}
    for name, part in named_parts(task):
        outcome = outcome_of(ALL[part.check], context, part.parameters)
        if outcome.verdict is not Verdict.PASSED:
            found[name] = outcome
    return found


def names(task: str) -> list[str]:
    """Every criterion of a task, or its parts where it has some."""
    return [name for name, _ in named_parts(task)]


def parameters(task: str, check: str, **chosen: Any) -> dict[str, Any]:
    """What the rubric of a task gives to a check; `chosen` tells several uses of it apart."""
    for _, part in named_parts(task):
        if part.check == check and all(part.parameters[name] == value for name, value in chosen.items()):
            return dict(part.parameters)
    raise KeyError(check)


def named_parts(task: str) -> Iterator[tuple[str, Part]]:
    """Every part of a task's criteria with its full name: `3.1.params/max_depth`, `3.1.runs`."""
    chosen = next(each for each in bundled_exam().tasks if each.id == task)
    for criterion in chosen.criteria:
        for part in criterion.parts:
            yield f"{criterion.id}/{part.id}" if part.id else criterion.id, part


def parts(task: str) -> list[Part]:
    """The parts alone."""
    return [part for _, part in named_parts(task)]


@functools.cache
def bundled_exam() -> Exam:
    """The exam that comes with the grader."""
    return load_exam(RUBRICS, ALL)
