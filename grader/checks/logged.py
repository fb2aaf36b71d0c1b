"""What a script logged to MLflow: runs, their models as the candidate's environment sees them, pictures."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.checks import pictures
from grader.checks.run_stores import StoredRun, workspace_runs
from grader.documents import Problem, parse_yaml

if TYPE_CHECKING:
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox import Run
    from grader.runtime.services import MlflowServer

MOST_FILES = 20_000
MOST_MODELS = 20
MOST_MODEL_BYTES = 2**30
_MLMODEL = "MLmodel"
_SKIP = {".git", ".venv", "venv", ".dvc", "__pycache__", "node_modules"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A logged model, after a try to load it and to predict with it."""

    path: str
    """Inside its run's artifacts, for findings."""
    mlflow: bool
    """An MLflow model rather than a bare file."""
    loads: bool = False
    predicts: bool = False
    estimators: tuple[tuple[str, ...], ...] = ()
    """From the outside in, each class with its bases by name: pipeline, then the estimator at its end."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An artifact that may be a picture."""

    path: str
    problem: str
    """Why it is none; empty where it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A run with what hangs on it."""

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
    path: Path
    shown: str
    mlflow: bool


def stored_runs(server: MlflowServer, workspace: Path, before: Iterable[str] = ()) -> tuple[StoredRun, ...]:
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
            artifacts=run.artifact_root,
        )
        for run in server.runs()
    )
    return tuple(run for run in (*on_server, *workspace_runs(workspace)) if run.id not in old)


def logged(
    cell: Cell,
    runs: Sequence[StoredRun],
    *,
    roots: Iterable[Path],
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
    found = list(_models(runs, roots, model_files))[:MOST_MODELS]
    seen = dict(zip(found, _inspect(cell, found, sample), strict=True))
    return tuple(
        Logged(
            run=run,
            models=tuple(model for place, model in seen.items() if place.run == run.id),
            pictures=tuple(_pictures(run, picture_files)),
        )
        for run in runs
    )


def _models(runs: Sequence[StoredRun], roots: Iterable[Path], endings: Sequence[str]) -> Iterator[_Found]:
    taken: set[Path] = set()
    for run in runs:
        if run.artifacts is None:
            continue
        for path in _files(run.artifacts):
            shown = path.relative_to(run.artifacts)
            if path.name == _MLMODEL:
                taken.add(path.parent)
                yield _Found(run=run.id, path=path.parent, shown=str(shown.parent), mlflow=True)
            elif path.suffix.lower() in endings and not _inside_model(path, run.artifacts):
                yield _Found(run=run.id, path=path, shown=str(shown), mlflow=False)
    ids = {run.id for run in runs}
    for root in roots:
        for path in _files(root):
            owner = _owner(path) if path.name == _MLMODEL and path.parent not in taken else ""
            if owner in ids:
                taken.add(path.parent)
                yield _Found(run=owner, path=path.parent, shown=path.parent.parent.name, mlflow=True)


def _owner(mlmodel: Path) -> str:
    """The run that a model's own description names."""
    if mlmodel.stat().st_size > 2**20:
        return ""
    documents = parse_yaml(mlmodel.read_bytes().decode("utf-8", "replace"), _MLMODEL)
    if isinstance(documents, Problem) or not documents or not isinstance(documents[0].data, dict):
        return ""
    return str(documents[0].data.get("run_id") or "")


def _inside_model(path: Path, top: Path) -> bool:
    return any((parent / _MLMODEL).exists() for parent in path.parents if parent.is_relative_to(top))


def _files(top: Path) -> Iterator[Path]:
    """Regular files below `top`, in a stable order; no link is followed."""
    left = MOST_FILES
    for directory, names, files in os.walk(top):
        names[:] = sorted(name for name in names if name not in _SKIP)
        for name in sorted(files):
            path = Path(directory, name)
            left -= 1
            if left < 0:
                return
            if path.is_file() and not path.is_symlink():
                yield path


def _inspect(cell: Cell, found: Sequence[_Found], sample: Mapping[str, Any]) -> list[Model]:
    if not found:
        return []
    asked = []
    # A name that nobody can know beforehand: a link planted there would lead out of the workspace.
    directory = f".models-{secrets.token_hex(8)}"
    for number, place in enumerate(found):
        relative = Path(directory, str(number), place.path.name)
        _copy(place.path, cell.workspace / relative)
        asked.append({"kind": "mlflow" if place.mlflow else "file", "path": str(relative)})
    run, answer = cell.probe("inspect_models", {"models": asked, **sample}, apart=True)
    entries = answer.get("models") if isinstance(answer, dict) else None
    if not isinstance(entries, list) or len(entries) != len(found):
        return [_unanswered(place, run) for place in found]
    return [_model(place, entry) for place, entry in zip(found, entries, strict=True)]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        return
    size = 0
    for path in _files(source):
        size += path.stat().st_size
        if size > MOST_MODEL_BYTES:
            return
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _unanswered(place: _Found, run: Run) -> Model:
    """Loading took the whole process down: the run says how."""
    error = f"loading it {run.describe()}"
    return Model(path=place.shown, mlflow=place.mlflow, error=error)


def _model(place: _Found, entry: object) -> Model:
    """One entry of the probe's answer, which candidate code could have written: nothing is taken on trust."""
    data: dict[str, Any] = entry if isinstance(entry, dict) else {}
    chain = data.get("estimators")
    return Model(
        path=place.shown,
        mlflow=place.mlflow,
        loads=data.get("loads") is True,
        predicts=data.get("predicts") is True,
        estimators=tuple(tuple(str(name) for name in names) for names in chain if isinstance(names, list))
        if isinstance(chain, list)
        else (),
        error=str(data.get("error") or ""),
    )


def _pictures(run: StoredRun, endings: Sequence[str]) -> Iterator[Picture]:
    if run.artifacts is None:
        return
    for path in _files(run.artifacts):
        if path.suffix.lower() in endings and not _inside_model(path, run.artifacts):
            yield Picture(path=str(path.relative_to(run.artifacts)), problem=pictures.problem(path))
