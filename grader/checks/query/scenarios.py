"""A query for the best runs, run against a seeded server: once as it is, once where few runs qualify."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from grader.check import Deliverable, Names, Scenario, Seconds, require_name
from grader.checks.mlflow.local_stores import LocalStore, local_store
from grader.checks.mlflow.mentions import Mentions, mentions
from grader.checks.mlflow.world import SeedRun, TrackedRuns, delete_runs, seeds
from grader.checks.scripts.call import made_files
from grader.checks.scripts.entry_points import Answered, answer
from grader.errors import GraderFault
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from grader.checks.scripts.call import Called
    from grader.context import Context
    from grader.documents import SourceFile
    from grader.runtime.cell import Cell
    from grader.runtime.services.mlflow import MlflowServer, RunInfo

_MAX_FILE_BYTES = 2**20
_MAX_SEARCHES = 20


class Query(Scenario):
    """How a query is run, and what it has to find."""

    kind: ClassVar[str] = "query"

    script: Deliverable
    """The script."""
    world: TrackedRuns
    """What is on the tracking server."""
    delete: tuple[str, ...]
    """Runs of the world to delete for the second time, so that fewer than `count` qualify."""
    experiment: str
    """The experiment to search."""
    metric: str
    """The metric by which runs are compared."""
    above: float
    """The value that a run's metric must exceed."""
    count: Annotated[int, Field(gt=0)]
    """How many of the best runs to find."""
    calls: Names
    """Functions that search for runs."""
    registers: tuple[str, ...]
    """Functions that register a model: a file that calls them must show more than its best run."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        self.world.require_search(self.experiment, self.metric)
        for name in self.delete:
            require_name("run of the world", name, [run.name for run in self.world.runs])
        many = [run.name for run in self.world.runs if self._qualifies(run)]
        if len(many) <= self.count:
            raise ValueError(
                f"{len(many)} runs have {self.metric} > {self.above:g}: more than {self.count} must qualify, "
                "or taking the best few cannot be told from taking all"
            )
        if not 0 < len(set(many) - set(self.delete)) < self.count:
            raise ValueError(
                f"once `delete` is done, fewer than {self.count} runs must qualify, and at least one"
            )
        return self

    def _qualifies(self, run: SeedRun) -> bool:
        measured = run.metrics.get(self.metric, self.above)
        return run.experiment == self.experiment and measured > self.above and not run.deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run of the query."""

    file: str
    """The file that searches."""
    further: tuple[str, ...] = ()
    """Files that were run after it, one after another, and go on from what it left."""
    wrote: tuple[str, ...] = ()
    """Paths that changed."""
    answered: Answered
    there: tuple[RunInfo, ...]
    """Every run on the server, deleted ones too."""
    mentions: Mentions
    """What it printed, returned or wrote to a file."""
    asked: tuple[RunInfo, ...] = ()
    """The result of its last search, when repeated."""
    contacted: bool = False
    """Whether it sent the server any request."""
    registered: bool = False
    """Whether it also registered a model."""

    @property
    def called(self) -> Called:
        """The call that showed it."""
        return self.answered.called


def on_many(context: Context, files: tuple[SourceFile, ...], scenario: Query) -> Shown:
    """The query where more runs qualify than are wanted; several files run one after another."""
    return _once(context, files, scenario, "query")


def on_few(context: Context, files: tuple[SourceFile, ...], scenario: Query) -> Shown:
    """The query where fewer runs qualify than are wanted."""
    return _once(context, files, scenario, "query_of_few")


def _once(context: Context, files: tuple[SourceFile, ...], scenario: Query, situation: str) -> Shown:
    key = (situation, *(file.name for file in files), scenario)
    return context.memo.once(key, lambda: _run(context, files, scenario, situation))


def _run(context: Context, files: tuple[SourceFile, ...], scenario: Query, situation: str) -> Shown:
    runtime, made = context.require_runtime(), seeds(context, scenario.world)
    with runtime.mlflow(situation, seeded=made.seeded.store) as server:
        if situation != "query":
            delete_runs(server, made, scenario.delete)
        there = tuple(server.runs(deleted=True))
        with runtime.cell(mlflow=server, files=_made_files(files)) as cell:
            shown = _ask(context, cell, files, scenario, there, lambda: _searches(server))
        if not server.requests() and (store := local_store(context.submission, files[0])):
            return _run_locally(context, files, scenario, situation, store)
        return replace(
            shown,
            asked=replayed(server, there),
            contacted=bool(server.requests()),
            registered=any(_registers(request.path) for request in server.requests()),
        )


