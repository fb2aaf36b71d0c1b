"""A registration script, run against a seeded server with an empty registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from grader.checks.context import Context
from grader.checks.entry_points import Answered, answer
from grader.checks.python_facts import modules
from grader.checks.run_world import Version, World, best, register_versions, seeds
from grader.checks.scripts import Called
from grader.checks.training_runs import clean, read_table, write_table
from grader.documents import SourceFile
from grader.errors import GraderFault
from grader.runtime.sandbox import Limits
from grader.runtime.services import MlflowServer, ModelVersion, RunInfo

MOST_FILES = 3
_RUNNABLE = (".py", ".sh", ".bash", ".zsh")


class Registration(TypedDict):
    """How a registration is run; the same mapping for every check, so that they share its run."""

    world: World
    model: str
    experiment: str
    metric: str
    calls: list[str]
    """Functions that register."""
    raw: str
    """The given data that the grader cleans, for a registration at the end of a training."""
    data: str
    """Where the cleaned data belong."""
    training: str
    """The deliverable that may have registered its models already."""
    registers: str
    """The parameter by which logging a model registers it too."""
    arguments: dict[str, str]
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What the registry holds after a script."""

    file: str
    answered: Answered
    versions: tuple[ModelVersion, ...] = ()
    """Those of the model, oldest first."""
    model: str = ""
    """The registered model's own description."""
    others: tuple[str, ...] = ()
    """Other names in the registry."""
    best: RunInfo | None = None
    """The best run of the experiment, once the script is done."""
    sources: dict[str, str]
    """Id of a logged model of MLflow 3 -> its run."""
    trained: bool = False
    """Training had registered the models, as the submission has it do."""

    @property
    def called(self) -> Called:
        """The call that did it."""
        return self.answered.called

    def run_of(self, version: ModelVersion) -> str:
        """Id of the run that a version comes from, as far as can be told."""
        known = [*self.sources.items(), *([(self.best.id, self.best.id)] if self.best else [])]
        found = next((run for part, run in known if part in version.source.split("/")), "")
        return found or version.run_id


def registered(context: Context, file: str, how: Registration) -> Registered:
    """The registry after the first file that registers anything; after the likeliest one where none does."""
    key = ("registration", file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _first(context, file, how))


def _first(context: Context, file: str, how: Registration) -> Registered:
    runs: list[Registered] = []
    for source in _files(context, file):
        runs.append(_run(context, file, source, how, trained=False))
        if runs[-1].versions:
            return runs[-1]
        if _registers_in_training(context, how):
            runs.append(_run(context, file, source, how, trained=True))
            if any(version.stage != "None" for version in runs[-1].versions):
                return runs[-1]
    if not runs:
        raise GraderFault(f"there is no {file} to run")
    return runs[0]


def _files(context: Context, file: str) -> Iterator[SourceFile]:
    submission = context.submission
    main = submission.deliverable(file)
    paths = [main.path] if main is not None else []
    for path in dict.fromkeys([*paths, *submission.alternatives.get(file, ())[:MOST_FILES]]):
        source = submission.file(path)
        if source is not None and path.suffix in _RUNNABLE:
            yield source


def _registers_in_training(context: Context, how: Registration) -> bool:
    """Whether training logs its model with the name under which it is registered."""
    source = context.submission.deliverable(how["training"])
    found = () if source is None else modules(context.submission, source)
    return any(call.value(how["registers"]) == how["model"] for module in found for call in module.calls())


def _run(context: Context, file: str, source: SourceFile, how: Registration, *, trained: bool) -> Registered:
    lab, made = context.require_lab(), seeds(context, how["world"])
    scenario = "registration_after_training" if trained else "registration"
    with lab.mlflow(scenario, seeded=made.seeded.store) as server:
        if trained:
            _register_all(server, context, how)
        with lab.cell(scenario, mlflow=server, files=_data(context, how)) as cell:
            answered = answer(
                cell,
                context.submission,
                source,
                deliverable=file,
                wanted=how["calls"],
                enough=lambda _: _asked(server),
                arguments=how["arguments"],
                limits=Limits(cpu_seconds=how["cpu_seconds"], wall_seconds=how["wall_seconds"]),
            )
        return _registry(server, source, answered, how, trained=trained)


def _registry(
    server: MlflowServer, source: SourceFile, answered: Answered, how: Registration, *, trained: bool
) -> Registered:
    models = {each.name: each for each in server.registered_models()}
    return Registered(
        file=source.name,
        answered=answered,
        versions=tuple(server.versions(how["model"])),
        model=models[how["model"]].description if how["model"] in models else "",
        others=tuple(name for name in models if name != how["model"]),
        best=best(server.runs(how["experiment"]), how["metric"]),
        sources={each.id: each.run_id for each in server.logged_models()},
        trained=trained,
    )


def _register_all(server: MlflowServer, context: Context, how: Registration) -> None:
    """A version of every run of the experiment, as a training that registers what it logs leaves them."""
    names = [
        run["name"]
        for run in how["world"]["runs"]
        if run["experiment"] == how["experiment"] and run.get("model") and not run.get("deleted")
    ]
    versions: list[Version] = [{"run": name} for name in names]
    register_versions(server, seeds(context, how["world"]), how["model"], versions)


def _asked(server: MlflowServer) -> bool:
    """Whether anything was asked of the registry."""
    return any(
        "/registered-models/" in each.path or "/model-versions/" in each.path for each in server.requests()
    )


def _data(context: Context, how: Registration) -> dict[str, Any]:
    given = context.submission.given.get(how["raw"]) or context.exam.data.get(how["raw"])
    if given is None:
        raise GraderFault(f"the exam gives no {how['raw']}")
    table = clean(read_table(given.read_bytes()), drop_duplicates=True, drop_blanks=True)
    return {how["data"]: write_table(table)}
