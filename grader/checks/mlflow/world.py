"""A seeded tracking server: experiments with known runs, and models that predict differently."""

from __future__ import annotations

import ast
import itertools
import random
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from grader.check import DeliverableIfAny, GivenFile, Parameters, World, require_name
from grader.readers.python.module import modules
from grader.readers.table import read_table
from grader.runtime.services.mlflow import MlflowServer, RunInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from grader.checks.mlflow.local_stores import LocalStore
    from grader.context import Context
    from grader.documents import SourceFile
    from grader.runtime.submission_runtime import Seeded

SERVED = "served"
"""The probe's label for the served model."""
_MODEL_NAME = "model"
Scalar = str | int | float | bool
"""The value of a parameter, as YAML has it."""
Stage = Literal["None", "Staging", "Production", "Archived"]
_MAX_NAMES = 3
_SHARE = re.compile(r"\.(\d{2,})|(?<![\d.])(\d{2})(?=(?:\.\d+)?\s?%)")


class Estimator(Parameters):
    """A class with scikit-learn's interface, such as one of scikit-learn's own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    """The full name: `sklearn.ensemble.RandomForestClassifier`."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    """Parameters for every model."""

    def request(self, seed: int) -> dict[str, Any]:
        """What a probe is asked for: what models learn from is public, and their random state is not."""
        return {**self.model_dump(), "random_state": unforeseen(seed)}


class ModelSpec(Parameters):
    """How to fit a model."""

    labels: Literal["flipped", "shuffled"] | None = None
    """How the labels are changed first, so that its predictions differ from those of other models."""
    params: dict[str, Scalar] = Field(default_factory=dict)
    """Parameters for the estimator, for this model alone."""


class SeedRun(Parameters):
    """One run of the world, identified by its name."""

    experiment: str
    name: str
    metrics: dict[str, float]
    exact: bool = False
    """Whether the metrics stay as given, whatever the seed: for a limit that candidates know."""
    model: str | None = None
    status: Literal["FINISHED", "FAILED", "RUNNING", "KILLED", "SCHEDULED"] | None = None
    deleted: bool = False


class Asked(Parameters):
    """What candidates are asked to find out."""

    run: str
    """The run's name in the rubric."""
    metric: str


class TrackedRuns(World):
    """What is on the server: experiments with runs whose metrics stand in known relations.

    It is public, and says what stands in which relation. What a program sees is drawn: who has which name,
    who takes whose turn, and the metric asked for, in its order of size and on its side of exact ones.
    """

    kind: ClassVar[str] = "tracked_runs"

    data: GivenFile
    """The given data that models are fitted on."""
    target: str
    """The label column. All other columns must be numeric."""
    estimator: Estimator
    """The class that models are instances of."""
    models: dict[str, ModelSpec]
    """How to fit the models of its runs, by label."""
    files: dict[str, str]
    """Models that exist as files as well: label by path."""
    params: dict[str, tuple[str, ...]]
    """Values that a run's parameter may have."""
    jitter: Annotated[float, Field(ge=0, lt=0.01)]
    """How far above hundredths metrics may lie: at two places they are told apart, rounded or cut off."""
    asked: Asked
    """Any value that fits, less those that the submission names: none may have been written down before."""
    answers: tuple[DeliverableIfAny, ...] = ()
    """Deliverables in which a candidate may have hard-coded a value of the metric, which runs then avoid."""
    named_by: tuple[DeliverableIfAny, ...] = ()
    """Deliverables that log or load models: runs store their models under the names used there."""
    earlier: tuple[str, ...] = ()
    """Experiments that some seeds make first, so that no id of an experiment can have been written down."""
    turns: tuple[tuple[str, ...], ...]
    """Groups of runs that may swap places in the order of logging."""
    runs: tuple[SeedRun, ...]
    """The runs, in the order in which they are logged."""
    rows: Annotated[int, Field(gt=0)]
    """The minimum number of rows that the models predict."""
    more_rows: Annotated[int, Field(ge=0)]
    """How many more rows the seed may add."""
    repeated: Annotated[float, Field(ge=0, lt=1)]
    """The share of rows that repeat an earlier row."""
    blank: Annotated[float, Field(ge=0, lt=1)]
    """The share of rows with a blank, if the data have blanks and the environment's models accept them."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [run.name for run in self.runs]
        if len(set(names)) < len(names):
            raise ValueError("two runs have the same name")
        for name in (self.asked.run, *itertools.chain.from_iterable(self.turns)):
            require_name("run", name, names)
        for label in (*self.files.values(), *(run.model for run in self.runs if run.model is not None)):
            require_name("model", label, self.models)
        if taken := sorted(self.experiments.intersection(self.earlier)):
            raise ValueError(f"experiment {taken[0]!r} has runs, so it cannot be one of the earlier ones")
        if all(self.asked.metric not in run.metrics for run in self.runs if run.name == self.asked.run):
            raise ValueError(f"run {self.asked.run!r} has no metric {self.asked.metric!r}")
        _draw_metrics_of(self, random.Random(0), ())  # noqa: S311
        return self

    @property
    def experiments(self) -> frozenset[str]:
        """The names of the experiments."""
        return frozenset(run.experiment for run in self.runs)

    def require_search(self, experiment: str, metric: str) -> None:
        """Refuse an experiment or metric that no run of the world has.

        Raises:
            ValueError: there is no such experiment, or none of its runs has the metric.
        """
        require_name("experiment of the world", experiment, self.experiments)
        metrics = {metric for run in self.runs if run.experiment == experiment for metric in run.metrics}
        require_name(f"metric of {experiment}", metric, metrics)

    def run(self, name: str) -> SeedRun:
        """The run of that name."""
        return next(run for run in self.runs if run.name == name)


class ServedRun(Parameters):
    """The run that the served model comes from."""

    experiment: str
    name: str
    params: dict[str, str]
    metrics: dict[str, float]


class ServedVersion(Parameters):
    """A version of the registered model, from the world's only run."""

    name: str
    stage: Stage | None = None
    aliases: tuple[str, ...] = ()


