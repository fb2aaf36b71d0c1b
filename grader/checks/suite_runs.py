"""A test suite run as it is, and while the answers of the application under test are changed on their way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

from grader.checks.context import Context
from grader.errors import GraderFault
from grader.results import Finding
from grader.runtime.sandbox import Limits, Run

CLEAN = "clean"
_PROBE = "pytest_faults"
_PYTEST = "pytest"
_USAGE_ERROR = 4
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
class Asked:
    """An answer that the endpoint gave to a test."""

    test: str
    status: int
    own: bool
    """Whether the suite answered itself."""
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """What one run of pytest came to."""

    run: Run
    status: int | None = None
    """pytest's own; None where it did not come to its end."""
    used: bool = False
    """Whether the tests had anything to do with the rest of the submission."""
    tests: Mapping[str, str] = field(default_factory=dict)
    """passed, failed, skipped, xfailed or xpassed, by test."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What pytest says of a test that did not pass."""
    errors: tuple[str, ...] = ()
    """Why something could not be collected."""
    answers: tuple[Asked, ...] = ()
    late: frozenset[str] = frozenset()
    """Tests that failed, or never ended, after the first changed answer."""
    current: str = ""
    """The test that was running last."""

    def those(self, *outcomes: str) -> list[str]:
        """Tests that came out so."""
        return [test for test, outcome in self.tests.items() if outcome in outcomes]

    @property
    def green(self) -> bool:
        """Whether pytest was content, and a test passed."""
        return self.status == 0 and bool(self.those("passed")) and not self.those("failed")

    @property
    def plain(self) -> bool:
        """Whether every test simply passed."""
        return self.green and set(self.tests.values()) == {"passed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All runs of a suite in one world."""

    clean: SuiteRun
    broken: Mapping[str, SuiteRun]
    """By fault; one that could change no answer was not run."""
    remarks: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A way to call pytest."""

    args: tuple[str, ...]
    paths: tuple[str, ...] = ()
    remark: str = ""


def without_model(context: Context, file: str, how: Suite) -> Observed:
    """The suite where there is neither a model nor a tracking server."""
    key = ("suite without model", file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _World(context, file, how, model=False).observe())


def with_model(context: Context, file: str, how: Suite) -> Observed:
    """The suite where a model is in the registry and in the file."""
    key = ("suite with model", file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _World(context, file, how, model=True).observe())


class _World:
    """What is around the suite while it runs."""

    def __init__(self, context: Context, file: str, how: Suite, *, model: bool) -> None:
        path = context.submission.deliverables.get(file)
        if path is None:
            raise GraderFault(f"there is no {file} to run")
        self._context, self._how, self._model, self._path = context, how, model, path
        self._command = context.submission.manifest.commands.get(file, ())

    def observe(self) -> Observed:
        """Every run, in one process where that is as good as in many."""
        form = next(self._forms())
        runs = self._ask(form)
        if not runs[CLEAN].green:
            form, runs = self._tried()
        clean = runs[CLEAN]
        for name, fault in self._how["faults"].items():
            if name not in runs and _changes_anything(clean, fault):
                runs |= self._ask(form, only=name)
        remarks = (Finding(message=form.remark, where=str(self._path)),) if form.remark else ()
        return Observed(clean=clean, broken={**runs, CLEAN: clean}, remarks=remarks)

    def _tried(self) -> tuple[_Form, dict[str, SuiteRun]]:
        """The first form in which tests are collected, in a process that does nothing else."""
        first: tuple[_Form, dict[str, SuiteRun]] | None = None
        for form in self._forms():
            runs = self._ask(form, only=CLEAN)
            first = first or (form, runs)
            if runs[CLEAN].tests:
                return form, runs
            if runs[CLEAN].status is None:
                break
        if first is None:
            raise ValueError("there is no way to run the suite")
        return first

    def _forms(self) -> Iterator[_Form]:
        """As the candidate says, else by its name; then without what may keep pytest from starting."""
        args: tuple[str, ...] = (str(self._path),)
        if _PYTEST in self._command:
            args = tuple(self._command[self._command.index(_PYTEST) + 1 :]) or args
        yield _Form(args=args)
        yield _Form(
            args=(*args, "-o", "addopts="),
            remark="pytest does not take its configured addopts here: they were left out",
        )
        folders = {str(path.parent) for path in self._context.submission.deliverables.values()}
        sources = tuple(sorted(folder for folder in folders if self._has_modules(folder)))
        if sources:
            yield _Form(args=args, paths=sources, remark=f"it needs PYTHONPATH={':'.join(sources)}")

    def _has_modules(self, folder: str) -> bool:
        inside = PurePosixPath(folder)
        return folder not in (".", str(self._path.parent)) and any(
            path.suffix == ".py" and path.parent == inside for path in self._context.submission.files
        )

    def _ask(self, form: _Form, only: str | None = None) -> dict[str, SuiteRun]:
        """Runs in a fresh workspace; there is always a clean one, or the one that was asked for."""
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
            if self._model:
                seed = lab.seeded(how["recipe"], how["seed"])
                server = stack.enter_context(lab.mlflow(name, seeded=seed.store))
                model = {how["model_file"]: Path(seed.files) / Path(how["model_file"]).name}
                cell = stack.enter_context(lab.cell(name, mlflow=server, files=model))
            else:
                cell = stack.enter_context(lab.cell(name, without=how["without"]))
            run, answer = cell.probe(_PROBE, request, limits=limits)
        found = {name: read_events(run, events) for name, events in _runs(answer)}
        return {only or CLEAN: SuiteRun(run=run), **found}


def _runs(answer: object) -> Iterator[tuple[str, Sequence[object]]]:
    match answer:
        case {"runs": dict() as runs}:
            yield from ((name, events) for name, events in runs.items() if isinstance(events, list))


def _changes_anything(clean: SuiteRun, fault: Fault) -> bool:
    return bool(clean.those("passed")) and any(
        answer.status == fault["answered"] and not answer.own for answer in clean.answers
    )


# --- reading what the probe saw -------------------------------------------------------------------

_OUTCOMES = ("passed", "xpassed", "xfailed", "skipped", "failed")
"""The mildest first: a test is as bad as the worst of its reports."""
_NAMES = {"xskipped": "xfailed"}


def read_events(run: Run, events: Sequence[object]) -> SuiteRun:
    """One run of pytest from its events, which the suite may have had its hands in."""
    tests: dict[str, str] = {}
    texts: dict[str, str] = {}
    errors: list[str] = []
    answers: list[Asked] = []
    late: set[str] = set()
    status, used, current = None, False, ""
    for event in events:
        match event:
            case {"start": str(test)}:
                current = test
            case {"error": str(text)}:
                errors.append(text)
            case {"answer": int(code), "own": bool(own), "changed": bool(changed)}:
                answers.append(Asked(test=current, status=code, own=own, changed=changed))
            case {"report": str(test), "outcome": str(said), "text": str(text)}:
                outcome = _NAMES.get(said, said)
                if outcome not in _OUTCOMES:
                    continue  # such as a plugin's "rerun": another report follows
                tests[test] = max(tests.get(test, outcome), outcome, key=_OUTCOMES.index)
                if outcome == "failed":
                    texts.setdefault(test, text)
                    late |= {test} if any(answer.changed for answer in answers) else set()
            case {"end": int(code), "used": bool(touched)}:
                status, used = code, touched
    if status is None and any(answer.changed for answer in answers):
        late.add(current)
    return SuiteRun(
        run=run,
        status=status,
        used=used,
        tests=tests,
        texts=texts,
        errors=tuple(errors),
        answers=tuple(answers),
        late=frozenset(late),
        current=current,
    )
