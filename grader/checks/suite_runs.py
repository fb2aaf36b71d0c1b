"""A test suite run as it is, and while the answers of the application under test are changed on their way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from grader.checks.context import Context
from grader.checks.suite_events import SuiteRun, read_events
from grader.errors import GraderFault
from grader.results import Finding
from grader.runtime.sandbox import Limits

CLEAN = "clean"
_PROBE = "pytest_faults"
_PYTEST = "pytest"
_USAGE_ERROR, _NO_TESTS = 4, 5
_CONFTEST = "conftest.py"


class Answered(TypedDict):
    """Which answers a fault changes, and into what."""

    answered: int
    status: int


class Fault(Answered, total=False):
    """How an application is broken."""

    body: str
    """What its answers hold instead."""
    drop: str
    """The key that its answers lack."""


class Suite(TypedDict):
    """How a suite is run; the same mapping for every check, so that they share its runs."""

    method: str
    path: str
    """The endpoint that faults speak of."""
    faults: dict[str, Fault]
    without: list[str]
    """Globs of what is not there when there is no model."""
    recipe: str
    """The probe that makes a model, for suites that need one."""
    seed: dict[str, Any]
    model_file: str
    idle_seconds: float
    """Longest time without a sign of life: one test's, or that of collecting them."""
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A way to call pytest."""

    args: tuple[str, ...]
    leaves_out: bool = False
    """Whether options of the suite's own are left out."""
    paths: tuple[str, ...] = ()
    """Directories besides the root that Python imports from."""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All runs of a suite in one world."""

    clean: SuiteRun
    broken: Mapping[str, SuiteRun]
    """By fault; one that could change no answer was not run."""
    form: Form = Form(args=())
    remarks: tuple[Finding, ...] = ()


def without_model(context: Context, file: str, how: Suite) -> Observed:
    """The suite where there is neither a model nor a tracking server."""
    key = ("suite without model", file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _World(context, file, how).observe())


def with_model(context: Context, file: str, how: Suite) -> Observed:
    """The suite where a model is in the registry and in the file."""
    before = without_model(context, file, how)
    key = ("suite with model", file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _World(context, file, how, before).observe())


class _World:
    """What is around the suite while it runs: a model if it ran without one before."""

    def __init__(self, context: Context, file: str, how: Suite, before: Observed | None = None) -> None:
        path = context.submission.deliverables.get(file)
        if path is None:
            raise GraderFault(f"there is no {file} to run")
        self._context, self._how, self._path, self._before = context, how, path, before
        self._command = context.submission.manifest.commands.get(file, ())

    def observe(self) -> Observed:
        """Every run, in one process where that is as good as in many."""
        form = self._before.form if self._before else next(self._forms())
        runs = self._ask(form)
        if self._before and _same(runs[CLEAN], self._before.clean):
            return self._before
        runs = self._confirmed(form, runs)
        if not runs[CLEAN].tests and runs[CLEAN].status not in (_NO_TESTS, None):
            form, runs = self._otherwise(form, runs)
        for name, fault in self._how["faults"].items():
            if name not in runs and _changes_anything(runs[CLEAN], fault):
                runs |= self._ask(form, only=name)
        remarks = (Finding(message=form.remark, where=str(self._path)),) if form.remark else ()
        return Observed(clean=runs[CLEAN], broken=runs, form=form, remarks=remarks)

    def _confirmed(self, form: Form, runs: dict[str, SuiteRun]) -> dict[str, SuiteRun]:
        """What is not green, seen again where it is no fault of copying, of imports or of haste."""
        if runs[CLEAN].green:
            return runs
        again = self._ask(form, only=CLEAN)
        return runs if _same(again[CLEAN], runs[CLEAN]) else again

    def _otherwise(self, form: Form, runs: dict[str, SuiteRun]) -> tuple[Form, dict[str, SuiteRun]]:
        """A suite that does not begin, called in another way."""
        for other in self._forms():
            if other != form and (not other.leaves_out or runs[CLEAN].status == _USAGE_ERROR):
                tried = self._confirmed(other, self._ask(other))
                if tried[CLEAN].tests:
                    return other, tried
        return form, runs

    def _forms(self) -> Iterator[Form]:
        """As the candidate says, else by its name; then without what may keep pytest from starting."""
        args: tuple[str, ...] = (str(self._path),)
        words = [PurePosixPath(word).name for word in self._command]
        if _PYTEST in words:
            args = self._command[words.index(_PYTEST) + 1 :] or args
        yield Form(args=args)
        yield Form(
            args=(*args, "-o", "addopts="),
            leaves_out=True,
            remark="pytest does not take its configured addopts here: they were left out",
        )
        folders = {str(path.parent) for path in self._context.submission.deliverables.values()}
        sources = tuple(sorted(folder for folder in folders if self._has_modules(folder)))
        if sources:
            yield Form(args=args, paths=sources, remark=f"it needs PYTHONPATH={':'.join(sources)}")

    def _has_modules(self, folder: str) -> bool:
        inside = PurePosixPath(folder)
        return folder not in (".", str(self._path.parent)) and any(
            path.suffix == ".py" and path.parent == inside for path in self._context.submission.files
        )

    def _ask(self, form: Form, only: str | None = None) -> dict[str, SuiteRun]:
        """Runs in a fresh workspace; there is always a clean one, or the one that was asked for.

        That one has an interpreter of its own, with nothing imported ahead.
        """
        how, lab = self._how, self._context.require_lab()
        limits = Limits(cpu_seconds=how["cpu_seconds"], wall_seconds=how["wall_seconds"])
        own = [self._path, *(path for path in self._context.submission.files if path.name == _CONFTEST)]
        request: dict[str, Any] = {
            "args": form.args,
            "paths": form.paths,
            "own": [str(path) for path in own],
            "method": how["method"],
            "path": how["path"],
            "faults": how["faults"],
            "clean": CLEAN,
            "idle_seconds": how["idle_seconds"],
            **({"only": only} if only else {}),
        }
        with ExitStack() as stack:
            name = "suite"
            if self._before:
                seed = lab.seeded(how["recipe"], how["seed"])
                server = stack.enter_context(lab.mlflow(name, seeded=seed.store))
                model = {how["model_file"]: Path(seed.files) / Path(how["model_file"]).name}
                cell = stack.enter_context(lab.cell(name, mlflow=server, files=model))
            else:
                cell = stack.enter_context(lab.cell(name, without=how["without"]))
            run, answer = cell.probe(_PROBE, request, limits=limits, fresh=only is not None)
        found = {name: read_events(run, events) for name, events in _runs(answer)}
        return {only or CLEAN: SuiteRun(run=run), **found}


def _runs(answer: object) -> Iterator[tuple[str, Sequence[object]]]:
    match answer:
        case {"runs": dict() as runs}:
            yield from ((name, events) for name, events in runs.items() if isinstance(events, list))


def _same(one: SuiteRun, other: SuiteRun) -> bool:
    return (one.status, one.tests, one.errors) == (other.status, other.tests, other.errors)


def _changes_anything(clean: SuiteRun, fault: Fault) -> bool:
    return bool(clean.those("passed")) and any(
        answer.status == fault["answered"] and not answer.own for answer in clean.answers
    )
