"""A batch scoring script, run on a large input with a registry in which every stage has another model."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from grader.check import Deliverable, Names, Scenario, Seconds, require_name
from grader.checks.batch.tables import Comparison, Output, compare, parse
from grader.checks.mlflow.local_stores import LocalStore, local_store
from grader.checks.mlflow.world import Seeds, TrackedRuns, Version, register_versions, seeds
from grader.checks.scripts.call import Called, Script, call, script
from grader.errors import GraderFault
from grader.readers.python.module import modules
from grader.readers.table import write_table
from grader.runtime.cell import Cell
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import WORKSPACE, Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.context import Context
    from grader.runtime.services.mlflow import MlflowServer

_RECORDER = "record_reads"
MAX_ATTEMPTS = 3
_MAX_OUTPUT_BYTES = 64 * 2**20
_MAX_OUTPUTS = 20
_SURE = 0.995
"""Two forests that learned the same data agree on most rows, but not on so many."""


class Batch(Scenario):
    """How a batch scoring script is run."""

    kind: ClassVar[str] = "batch"

    script: Deliverable
    """The script."""
    world: TrackedRuns
    """What is on the tracking server."""
    model: str
    """The registered model's name."""
    versions: Annotated[tuple[Version, ...], Field(min_length=1)]
    """The versions in the registry, numbered in this order."""
    prediction: str
    """The column of predictions."""
    inputs: Names
    """Paths at which the script may look for its input."""
    labelled: tuple[str, ...]
    """Paths at which the input includes the target column."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""

    @model_validator(mode="after")
    def _can_be_registered(self) -> Self:
        models = {run.name: run.model for run in self.world.runs if run.model is not None}
        for version in self.versions:
            require_name("run of the world with a model", version.run, models)
        if len({models[version.run] for version in self.versions}) < len(self.versions):
            raise ValueError("two versions have the same model, so which of them was used could not be told")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One run of the script."""

    called: Called
    columns: tuple[str, ...]
    """The number of rows in the input."""
    rows: int
    """The columns of the input."""
    output: Output | None = None
    """The predictions that it wrote, recognized by their content."""
    column: str = ""
    """The output's prediction column, whatever its name."""
    comparison: Comparison | None = None
    downloaded: tuple[str, ...] = ()
    """Runs of the world whose models it fetched."""
    reads: tuple[int, ...] = ()
    """How many rows of the input it read at a time, where pandas read them."""
    wrote: tuple[str, ...] = ()
    contacted: bool = False
    """Whether it sent the server any request."""
    asked: tuple[str, ...] = ()
    """Other registered models that it asked for in vain, if the exam names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a script finds when it is run."""

    what: Script
    places: Mapping[str, bool]
    """Path of the input -> whether it has the target too."""
    models: tuple[str, ...]
    """Names under which the versions are registered."""
    store: LocalStore | None = None
    """Where they are, if not on a server."""


class _Recording(Cell):
    """A cell whose Python programs have their reading recorded."""

    def __init__(self, cell: Cell) -> None:
        self.__dict__.update(vars(cell))
        self.reads: list[bytes] = []
        """Start with no reads recorded."""

    def python(self, *args: str, env: Mapping[str, str] | None = None, limits: Limits | None = None) -> Run:
        """Run Python in the cell, and keep what the run read."""
        if args[0].startswith("-") and args[0] != "-m":
            return super().python(*args, env=env, limits=limits)
        run = self.program(_RECORDER, *args, env=env, limits=limits)
        self.reads.append(run.answer or b"")
        return run


def scored(context: Context, scenario: Batch) -> Scored:
    """Run the script on the input."""
    key = ("batch", scenario)
    return context.memo.once(key, lambda: _score(context, scenario))


def _score(context: Context, scenario: Batch) -> Scored:
    what, source = (
        script(context.submission, scenario.script),
        context.submission.deliverable(scenario.script),
    )
    if what is None or source is None:
        raise GraderFault(f"there is no {scenario.script} to run")
    plan = _Plan(
        what=what,
        places={
            **dict.fromkeys(scenario.inputs, False),
            **dict.fromkeys(scenario.labelled, True),
            **dict.fromkeys(named_tables(context, scenario.script), False),
        },
        models=(scenario.model,),
    )
    seen = _attempt(context, plan, scenario)
    for _ in range(MAX_ATTEMPTS - 1):
        better = _better(plan, seen, scenario, local_store(context.submission, source))
        if seen.called.run.ok or better == plan:
            break
        plan, seen = better, _attempt(context, better, scenario)
    context.record_call(scenario.script, seen.called.record(what.path))
    return seen


