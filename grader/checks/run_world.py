"""A seeded tracking server: experiments with known runs, and models that predict differently."""

from __future__ import annotations

import ast
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from grader.checks.context import Context
from grader.checks.local_stores import LocalStore
from grader.checks.python_facts import modules
from grader.checks.training_runs import read_table
from grader.documents import SourceFile
from grader.errors import GraderFault
from grader.runtime.lab import Seeded
from grader.runtime.services import MlflowServer, RunInfo

_MODEL_NAME = "model"
_MOST_NAMES = 3


class _Measured(TypedDict):
    experiment: str
    name: str
    metrics: dict[str, float]


class SeedRun(_Measured, total=False):
    """One run of the world, told apart by its name."""

    exact: bool
    """Its metrics are exactly these, whatever the seed."""
    model: str
    status: str
    deleted: bool


class World(TypedDict):
    """What is on the server; the same mapping wherever it is used, so that it is made once."""

    recipe: str
    data: str
    target: str
    models: dict[str, dict[str, Any]]
    files: dict[str, str]
    """Models that are files beside the server: path -> label."""
    params: dict[str, list[str]]
    """Values that a parameter of a run may have."""
    jitter: float
    """How far the seed moves a metric."""
    runs: list[SeedRun]
    """In the order in which they are logged."""
    rows: int
    """How many rows the models predict, at least."""
    more_rows: int
    """How many more there may be, as the seed wants."""
    repeated: float
    """The share of rows that stand there already."""
    blank: float
    """The share of rows with a blank, where the data have some and the environment's models take them."""


class _Sourced(TypedDict):
    run: str
    """The name of its run in the world."""


class Version(_Sourced, total=False):
    """A version to register."""

    stage: str
    aliases: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """A world that was made."""

    seeded: Seeded
    ids: Mapping[str, str]
    """Name in the rubric -> id of the run."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """As text; a blank is empty."""
    predicted: Mapping[str, tuple[Any, ...]]
    """Label of a model -> its prediction for each row."""
    models: Mapping[str, str]
    """Name of a run in the rubric -> what its model was logged as."""
    runs: tuple[RunInfo, ...]
    """As they were logged, for a world that is not on a server."""


def seeds(
    context: Context,
    world: World,
    *,
    store: LocalStore | None = None,
    deleted: Sequence[str] = (),
    registry: Mapping[str, Sequence[Version]] | None = None,
) -> Seeds:
    """The world, made in the candidate's environment.

    Args:
        store: where it is made, if not for a server; what a server would be asked later is done at once:
        deleted: runs by name.
        registry: versions of registered models.
    """
    more: dict[str, Any] = {}
    if store is not None:
        numbers = {run["name"]: n for n, run in enumerate(world["runs"])}
        listed = {
            name: [{**version, "run": numbers[version["run"]]} for version in versions]
            for name, versions in (registry or {}).items()
        }
        more = {"uri": store.uri, "store": store.path, "registry": listed}
        gone: list[SeedRun] = [
            {**run, "deleted": True} if run["name"] in deleted else run for run in world["runs"]
        ]
        world = {**world, "runs": gone}
    key = ("seeds", context.seed, json.dumps([world, more], sort_keys=True))
    return context.memo.once(key, lambda: _make(context, world, more))


def _make(context: Context, world: World, more: Mapping[str, Any]) -> Seeds:
    columns, rows = input_rows(_given(context, world["data"]), world, context.seed)
    runs = list(_runs(world, context.seed))
    parameters = {
        "data": {"file": world["data"], "target": world["target"]},
        "models": world["models"],
        "files": world["files"],
        "names": model_names(context),
        "runs": runs,
        "rows": [[float(cell) if cell else None for cell in row] for row in rows],
        **more,
    }
    made = context.require_lab().seeded(world["recipe"], parameters)
    answer = made.answer
    names = [run["name"] for run in world["runs"]]
    keep = _complete(rows, blanks=answer["blanks"] is True)
    return Seeds(
        seeded=made,
        ids={name: told["id"] for name, told in zip(names, answer["runs"], strict=True)},
        columns=columns,
        rows=tuple(rows[n] for n in keep),
        predicted={label: tuple(found[n] for n in keep) for label, found in answer["models"].items()},
        models={name: told["model"] for name, told in zip(names, answer["runs"], strict=True)},
        runs=tuple(_info(told["id"], run) for told, run in zip(answer["runs"], runs, strict=True)),
    )


def _info(identity: str, run: Mapping[str, Any]) -> RunInfo:
    return RunInfo(
        id=identity,
        name=run["name"],
        status=run.get("status", "FINISHED"),
        experiment=run["experiment"],
        experiment_id="",
        params=run["params"],
        metrics=run["metrics"],
        tags={},
        artifact_uri="",
        artifact_root=Path(),
        active=not run.get("deleted"),
    )


def _complete(rows: Sequence[Sequence[str]], *, blanks: bool) -> list[int]:
    return [n for n, row in enumerate(rows) if blanks or all(row)]


def _runs(world: World, seed: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(f"runs {seed}")  # noqa: S311
    for run in world["runs"]:
        moved = {
            name: round(value + (0 if run.get("exact") else dice.uniform(0, world["jitter"])), 6)
            for name, value in run["metrics"].items()
        }
        yield {
            **run,
            "name": f"{run['name']}-{dice.randrange(100, 1000)}",
            "metrics": moved,
            "params": {name: dice.choice(values) for name, values in world["params"].items()},
        }


def _given(context: Context, path: str) -> bytes:
    given = context.submission.given.get(path) or context.exam.data.get(path)
    if given is None:
        raise GraderFault(f"the exam gives no {path}")
    return given.read_bytes()


# --- rows to predict: pure ------------------------------------------------------------------------


def input_rows(data: bytes, world: World, seed: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of an input: new combinations of the data's own cells, some repeated or blank."""
    header, *given = read_table(data)
    dice = random.Random(f"rows {seed}")  # noqa: S311
    chosen = [n for n, name in enumerate(header) if name != world["target"]]
    pools = {n: [row[n] for row in given if row[n].strip()] for n in chosen}
    holes = [place for place, n in enumerate(chosen) if len(pools[n]) < len(given)]
    rows: list[tuple[str, ...]] = []
    for _ in range(world["rows"] + dice.randrange(world["more_rows"])):
        if rows and dice.random() < world["repeated"]:
            rows.append(dice.choice(rows))
            continue
        row = [dice.choice(pools[n]) for n in chosen]
        if holes and dice.random() < world["blank"]:
            row[dice.choice(holes)] = ""
        rows.append(tuple(row))
    return tuple(header[n] for n in chosen), rows


