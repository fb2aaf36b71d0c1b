"""A test suite run as it is, and while the answers of the application under test are changed on their way."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from grader.check import Deliverable, HttpStatus, Parameters, Scenario, Seconds, UrlPath
from grader.checks.mlflow.world import ServedModel
from grader.checks.pytest_suite.events import SuiteRun, read_events
from grader.errors import GraderFault
from grader.results import Finding
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.context import Context
    from grader.runtime.sandbox.model import Run

_PROBE = "pytest_faults"
_PYTEST = "pytest"
MAX_DRAWS = 20
"""Of runs one by one: few suites need any, and these four or so."""
_USAGE_ERROR, _NO_TESTS = 4, 5
_CONFTEST = "conftest.py"


class Answered(Parameters):
    """Which answers a fault changes, and how."""

    answered: HttpStatus | Annotated[tuple[HttpStatus, ...], Field(min_length=1)]
    """The status of the answers to change, or several."""
    status: HttpStatus
    """The status to give them."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every status of the answers to change."""
        return self.answered if isinstance(self.answered, tuple) else (self.answered,)


class Fault(Answered):
    """A way to break an application."""

    body: str | None = None
    """The body to give them."""
    drop: str | None = None
    """The key to remove from their body."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.body is not None and self.drop is not None:
            raise ValueError("a fault has a body of its own or drops a key, not both")
        if self.status in self.statuses and (self.body, self.drop) == (None, None):
            raise ValueError("a fault must change the status or the body, or no test can notice it")
        return self


class Suite(Scenario):
    """How a test suite is run."""

    kind: ClassVar[str] = "pytest_suite"

    script: Deliverable
    """The test file."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """The HTTP method of the endpoint that faults change."""
    path: UrlPath = "/"
    """The path of the endpoint that faults change."""
    faults: dict[str, Fault] = Field(default={})
    """Faults by name: ways to change the application's answers."""
    without: tuple[str, ...] = ()
    """Globs of the files to remove, as for runs without a model."""
    world: ServedModel | None = None
    """The model, for suites that need one; without it there is no model and no tracking server."""
    idle_seconds: Seconds
    """Seconds that a single test, or collecting them, may take."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""


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
    controls: tuple[SuiteRun, ...] = ()
    """Other runs without a fault, among those that had one: the suite cannot tell which is which."""
    broken: Mapping[str, tuple[SuiteRun, ...]] = field(default_factory=dict)
    """By fault; one that could change no answer was not run."""
    form: Form = Form(args=())
    remarks: tuple[Finding, ...] = ()

    def noticed(self, fault: str) -> set[str]:
        """Tests that fail in every run that has the fault, after it changed an answer.

        Where pytest itself ends well all the same, nobody would hear of them.
        """
        runs = self.broken.get(fault, ())
        return (
            set.intersection(*(set(run.late) if run.status != 0 else set() for run in runs))
            if runs
            else set()
        )

    def steady(self) -> list[str]:
        """Tests that pass in every run without a fault."""
        passing = [set(run.those("passed")) for run in self.controls]
        return [test for test in self.clean.those("passed") if all(test in each for each in passing)]

    def add(self, found: Sequence[tuple[str | None, SuiteRun]]) -> Observed:
        """With some more runs, each with its fault."""
        controls = tuple(run for fault, run in found if fault is None)
        names = {*self.broken, *(fault for fault, _ in found if fault is not None)}
        broken = {
            name: (*self.broken.get(name, ()), *(run for fault, run in found if fault == name))
            for name in names
        }
        return replace(self, controls=self.controls + controls, broken=broken)


def without_model(context: Context, scenario: Suite) -> Observed:
    """The suite where there is neither a model nor a tracking server."""
    key = ("suite without model", scenario)
    return context.memo.once(key, lambda: _World(context, scenario).observe())


def with_model(context: Context, scenario: Suite) -> Observed:
    """The suite where a model is in the registry and in the file."""
    before = without_model(context, scenario)
    if scenario.world is None:
        return before
    key = ("suite with model", scenario)
    return context.memo.once(key, lambda: _World(context, scenario, before).observe())


class _World:
    """What is around the suite while it runs: a model if it ran without one before."""

    def __init__(self, context: Context, scenario: Suite, before: Observed | None = None) -> None:
        path = context.submission.deliverables.get(scenario.script)
        if path is None:
            raise GraderFault(f"there is no {scenario.script} to run")
        self._context, self._scenario, self._path, self._before = context, scenario, path, before
        self._command = context.submission.manifest.commands.get(scenario.script, ())

    def observe(self) -> Observed:
        """Every run, in one process where that is as good as in many."""
        form = self._before.form if self._before else next(self._forms())
        seen = self._all(form)
        if self._before and _same(seen.clean, self._before.clean):
            return self._before
        seen = self._confirmed(seen)
        if not seen.clean.tests and seen.clean.status not in (_NO_TESTS, None):
            seen = self._otherwise(seen)
        seen = self._completed(seen)
        remark = seen.form.remark
        remarks = (Finding(message=remark, where=str(self._path)),) if remark else ()
        return replace(seen, remarks=remarks)

    def _confirmed(self, seen: Observed) -> Observed:
        """What is not green, seen again where it is no fault of copying, of imports or of haste."""
        if seen.clean.green:
            return seen
        _, again = self._one(seen.form, (None,))
        return seen if _same(again, seen.clean) else Observed(clean=again, form=seen.form)

    def _completed(self, seen: Observed) -> Observed:
        """With the faults that copies could not show, each run in a process of its own.

        Which fault such a run has, if any, is drawn where it runs: nothing that the suite can read tells.
        """
        useful = [
            name for name, fault in self._scenario.faults.items() if _changes_anything(seen.clean, fault)
        ]
        missing = [name for name in useful if name not in seen.broken]
        for _ in range(MAX_DRAWS if missing else 0):
            seen = seen.add([self._one(seen.form, (*(missing or useful), None))])
            missing = [name for name in missing if name not in seen.broken]
            if not missing and seen.controls:
                break
        return seen

    def _otherwise(self, seen: Observed) -> Observed:
        """A suite that does not begin, called in another way."""
        for other in self._forms():
            if other != seen.form and (not other.leaves_out or seen.clean.status == _USAGE_ERROR):
                tried = self._confirmed(self._all(other))
                if tried.clean.tests:
                    return tried
        return seen

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
            remark="pytest rejects its configured addopts here, so they were left out",
        )
        folders = {str(path.parent) for path in self._context.submission.deliverables.values()}
        sources = tuple(sorted(folder for folder in folders if self._has_modules(folder)))
        if sources:
            yield Form(args=args, paths=sources, remark=f"the tests need PYTHONPATH={':'.join(sources)}")

    def _has_modules(self, folder: str) -> bool:
        inside = PurePosixPath(folder)
        return folder not in (".", str(self._path.parent)) and any(
            path.suffix == ".py" and path.parent == inside for path in self._context.submission.files
        )

    def _all(self, form: Form) -> Observed:
        """Every run that copies of one process can make; at least one without a fault."""
        run, found = self._ask(form)
        if not found:
            return Observed(clean=SuiteRun(run=run), form=form)
        (_, clean), *others = found
        return Observed(clean=clean, form=form).add(others)

    def _one(self, form: Form, choose: Sequence[str | None]) -> tuple[str | None, SuiteRun]:
        """One run with one of these faults, in an interpreter of its own, with nothing imported ahead."""
        run, found = self._ask(form, choose)
        return found[0] if found else (None, SuiteRun(run=run))

    def _ask(
        self, form: Form, choose: Sequence[str | None] | None = None
    ) -> tuple[Run, list[tuple[str | None, SuiteRun]]]:
        """Runs in a fresh workspace, each with its fault."""
        scenario, runtime = self._scenario, self._context.require_runtime()
        limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
        own = [self._path, *(path for path in self._context.submission.files if path.name == _CONFTEST)]
        request: dict[str, Any] = {
            "args": form.args,
            "paths": form.paths,
            "own": [str(path) for path in own],
            "method": scenario.method,
            "path": scenario.path,
            "faults": {
                name: {**fault.model_dump(exclude_none=True), "answered": list(fault.statuses)}
                for name, fault in scenario.faults.items()
            },
            "idle_seconds": scenario.idle_seconds,
            **({"choose": choose} if choose else {}),
        }
        with ExitStack() as stack:
            name = "suite"
            if self._before and scenario.world is not None:
                # The same model for every seed: what it predicts is not looked at.
                seed = runtime.seeded("seed_model", scenario.world.request(0))
                server = stack.enter_context(runtime.mlflow(name, seeded=seed.store))
                model = {scenario.world.file: Path(seed.files) / Path(scenario.world.file).name}
                cell = stack.enter_context(runtime.cell(mlflow=server, files=model))
            else:
                cell = stack.enter_context(runtime.cell(without=scenario.without))
            run, answer = cell.probe(_PROBE, request, limits=limits, fresh=choose is not None, apart=True)
        return run, list(_runs(run, answer))


def _runs(run: Run, answer: object) -> Iterator[tuple[str | None, SuiteRun]]:
    entries = answer.get("runs") if isinstance(answer, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        match entry:
            case {"fault": str() | None as fault, "forked": bool(forked), "status": status, "events": events}:
                yield fault, read_events(run, events, status=status, forked=forked)


def _same(one: SuiteRun, other: SuiteRun) -> bool:
    return (one.status, one.tests, one.errors) == (other.status, other.tests, other.errors)


def _changes_anything(clean: SuiteRun, fault: Fault) -> bool:
    return bool(clean.those("passed")) and any(
        answer.status in fault.statuses and not answer.own for answer in clean.answers
    )
