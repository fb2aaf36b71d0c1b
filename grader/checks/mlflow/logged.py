"""What a script logged to MLflow: runs, their models as the candidate's environment sees them, pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.checks.mlflow import pictures
from grader.checks.mlflow.pictures import Gallery
from grader.checks.mlflow.stores import StoredRun, workspace_runs
from grader.documents import Problem, parse_yaml
from grader.files import Budget, Tree
from grader.runtime.sandbox.model import Bind

if TYPE_CHECKING:
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.model import Run
    from grader.runtime.services.mlflow import MlflowServer

MAX_FILES = 100_000
"""How many artifacts of all runs are looked at."""
MAX_MODELS = 20
MAX_MODEL_BYTES = 2**30
"""How many bytes of all models are copied."""
MAX_DESCRIPTIONS = 200
MAX_DESCRIPTION_BYTES = 2**18
_MAX_FLAVOR = 40
_MLMODEL = "MLmodel"
_SKIP = {".git", ".venv", "venv", ".dvc", "__pycache__", "node_modules"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A logged model, after an attempt to load it and predict with it."""

    path: str
    """The path among its run's artifacts, for findings."""
    mlflow: bool
    """Whether it is an MLflow model, not a bare file."""
    loads: bool = False
    predicts: bool = False
    estimators: tuple[tuple[str, ...], ...] = ()
    """From the outside in, each class with its bases by name: pipeline, then the estimator at its end."""
    confirmed: bool = True
    """Whether what its own code says of it was confirmed by an estimator that was found in it."""
    flavor: str = ""
    """One of MLflow's own that nobody but MLflow can read: what such a model does cannot be told."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An artifact that may be an image."""

    path: str
    problem: str
    """Why it is not a valid image; empty if it is one."""
    thumbnail: bytes = b""
    """It as a small PNG; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A run with its models and pictures."""

    run: StoredRun
    models: tuple[Model, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def where(self) -> str:
        """The run as a finding names it."""
        return f"run {self.run.name or self.run.id} ({self.run.store})"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    run: str
    place: Tree
    """A model's folder, or the one in which its file is."""
    file: str = ""
    """The name of a bare file."""
    shown: str


def stored_runs(server: MlflowServer, cell: Cell, before: Iterable[str] = ()) -> tuple[StoredRun, ...]:
    """Runs on the tracking server and in the workspace's own stores, but for those that were there before."""
    old = frozenset(before)
    on_server = (
        StoredRun(
            id=run.id,
            name=run.name,
            status=run.status,
            store="tracking server",
            params=run.params,
            metrics=run.metrics,
            artifacts=run.artifacts,
        )
        for run in server.runs()
    )
    return tuple(run for run in (*on_server, *workspace_runs(cell, old)) if run.id not in old)


def logged(
    cell: Cell,
    runs: Sequence[StoredRun],
    *,
    roots: Iterable[Tree],
    model_files: Sequence[str],
    picture_files: Sequence[str],
    sample: Mapping[str, Any],
) -> tuple[Logged, ...]:
    """Look at the artifacts of `runs`, loading every model in the candidate's environment.

    Args:
        roots: where else MLflow keeps models, which since version 3 are no artifacts of their run.
        model_files, picture_files: endings of names (`.pkl`, `.png`).
        sample: `columns` and `rows` to predict.
    """
    budget = Budget(entries=MAX_FILES)
    listed = [(run, _list_files(run.artifacts, budget)) for run in runs]
    found = list(islice(_models(listed, roots, model_files, budget), MAX_MODELS))
    seen = list(zip(found, _inspect(cell, found, sample), strict=True))
    gallery = Gallery()
    return tuple(
        Logged(
            run=run,
            models=tuple(model for place, model in seen if place.run == run.id),
            pictures=tuple(_pictures(run, files, picture_files, gallery)),
        )
        for run, files in listed
    )


_Listed = Sequence[PurePosixPath]
"""Regular files of a tree, in a stable order."""


def _list_files(tree: Tree, budget: Budget) -> _Listed:
    return [PurePosixPath(entry.path) for entry in tree.walk(budget=budget, skip=_SKIP)]


def _models(
    listed: Sequence[tuple[StoredRun, _Listed]],
    roots: Iterable[Tree],
    endings: Sequence[str],
    budget: Budget,
) -> Iterator[_Found]:
    taken: set[Tree] = set()
    for run, files in listed:
        outside = _outside_models(files)
        for path in files:
            folder = run.artifacts.below(path.parent)
            if path.name == _MLMODEL:
                taken.add(folder)
                yield _Found(run=run.id, place=folder, shown=str(path.parent))
            elif path.suffix.lower() in endings and path in outside:
                yield _Found(run=run.id, place=folder, file=path.name, shown=str(path))
    ids = {run.id for run, _ in listed}
    descriptions = Budget(entries=MAX_DESCRIPTIONS)
    for root in roots:
        for path in _list_files(root, budget):
            folder = root.below(path.parent)
            if path.name != _MLMODEL or folder in taken or not descriptions.take(entries=1):
                continue
            owner = _owner(folder)
            if owner in ids:
                taken.add(folder)
                yield _Found(run=owner, place=folder, shown=path.parent.parent.name)


def _owner(folder: Tree) -> str:
    """The run that a model's own description names."""
    text = (folder.read(_MLMODEL, MAX_DESCRIPTION_BYTES) or b"").decode("utf-8", "replace")
    documents = parse_yaml(text, _MLMODEL)
    if isinstance(documents, Problem) or not documents or not isinstance(documents[0].data, dict):
        return ""
    owner = documents[0].data.get("run_id")
    return owner if isinstance(owner, str) else ""


def _outside_models(files: _Listed) -> frozenset[PurePosixPath]:
    """The files that are not in the folder of an MLflow model, or further down."""
    folders = {path.parent for path in files if path.name == _MLMODEL}
    return frozenset(path for path in files if folders.isdisjoint(path.parents))


def _inspect(cell: Cell, found: Sequence[_Found], sample: Mapping[str, Any]) -> list[Model]:
    if not found:
        return []
    # What is not in the workspace is copied to where no run can reach, and the probe may only read it.
    private = Bind(cell.private(), "/grader/models")
    budget = Budget(bytes=MAX_MODEL_BYTES)
    asked = []
    for number, model in enumerate(found):
        path = model.place.path_in(cell.files)
        if path is None:
            path = f"{cell.sees(private)}/{number}"
            model.place.copy_out(model.file, private.source / str(number) / model.file, budget=budget)
        asked.append(
            {"kind": "file" if model.file else "mlflow", "path": f"{path or '.'}/{model.file}".rstrip("/")}
        )
    run, answer = cell.probe("inspect_models", {"models": asked, **sample}, binds=(private,), apart=True)
    entries = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or len(entries) != len(found):
        return [_unanswered(model, run) for model in found]
    return [_model(model, entry) for model, entry in zip(found, entries, strict=True)]


def _unanswered(place: _Found, run: Run) -> Model:
    """Loading took the whole process down: the run says how."""
    error = f"loading it {run.describe()}"
    return Model(path=place.shown, mlflow=not place.file, error=error)


def _model(place: _Found, entry: object) -> Model:
    """One entry of the probe's answer."""
    data: dict[str, Any] = entry if isinstance(entry, dict) else {}
    chain = data.get("estimators")
    return Model(
        path=place.shown,
        mlflow=not place.file,
        loads=data.get("loads") is True,
        predicts=data.get("predicts") is True,
        estimators=tuple(tuple(str(name) for name in names) for names in chain if isinstance(names, list))
        if isinstance(chain, list)
        else (),
        confirmed=data.get("confirmed") is not False,
        flavor=str(data.get("flavor") or "")[:_MAX_FLAVOR],
        error=str(data.get("error") or ""),
    )


def _pictures(run: StoredRun, files: _Listed, endings: Sequence[str], gallery: Gallery) -> Iterator[Picture]:
    outside = _outside_models(files)
    for path in files:
        if path.suffix.lower() in endings and path in outside:
            data = run.artifacts.read(path, pictures.MAX_BYTES)
            judged = gallery.judge(path.name, data)
            yield Picture(path=str(path), problem=judged.problem, thumbnail=judged.thumbnail)