def _attempt(context: Context, plan: _Plan, scenario: Batch) -> Scored:
    runtime = context.require_runtime()
    files: dict[str, Any] = {}
    if plan.store is not None:
        made = seeds(context, scenario.world, store=plan.store, registry={scenario.model: scenario.versions})
        files |= {**plan.store.files(made.seeded), **_tables(plan, made, scenario)}
        with runtime.cell(files=files) as cell:
            return _call(cell, plan, made, scenario)
    made = seeds(context, scenario.world)
    files |= _tables(plan, made, scenario)
    # A script that takes its model from there has not lost more than the registry.
    files |= {path: made.seeded.files / path for path in scenario.world.files}
    with runtime.mlflow("batch", seeded=made.seeded.store) as server:
        for model in plan.models:
            register_versions(server, made, model, scenario.versions)
        with runtime.cell(mlflow=server, files=files) as cell:
            seen = _call(cell, plan, made, scenario)
        return replace(
            seen,
            contacted=bool(server.requests()),
            downloaded=tuple(_downloaded(server, made, scenario)),
            asked=tuple(_asked(server, scenario)),
        )


def _call(cell: Cell, plan: _Plan, made: Seeds, scenario: Batch) -> Scored:
    limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
    before = cell.snapshot()
    recording = _Recording(cell)
    called = call(
        recording,
        plan.what,
        arguments=scenario.arguments,
        limits=limits,
        enough=lambda called: called.run.ok and _wrote_a_table(cell, cell.changed(before)),
    )
    wrote = cell.changed(before)
    found, column, comparison = _best_output(cell, wrote, made, scenario)
    return Scored(
        called=called,
        columns=made.columns,
        rows=len(made.rows),
        output=found,
        column=column,
        comparison=comparison,
        reads=tuple(_reads(b"".join(recording.reads), cell.root, plan.places)),
        wrote=wrote,
    )


def _tables(plan: _Plan, made: Seeds, scenario: Batch) -> dict[str, Any]:
    return {path: _table(made, scenario, labelled=labelled) for path, labelled in plan.places.items()}


def _table(made: Seeds, scenario: Batch, *, labelled: bool) -> bytes:
    """The input; where a file of the exam has labels, with a column of them."""
    header, rows = list(made.columns), [list(row) for row in made.rows]
    if labelled:
        header.append(scenario.world.target)
        rows = [[*row, str(n % 2)] for n, row in enumerate(rows)]
    return write_table([header, *rows])


# --- where the input is looked for ------------------------------------------------------------------


def named_tables(context: Context, file: str) -> Iterator[str]:
    """Tables of the submission that its script names: examples of an input."""
    submission = context.submission
    source = submission.deliverable(file)
    if source is None:
        return
    words = {
        PurePosixPath(node.value).name
        for module in modules(submission, source)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300
    }
    yield from (str(each.path) for each in submission.matching("*.csv") if each.path.name in words)


def _better(plan: _Plan, seen: Scored, scenario: Batch, store: LocalStore | None) -> _Plan:
    """What a script that failed would have needed: a file, a column, a name; else the same plan."""
    if plan.store is None and store is not None and not seen.contacted:
        return replace(plan, store=store)
    names = tuple(name for name in dict.fromkeys(seen.asked) if name not in plan.models)
    return replace(
        plan, places={**plan.places, **_wanted(plan, seen, scenario)}, models=(*plan.models, *names)
    )


def _wanted(plan: _Plan, seen: Scored, scenario: Batch) -> dict[str, bool]:
    """Where it looked for its input, or that it wanted the target in it."""
    error = seen.called.traceback
    said = error.message if error is not None else seen.called.run.tail(15)
    if error is not None and error.exception == "KeyError" and scenario.world.target in said:
        return dict.fromkeys(plan.places, True)
    found = [path.removeprefix(WORKSPACE + "/").removeprefix("./") for path in _paths(said)]
    return {path: False for path in found if path not in plan.places and _inside(path)}


