"""A registration script, run against a seeded server with an empty registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from grader.check import Deliverable, DeliverableIfAny, GivenFile, Names, Scenario, Seconds
from grader.checks.mlflow.local_stores import LocalStore, local_store
from grader.checks.mlflow.world import TrackedRuns, Version, arranged, best, register_versions, seeds
from grader.checks.scripts.call import made_files
from grader.checks.scripts.entry_points import Answered, answer
from grader.checks.scripts.sequence import in_order, is_test
from grader.readers.python.module import modules
from grader.readers.table import clean, read_table, write_table
from grader.runtime.sandbox.limits import Limits
from grader.runtime.services.mlflow import MlflowServer, ModelVersion, RunInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from grader.checks.scripts.call import Called
    from grader.context import Context
    from grader.documents import SourceFile
    from grader.runtime.cell import Cell

MAX_FILES = 3
_RUNNABLE = (".py", ".sh", ".bash", ".zsh", ".ipynb")


class Registration(Scenario):
    """How a registration script is run."""

    kind: ClassVar[str] = "registration"

    script: Deliverable
    """The script."""
    world: TrackedRuns
    """What is on the tracking server."""
    model: str
    """The registered model's name."""
    experiment: str
    """The experiment whose best run is to be registered."""
    metric: str
    """The metric by which runs are compared."""
    calls: Names
    """Functions that register a model."""
    raw: GivenFile
    """The given data that the grader cleans, in case training registers the model at its end."""
    data: str
    """The path of the cleaned data."""
    training: DeliverableIfAny
    """The deliverable that may have registered its models already."""
    registers: str
    """The parameter by which logging a model registers it too."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        self.world.require_search(self.experiment, self.metric)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What the registry holds after a script."""

    file: str
    answered: Answered
    versions: tuple[ModelVersion, ...] = ()
    """The model's versions, oldest first."""
    model: str = ""
    """The registered model's own description."""
    others: tuple[str, ...] = ()
    """Other registered models."""
    best: RunInfo | None = None
    """The best run of the experiment: of those that were there before, or that the script trained."""
    sources: dict[str, str]
    """Id of a logged model of MLflow 3 -> its run."""
    trained: bool = False
    """Training had registered the models, as the submission has it do."""

    @property
    def called(self) -> Called:
        """The call that registered."""
        return self.answered.called

    def run_of(self, version: ModelVersion) -> str:
        """The id of the run that a version comes from; empty if unknown."""
        known = [*self.sources.items(), *([(self.best.id, self.best.id)] if self.best else [])]
        found = next((run for part, run in known if part in version.source.split("/")), "")
        return found or version.run_id


def registered(context: Context, scenario: Registration) -> Registered | None:
    """The registry after the first file that registers anything; after the likeliest one where none does.

    None where there is no file that could be started.
    """
    key = ("registration", scenario)
    return context.memo.once(key, lambda: _best(context, scenario))


def _best(context: Context, scenario: Registration) -> Registered | None:
    """What one file does, or what several do one after another where one alone leaves something to do."""
    alone = _first(context, scenario)
    seen = alone
    if alone is not None and alone.versions and not _is_whole(alone):
        files, where = in_order(context.submission, _steps(context, scenario, alone), scenario.calls)
        if len(files) > 1:
            several = _run(context, files, scenario, trained=alone.trained, origin=where)
            seen = several if _reach(several) > _reach(alone) else alone
    if seen is not None:
        context.record_call(scenario.script, seen.called.record(PurePosixPath(seen.file)))
    return seen


def _is_whole(seen: Registered) -> bool:
    return all(_reach(seen))


def _reach(seen: Registered) -> tuple[bool, bool, bool]:
    """How far it came: a version, one with a stage, one with a description."""
    staged = any(version.stage not in ("", "None") for version in seen.versions)
    described = any((seen.model, *(version.description for version in seen.versions)))
    return bool(seen.versions), staged, described