class ServedModel(World):
    """One model, both registered on the server and saved as a file."""

    kind: ClassVar[str] = "served_model"

    data: GivenFile
    """The given data that models are fitted on."""
    target: str
    """The label column. All other columns must be numeric."""
    estimator: Estimator
    """The class that the model is an instance of."""
    model: ModelSpec = ModelSpec()
    """How to fit it."""
    earlier: tuple[str, ...] = ()
    """Experiments that some seeds make first."""
    run: ServedRun
    """The run that the model comes from."""
    versions: Annotated[tuple[ServedVersion, ...], Field(min_length=1)]
    """The model's versions in the registry."""
    file: str
    """Paths at which the exam keeps the model as a file."""
    logged_by: tuple[DeliverableIfAny, ...] = ()
    """Deliverables that log models: where theirs have a signature, this one has one too."""

    def request(self, seed: int, **more: Any) -> dict[str, Any]:
        """What the probe `seed_model` is asked for."""
        return {
            "data": {"file": self.data, "target": self.target},
            "estimator": self.estimator.request(seed),
            "models": {SERVED: self.model.model_dump(exclude_defaults=True)},
            "experiments": draw_earlier(self.earlier, seed, more=True),
            "runs": [{**self.run.model_dump(), "model": SERVED}],
            "versions": [{**version.model_dump(exclude_none=True), "run": 0} for version in self.versions],
            "files": {PurePosixPath(self.file).name: SERVED},
            **more,
        }