# --- names that the submission gives its models -----------------------------------------------------


def model_names(context: Context) -> list[str]:
    """Under which names runs log their model: as the submission does, which goes by them later."""
    submission = context.submission
    start = [submission.deliverable(name) for name in ("train", "register")]
    found = [name for file in start if file is not None for name in _named(context, file)]
    return list(dict.fromkeys([_MODEL_NAME, *found]))[:_MOST_NAMES]


def _named(context: Context, file: SourceFile) -> Iterator[str]:
    for module in modules(context.submission, file):
        for call in module.calls():
            if call.name.rpartition(".")[2] == "log_model":
                for value in (call.value("artifact_path", 1), call.value("name")):
                    if isinstance(value, str) and _usable(value):
                        yield value
        for node in ast.walk(module.tree):
            match node:
                case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_, ast.Constant(value=str(end))]):
                    if start.startswith("runs:/") and end.startswith("/") and _usable(end[1:]):
                        yield end[1:]


def _usable(name: str) -> bool:
    """A name that every MLflow takes, and that leads nowhere else."""
    plain = name.replace("_", "").replace("-", "")
    return plain.isalnum() and plain.isascii() and len(name) < 60


# --- the server -----------------------------------------------------------------------------------


def delete_runs(server: MlflowServer, seeds: Seeds, names: Sequence[str]) -> None:
    """Take runs away from a copy of the world."""
    for name in names:
        server.ask("POST", "runs/delete", run_id=seeds.ids[name])


def register_versions(server: MlflowServer, seeds: Seeds, model: str, versions: Sequence[Version]) -> None:
    """Give a registered model versions, numbered in this order."""
    server.ask("POST", "registered-models/create", name=model)
    runs = {run.id: run for run in server.runs(deleted=True)}
    for number, version in enumerate(versions, start=1):
        run, uri = runs[seeds.ids[version["run"]]], seeds.models[version["run"]]
        beside = uri.startswith("models:/")
        source = uri if beside else f"{run.artifact_uri}/{_MODEL_NAME}"
        more = {"model_id": uri.rpartition("/")[2]} if beside else {}
        server.ask("POST", "model-versions/create", name=model, source=source, run_id=run.id, **more)
        if stage := version.get("stage"):
            server.ask(
                "POST", "model-versions/transition-stage", name=model, version=str(number), stage=stage
            )
        for alias in version.get("aliases", ()):
            server.ask("POST", "registered-models/alias", name=model, alias=alias, version=str(number))


def best(runs: Sequence[RunInfo], metric: str) -> RunInfo | None:
    """The run with the highest metric."""
    measured = [run for run in runs if run.active and run.metrics.get(metric, -1) >= 0]
    return max(measured, key=lambda run: run.metrics[metric], default=None)