def _steps(context: Context, scenario: Registration, first: Registered) -> list[SourceFile]:
    """The file that registers, and others that may go on from there: none that it imports, and no test."""
    submission = context.submission
    source = submission.file(first.file)
    if source is None:
        return []
    taken = {path for name, path in submission.deliverables.items() if name != scenario.script}
    taken |= {module.file.path for module in modules(submission, source)}
    others = (path for path in submission.alternatives.get(scenario.script, ()) if path not in taken)
    found = (submission.file(path) for path in others if path.suffix in _RUNNABLE and not is_test(path))
    return [source, *(file for file in found if file is not None)][:MAX_FILES]


def _first(context: Context, scenario: Registration) -> Registered | None:
    runs: list[Registered] = []
    for source in _files(context, scenario.script):
        runs.append(_run(context, (source,), scenario, trained=False))
        if runs[-1].versions:
            return runs[-1]
        if _registers_in_training(context, scenario):
            runs.append(_run(context, (source,), scenario, trained=True))
            if any(version.stage != "None" for version in runs[-1].versions):
                return runs[-1]
    return runs[0] if runs else None


def _files(context: Context, script: str) -> Iterator[SourceFile]:
    submission = context.submission
    main = submission.deliverable(script)
    paths = [main.path] if main is not None else []
    for path in dict.fromkeys([*paths, *submission.alternatives.get(script, ())[:MAX_FILES]]):
        source = submission.file(path)
        if source is not None and path.suffix in _RUNNABLE:
            yield source


def _registers_in_training(context: Context, scenario: Registration) -> bool:
    """Whether training logs its model with the name under which it is registered."""
    source = context.submission.deliverable(scenario.training)
    found = () if source is None else modules(context.submission, source)
    return any(
        call.value(scenario.registers) == scenario.model for module in found for call in module.calls()
    )


def _run(
    context: Context,
    sources: tuple[SourceFile, ...],
    scenario: Registration,
    *,
    trained: bool,
    origin: str = "",
) -> Registered:
    """Run the files one after another; each only where the one before ended well."""
    source = sources[0]
    runtime, made = context.require_runtime(), seeds(context, scenario.world)
    situation = "registration_after_training" if trained else "registration"
    with runtime.mlflow(situation, seeded=made.seeded.store) as server:
        if trained:
            register_versions(server, made, scenario.model, _all_versions(context, scenario))
        before = server.runs(scenario.experiment)
        with runtime.cell(mlflow=server, files=_data(context, scenario, sources)) as cell:
            answered = _answers(context, cell, sources, scenario, lambda: _asked(server), origin)
        if not server.requests() and (store := local_store(context.submission, source)):
            return _run_locally(context, sources, scenario, store, trained=trained, origin=origin)
        return _registry(server, source, answered, scenario, before, trained=trained)


def _run_locally(
    context: Context,
    sources: tuple[SourceFile, ...],
    scenario: Registration,
    store: LocalStore,
    *,
    trained: bool,
    origin: str = "",
) -> Registered:
    """The same for a script that registers in a store of its own, whatever it is told."""
    source = sources[0]
    registry = {scenario.model: _all_versions(context, scenario)} if trained else {}
    made = seeds(context, scenario.world, store=store, registry=registry)
    files = {**_data(context, scenario, sources), **store.files(made.seeded)}
    with context.require_runtime().cell(files=files) as cell:
        answered = _answers(context, cell, sources, scenario, lambda: False, origin)
        asked = {"uri": store.uri, "experiment": scenario.experiment, "model": scenario.model}
        _, told = cell.probe("read_store", asked)
    before = [run for run in made.runs if run.experiment == scenario.experiment]
    return from_store(told, source, answered, scenario, before, trained=trained)


def _answers(
    context: Context,
    cell: Cell,
    sources: Sequence[SourceFile],
    scenario: Registration,
    asked: Callable[[], bool],
    origin: str,
) -> Answered:
    """The last answer, which knows what went before it."""
    before: list[str] = []
    for source in sources:
        answered = _answer(context, cell, source, scenario, asked)
        called = replace(answered.called, after=tuple(before))
        answered = replace(answered, called=replace(called, origin=origin or called.origin))
        if not answered.called.run.ok:
            break
        before.append(answered.called.shown.rpartition(" && ")[2])
    return answered


