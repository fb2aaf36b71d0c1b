"""Real runs for slow tests: a submission written on the spot, in the exam's own environment."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from grader.checks import ALL
from grader.context import Context
from grader.exam.bundled import RUBRICS
from grader.exam.model import EnvironmentSpec
from grader.results import Outcome, Verdict
from grader.runtime.shared_runtime import Workshop
from grader.runtime.submission_runtime import Lab
from grader.tools import Tools
from tests.builders import EXAM, make_submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_shared = contextlib.ExitStack()


@functools.cache
def workshop() -> Workshop:
    """One for all tests of a process: the servers and the imports that they share take most of the time."""
    return _shared.enter_context(Workshop(hidden=(RUBRICS.resolve(),)))


def close() -> None:
    """End what `workshop` began, if anything."""
    _shared.close()
    workshop.cache_clear()


@contextlib.contextmanager
def laboratory(
    root: Path, files: Mapping[str, str | bytes], *, deliverables: Mapping[str, str], seed: int = 0
) -> Iterator[Context]:
    """A context whose checks run code for real, in the exam's own environment."""
    spec = yaml.safe_load((RUBRICS / "exam.yaml").read_text(encoding="utf-8"))
    given = {path: (RUBRICS / source).resolve() for path, source in spec["data"].items()}
    environment = {**spec["environment"], "fallback": RUBRICS / spec["environment"]["fallback"]}
    exam = replace(EXAM, directory=RUBRICS, data=given, environment=EnvironmentSpec(**environment))
    submission = replace(make_submission(root, files, deliverables=deliverables), given=given)
    with Lab(submission, exam, workshop=workshop()) as lab:
        yield Context(submission=submission, exam=exam, tools=Tools(), seed=seed, lab=lab)


def lost(context: Context, task: str) -> dict[str, Outcome]:
    """Every criterion and part of a task that its check does not pass, asked as its rubric asks."""
    found = {}
    for name, part in _parts(task):
        outcome = ALL[part["check"]].function(context, **part.get("with", {}))
        if outcome.verdict is not Verdict.PASSED:
            found[name] = outcome
    return found


def names(task: str) -> list[str]:
    """Every criterion of a task, or its parts where it has some."""
    return [name for name, _ in _parts(task)]


def parameters(task: str, check: str, **chosen: Any) -> dict[str, Any]:
    """What the rubric of a task gives to a check; `chosen` tells several uses of it apart."""
    for _, part in _parts(task):
        given: dict[str, Any] = part.get("with", {})
        if part["check"] == check and chosen.items() <= given.items():
            return given
    raise KeyError(check)


def _parts(task: str) -> Iterator[tuple[str, dict[str, Any]]]:
    rubric = yaml.safe_load((RUBRICS / f"{task}.yaml").read_text(encoding="utf-8"))
    for criterion in rubric["criteria"]:
        for part in criterion.get("parts", [criterion]):
            yield criterion["id"] if part is criterion else f"{criterion['id']}/{part['id']}", part