def _made_files(files: Sequence[SourceFile]) -> dict[str, bytes]:
    return {path: data for file in files for path, data in made_files(file).items()}


def _run_locally(
    context: Context, files: tuple[SourceFile, ...], scenario: Query, situation: str, store: LocalStore
) -> Shown:
    """The same for a script that looks into a store of its own, whatever it is told."""
    deleted = [] if situation == "query" else scenario.delete
    made = seeds(context, scenario.world, store=store, deleted=deleted)
    held = {**_made_files(files), **store.files(made.seeded)}
    with context.require_runtime().cell(files=held) as cell:
        shown = _ask(context, cell, files, scenario, made.runs, lambda: 0)
    return replace(shown, contacted=True)


def _ask(
    context: Context,
    cell: Cell,
    files: tuple[SourceFile, ...],
    scenario: Query,
    there: tuple[RunInfo, ...],
    searches: Callable[[], int],
) -> Shown:
    """Run the files one after another; what the last one shows is the answer, if it shows any run."""
    shown = None
    for index, file in enumerate(files):
        before = cell.snapshot()
        answered = answer(
            cell,
            context.submission,
            file,
            deliverable=scenario.script,
            wanted=scenario.calls,
            enough=partial(_is_enough, searches, searches(), there, scenario),
            arguments=scenario.arguments,
            limits=Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds),
            unwanted=scenario.registers,
        )
        wrote = cell.changed(before)
        found = _mentioned(answered, _written(cell, wrote), there, scenario)
        if shown is not None:
            after = (*shown.called.after, shown.called.shown.rpartition(" && ")[2])
            answered = replace(answered, called=replace(answered.called, after=after))
            found = found if found.runs else shown.mentions
        shown = Shown(
            file=files[0].name,
            further=tuple(each.name for each in files[1 : index + 1]),
            wrote=wrote,
            answered=answered,
            there=there,
            mentions=found,
        )
        if not answered.called.run.ok:
            break
    if shown is None:
        raise ValueError("there is no file to run")
    return shown


def _is_enough(
    searches: Callable[[], int],
    before: int,
    there: tuple[RunInfo, ...],
    scenario: Query,
    called: Called,
) -> bool:
    """Whether a call searched, or printed a run."""
    return searches() > before or bool(_printed(called, there, scenario).runs)


def _mentioned(
    answered: Answered, written: Sequence[str], there: tuple[RunInfo, ...], scenario: Query
) -> Mentions:
    """What was returned, else what was printed, else what was written to a file or a log."""
    for text in (*answered.returned, answered.called.run.stdout, *written, answered.called.run.stderr):
        found = mentions(text, there, scenario.metric, scenario.above)
        if found.runs:
            return found
    return Mentions(())


def _printed(called: Called, there: tuple[RunInfo, ...], scenario: Query) -> Mentions:
    return mentions(called.run.stdout, there, scenario.metric, scenario.above)


def _written(cell: Cell, changed: Sequence[str]) -> list[str]:
    data = (cell.read(path, _MAX_FILE_BYTES) for path in changed[:20])
    return [each.decode("utf-8", "replace") for each in data if each is not None]


def _searches(server: MlflowServer) -> int:
    """How many searches it was asked for."""
    return sum(request.path.endswith("/runs/search") for request in server.requests())


def _registers(path: str) -> bool:
    return path.endswith(("/model-versions/create", "/registered-models/create"))


def replayed(server: MlflowServer, there: Sequence[RunInfo]) -> tuple[RunInfo, ...]:
    """What the last search that found something gives, in its order."""
    runs = {run.id: run for run in there}
    searches = [each for each in server.requests() if each.path.endswith("/runs/search")]
    for request in searches[::-1][:_MAX_SEARCHES]:
        if request.status == 200 and isinstance(request.body, dict):
            found = [runs[each] for each in _search(server, request.body) if each in runs]
            if found:
                return tuple(found)
    return ()


def _search(server: MlflowServer, body: Mapping[str, Any]) -> list[str]:
    known = ("experiment_ids", "filter", "run_view_type", "max_results", "order_by")
    try:
        answer = server.ask("POST", "runs/search", **{name: body[name] for name in known if name in body})
    except GraderFault:  # it answered the script, and may not answer us
        return []
    return [str(run["info"]["run_id"]) for run in answer.get("runs", ())]