def _paths(said: str) -> list[str]:
    return re.findall(r"(?<![\w./-])[\w./-]+\.csv\b", said)[:3]


def _inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts


# --- what came of it ------------------------------------------------------------------------------


def _wrote_a_table(cell: Cell, wrote: Sequence[str]) -> bool:
    return any(
        data is not None and parse(path, data) is not None
        for path in wrote[:_MAX_OUTPUTS]
        for data in [cell.read(path, _MAX_OUTPUT_BYTES)]
    )


def _best_output(
    cell: Cell, wrote: Sequence[str], made: Seeds, scenario: Batch
) -> tuple[Output | None, str, Comparison | None]:
    """The table that most looks like the predictions, by its column and its rows."""
    found: list[tuple[Output, str, Comparison]] = []
    for path in wrote[:_MAX_OUTPUTS]:
        data = cell.read(path, _MAX_OUTPUT_BYTES)
        output = parse(path, data) if data is not None else None
        if output is not None:
            found.append((output, *_predictions(output, made, scenario)))
    return max(found, key=_rank) if found else (None, "", None)


def _rank(found: tuple[Output, str, Comparison]) -> tuple[bool, bool, int]:
    output, column, comparison = found
    return bool(column), output.path.endswith(".csv"), -comparison.missing - comparison.extra


def _predictions(output: Output, made: Seeds, scenario: Batch) -> tuple[str, Comparison]:
    """The column of predictions: the one of that name, else the new one that a model agrees with most."""

    def compared(name: str) -> Comparison:
        return compare(output, output.column(name), made.columns, made.rows, made.predicted)

    if scenario.prediction in output.header:
        return scenario.prediction, compared(scenario.prediction)
    new = [name for name in output.header if name not in made.columns][:8]
    tried = {name: compared(name) for name in new}
    name = max(tried, key=lambda name: max(tried[name].agreement.values(), default=0), default="")
    if name and max(tried[name].agreement.values(), default=0) >= _SURE:
        return name, tried[name]
    return "", compared("")


def _reads(data: bytes, root: str, places: Mapping[str, bool]) -> Iterator[int]:
    """From the record of what pandas read; the script's own process told it, and it is only evidence."""
    for line in data.splitlines()[:10_000]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        match entry:
            case {"path": str(path), "rows": int(rows)}:
                if path.removeprefix(root.rstrip("/") + "/") in places:
                    yield rows


def _downloaded(server: MlflowServer, made: Seeds, scenario: Batch) -> Iterator[str]:
    """Runs whose model files were fetched, by the ids in the paths of the requests."""
    paths = {
        part
        for request in server.requests()
        if request.method == "GET" and "/artifacts/" in request.path and request.status == 200
        for part in request.path.split("/")
    }
    for version in scenario.versions:
        name = version.run
        if {made.ids[name], made.models[name].rpartition("/")[2]} & paths - {"model"}:
            yield name


def _asked(server: MlflowServer, scenario: Batch) -> Iterator[str]:
    """Names of other registered models that it asked for in vain."""
    for request in server.requests():
        body = request.body if isinstance(request.body, dict) else {}
        names = [body.get("name"), *request.query.get("name", ())]
        of_registry = "/registered-models/" in request.path or "/model-versions/" in request.path
        if request.status == 404 and of_registry:
            yield from (name for name in names if isinstance(name, str) and name not in ("", scenario.model))


def loaded(seen: Scored, scenario: Batch) -> str:
    """The run whose model made the predictions, judged by them or else by the downloads; may be empty."""
    labels = {version.run: _label(scenario, version.run) for version in scenario.versions}
    agreement = seen.comparison.agreement if seen.comparison is not None and seen.column else {}
    sure = [name for name, label in labels.items() if agreement.get(label, 0) >= _SURE]
    if sure:
        return sure[0]
    return seen.downloaded[0] if len(seen.downloaded) == 1 else ""


def agreement_with(seen: Scored, scenario: Batch, run: str) -> float:
    """The share of rows that have the prediction of a run's model."""
    return seen.comparison.agreement.get(_label(scenario, run), 0) if seen.comparison is not None else 0


def _label(scenario: Batch, name: str) -> str:
    return scenario.world.run(name).model or ""