class Version(Parameters):
    """A version to register."""

    run: str
    """The name of its run in the world."""
    stage: Stage | None = None
    aliases: tuple[str, ...] = ()


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
    world: TrackedRuns,
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
    world = arranged(world, context.seed)
    more = _Local()
    if store is not None:
        numbers = {run.name: n for n, run in enumerate(world.runs)}
        more = _Local(
            uri=store.uri,
            store=store.path,
            registry=tuple(
                (name, tuple((numbers[version.run], version) for version in versions))
                for name, versions in (registry or {}).items()
            ),
        )
        gone = tuple(run.changed(deleted=True) if run.name in deleted else run for run in world.runs)
        world = world.changed(runs=gone)
    key = ("seeds", context.seed, world, more)
    return context.memo.once(key, lambda: _make(context, world, more.request()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Local:
    """A world that is not made for a server but in a store of the candidate's."""

    uri: str = ""
    store: str = ""
    registry: tuple[tuple[str, tuple[tuple[int, Version], ...]], ...] = ()

    def request(self) -> dict[str, Any]:
        """What the probe is asked for besides."""
        if not self.uri:
            return {}
        listed = {
            name: [{**version.model_dump(exclude_none=True), "run": n} for n, version in versions]
            for name, versions in self.registry
        }
        return {"uri": self.uri, "store": self.store, "registry": listed}


def _make(context: Context, world: TrackedRuns, more: Mapping[str, Any]) -> Seeds:
    columns, rows = input_rows(context.given(world.data), world, context.seed)
    runs = draw_runs(world, context.seed, named_hundredths(_answer_texts(context, world)))
    parameters = {
        "data": {"file": world.data, "target": world.target},
        "estimator": world.estimator.request(context.seed),
        "models": {label: spec.model_dump(exclude_defaults=True) for label, spec in world.models.items()},
        "files": world.files,
        "names": model_names(context, world.named_by),
        "experiments": draw_earlier(world.earlier, context.seed),
        "runs": runs,
        "rows": [[float(cell) if cell else None for cell in row] for row in rows],
        **more,
    }
    made = context.require_runtime().seeded("seed_runs", parameters)
    answer = made.answer
    names = [run.name for run in world.runs]
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
        active=not run.get("deleted"),
    )


def _complete(rows: Sequence[Sequence[str]], *, blanks: bool) -> list[int]:
    return [n for n, row in enumerate(rows) if blanks or all(row)]


# --- what is drawn: pure ---------------------------------------------------------------------------


def unforeseen(seed: int) -> int:
    """A random state of models."""
    return random.Random(f"models {seed}").randrange(2**31)  # noqa: S311


def arranged(world: TrackedRuns, seed: int) -> TrackedRuns:
    """The world with its runs in the order in which they are logged."""
    rng = random.Random(f"turns {seed}")  # noqa: S311
    runs = list(world.runs)
    for group in world.turns:
        places = [n for n, run in enumerate(runs) if run.name in group]
        for place, run in zip(places, rng.sample([runs[n] for n in places], len(places)), strict=True):
            runs[place] = run
    return world.changed(runs=tuple(runs))


def draw_earlier(names: Sequence[str], seed: int, *, more: bool = False) -> list[str]:
    """Some of the experiments, at least one; with `more`, more than without it for any seed.

    An experiment's id is a number that counts up: it is another one in another world.
    """
    rng = random.Random(f"earlier {seed}")  # noqa: S311
    half = (len(names) + 1) // 2
    count = (
        rng.randint(half + 1, len(names)) if more and half < len(names) else rng.randint(min(1, half), half)
    )
    return rng.sample(names, count)


def draw_runs(world: TrackedRuns, seed: int, named: Collection[int] = ()) -> list[dict[str, Any]]:
    """What is logged of each run.

    Args:
        named: hundredths that the asked metric must not have, if there are others.
    """
    rng = random.Random(f"runs {seed}")  # noqa: S311
    names = _draw_names([run.name for run in world.runs], world.asked.run, rng)
    drawn = _draw_metrics_of(world, rng, named)
    return [
        {
            **run.model_dump(exclude_defaults=True),
            "name": f"{name}-{rng.randrange(100, 1000)}",
            "metrics": {
                metric: round(
                    (drawn[n] if metric == world.asked.metric else value)
                    + (0 if run.exact else rng.uniform(0, world.jitter)),
                    6,
                )
                for metric, value in run.metrics.items()
            },
            "params": {param: rng.choice(choices) for param, choices in world.params.items()},
        }
        for n, (run, name) in enumerate(zip(world.runs, names, strict=True))
    ]


def _draw_metrics_of(world: TrackedRuns, rng: random.Random, named: Collection[int]) -> dict[int, float]:
    """Another value of the asked metric for each run that has it.

    Raises:
        ValueError: the exam leaves no room for so many.
    """
    measured = {
        n: (run.metrics[world.asked.metric], run.exact, run.name == world.asked.run)
        for n, run in enumerate(world.runs)
        if world.asked.metric in run.metrics
    }
    return dict(zip(measured, _draw_metric(tuple(measured.values()), named, rng), strict=True))


def _draw_names(names: Sequence[str], asked: str, rng: random.Random) -> list[str]:
    """The names dealt out anew; that of the asked run is neither the first nor the last of the alphabet."""
    between = sorted(names)[1:-1]
    if asked not in names or not between:
        return rng.sample(names, len(names))
    chosen = rng.choice(between)
    others = iter(rng.sample([name for name in names if name != chosen], len(names) - 1))
    return [chosen if name == asked else next(others) for name in names]


def _draw_metric(
    given: Sequence[tuple[float, bool, bool]], named: Collection[int], rng: random.Random
) -> list[float]:
    """Other hundredths in the same order of size.

    Args:
        given: each value, whether it is exact, and whether it is the asked one.
    """
    drawn = [value for value, *_ in given]
    exact = sorted({round(value * 100) for value, is_exact, _ in given if is_exact})
    for low, high in itertools.pairwise([round(min(drawn, default=0) * 100) - 1, *exact, 100]):
        inside = [
            n for n, (value, is_exact, _) in enumerate(given) if not is_exact and low < value * 100 < high
        ]
        inside.sort(key=lambda n: given[n][0])
        asked = next((place for place, n in enumerate(inside) if given[n][2]), None)
        # 0.9 has one place when it is rounded to two and printed.
        room = [number for number in range(low + 1, high) if number % 10]
        for n, hundredth in zip(inside, _draw_between(room, len(inside), asked, named, rng), strict=True):
            drawn[n] = hundredth / 100
    return drawn


def _draw_between(
    room: Sequence[int], count: int, asked: int | None, named: Collection[int], rng: random.Random
) -> list[int]:
    """Some of the numbers in their order; any is as likely as another to be the asked one.

    Raises:
        ValueError: there is no room for so many.
    """
    if count > len(room):
        raise ValueError(f"{count} runs do not fit between two exact ones: their metrics differ by 0.01")
    if asked is None:
        return sorted(rng.sample(room, count))
    # What is named changes nothing else, so that most submissions share a world.
    tried = rng.sample(range(asked, len(room) - count + asked + 1), len(room) - count + 1)
    chosen = next((place for place in tried if room[place] not in named), tried[0])
    below = sorted(rng.sample(room[:chosen], asked))
    return [*below, room[chosen], *sorted(rng.sample(room[chosen + 1 :], count - asked - 1))]


def named_hundredths(texts: Iterable[str]) -> frozenset[int]:
    """Shares that a text names at two places or more, or as a percentage; rounded or cut off."""
    found: set[int] = set()
    for match in (match for text in texts for match in _SHARE.finditer(text)):
        digits = match[1] or match[2]
        found |= {int(digits[:2]), int(digits[:2]) + (digits[2:3] >= "5")}
    return frozenset(found)


def _answer_texts(context: Context, world: TrackedRuns) -> Iterator[str]:
    """Programs that may have a value of the best run written down."""
    submission = context.submission
    first = [file.path for name in world.answers if (file := submission.deliverable(name)) is not None]
    others = [path for name in world.answers for path in submission.alternatives.get(name, ())]
    for path in dict.fromkeys([*first, *others]):
        if (source := submission.file(path)) is not None:
            files = (source, *(module.file for module in modules(submission, source)))
            yield from (file.text for file in files if isinstance(file.text, str))


# --- rows to predict: pure ------------------------------------------------------------------------


def input_rows(data: bytes, world: TrackedRuns, seed: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of an input: new combinations of the data's own cells, some repeated or blank."""
    header, *given = read_table(data)
    dice = random.Random(f"rows {seed}")  # noqa: S311
    chosen = [n for n, name in enumerate(header) if name != world.target]
    pools = {n: [row[n] for row in given if row[n].strip()] for n in chosen}
    holes = [place for place, n in enumerate(chosen) if len(pools[n]) < len(given)]
    rows: list[tuple[str, ...]] = []
    for _ in range(world.rows + dice.randrange(world.more_rows)):
        if rows and dice.random() < world.repeated:
            rows.append(dice.choice(rows))
            continue
        row = [dice.choice(pools[n]) for n in chosen]
        if holes and dice.random() < world.blank:
            row[dice.choice(holes)] = ""
        rows.append(tuple(row))
    return tuple(header[n] for n in chosen), rows


# --- names that the submission gives its models -----------------------------------------------------


def model_names(context: Context, deliverables: Sequence[str]) -> list[str]:
    """Under which names runs log their model: as the submission does, which goes by them later."""
    start = map(context.submission.deliverable, deliverables)
    found = [name for file in start if file is not None for name in _named(context, file)]
    return list(dict.fromkeys([_MODEL_NAME, *found]))[:_MAX_NAMES]


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
        run, uri = runs[seeds.ids[version.run]], seeds.models[version.run]
        beside = uri.startswith("models:/")
        source = uri if beside else f"{run.artifact_uri}/{_MODEL_NAME}"
        more = {"model_id": uri.rpartition("/")[2]} if beside else {}
        server.ask("POST", "model-versions/create", name=model, source=source, run_id=run.id, **more)
        if stage := version.stage:
            server.ask(
                "POST", "model-versions/transition-stage", name=model, version=str(number), stage=stage
            )
        for alias in version.aliases:
            server.ask("POST", "registered-models/alias", name=model, alias=alias, version=str(number))


def best(runs: Sequence[RunInfo], metric: str) -> RunInfo | None:
    """The run with the highest metric."""
    measured = [run for run in runs if run.active and run.metrics.get(metric, -1) >= 0]
    return max(measured, key=lambda run: run.metrics[metric], default=None)