def _answer(
    context: Context,
    cell: Cell,
    source: SourceFile,
    scenario: Registration,
    asked: Callable[[], bool],
) -> Answered:
    return answer(
        cell,
        context.submission,
        source,
        deliverable=scenario.script,
        wanted=scenario.calls,
        enough=lambda _: asked(),
        arguments=scenario.arguments,
        limits=Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds),
    )


def _registry(
    server: MlflowServer,
    source: SourceFile,
    answered: Answered,
    scenario: Registration,
    before: Sequence[RunInfo],
    *,
    trained: bool,
) -> Registered:
    models = {each.name: each for each in server.registered_models()}
    logged = server.logged_models()
    holds = {each.run_id for each in logged}
    after = [
        run
        for run in server.runs(scenario.experiment)
        if run.id in holds or next(run.artifacts.walk(), None) is not None
    ]
    return Registered(
        file=source.name,
        answered=answered,
        versions=tuple(server.versions(scenario.model)),
        model=models[scenario.model].description if scenario.model in models else "",
        others=tuple(name for name in models if name != scenario.model),
        best=best_of(before, after, scenario.metric),
        sources={each.id: each.run_id for each in logged},
        trained=trained,
    )


def best_of(before: Sequence[RunInfo], after: Sequence[RunInfo], metric: str) -> RunInfo | None:
    """The best run, whatever a script did to make another one so.

    Runs that were there before count as they were, also where it deleted them or logged other numbers to
    them. Besides, a script may train before it registers.

    Args:
        after: runs that are there now; who trains a model keeps it.
    """
    known = {run.id for run in before}
    return best([*before, *(run for run in after if run.id not in known)], metric)


def from_store(
    told: object,
    source: SourceFile,
    answered: Answered,
    scenario: Registration,
    before: Sequence[RunInfo],
    *,
    trained: bool,
) -> Registered:
    """What a probe says of a store that candidate code wrote: anything may stand in there."""
    answer: dict[str, Any] = told if isinstance(told, dict) else {}
    versions = [_version(each, scenario.model) for each in _dicts(answer.get("versions"))]
    models = answer.get("models")
    return Registered(
        file=source.name,
        answered=answered,
        versions=tuple(sorted(versions, key=lambda each: each.version.zfill(9))),
        model=str(answer.get("description", "")),
        best=best_of(
            before, [_run_info(each, scenario) for each in _dicts(answer.get("runs"))], scenario.metric
        ),
        sources={str(model): str(run) for model, run in models.items()} if isinstance(models, dict) else {},
        trained=trained,
    )


def _dicts(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _version(entry: Mapping[str, Any], model: str) -> ModelVersion:
    aliases = entry.get("aliases")
    names = ("version", "stage", "run_id", "source", "description")
    return ModelVersion(
        name=model,
        status="READY",
        tags={},
        aliases=tuple(map(str, aliases)) if isinstance(aliases, list) else (),
        **{name: str(entry.get(name, "")) for name in names},
    )


def _run_info(entry: Mapping[str, Any], scenario: Registration) -> RunInfo:
    metrics = entry.get("metrics")
    numbers = metrics.items() if isinstance(metrics, dict) else ()
    return RunInfo(
        id=str(entry.get("id", "")),
        name=str(entry.get("name", "")),
        status="FINISHED",
        experiment=scenario.experiment,
        experiment_id="",
        params={},
        metrics={str(name): float(number) for name, number in numbers if isinstance(number, int | float)},
        tags={},
        artifact_uri="",
    )


def _all_versions(context: Context, scenario: Registration) -> list[Version]:
    """A version of every run of the experiment, as a training that registers what it logs leaves them."""
    return [
        Version(run=run.name)
        for run in arranged(scenario.world, context.seed).runs
        if run.experiment == scenario.experiment and run.model and not run.deleted
    ]


def _asked(server: MlflowServer) -> bool:
    """Whether the registry received any request."""
    return any(
        "/registered-models/" in each.path or "/model-versions/" in each.path for each in server.requests()
    )


def _data(context: Context, scenario: Registration, sources: Sequence[SourceFile]) -> dict[str, Any]:
    table = clean(read_table(context.given(scenario.raw)), drop_duplicates=True, drop_blanks=True)
    made = {path: data for source in sources for path, data in made_files(source).items()}
    return {scenario.data: write_table(table), **made}
