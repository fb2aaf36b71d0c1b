"""Local tracking stores that a script sets in its source, ignoring MLFLOW_TRACKING_URI."""

from __future__ import annotations

import ast
import posixpath
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from grader.documents import NOTEBOOK
from grader.readers.python.module import Module, modules
from grader.runtime.sandbox.model import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.documents import SourceFile
    from grader.runtime.submission_runtime import Seeded
    from grader.submission.model import Submission

VARIABLE = "MLFLOW_TRACKING_URI"
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class LocalStore:
    """Where a script keeps its runs without a server."""

    uri: str
    """The URI as written in the script."""
    path: str
    """The database, or the directory, in the workspace."""

    def files(self, made: Seeded) -> dict[str, Any]:
        """The files of a seeded store to put into a workspace."""
        return {str(path.relative_to(made.files)): path for path in made.files.rglob("*") if path.is_file()}


def local_store(submission: Submission, file: SourceFile) -> LocalStore | None:
    """The store that a script sets as its tracking URI, if it is in the workspace."""
    if file.path.suffix not in (".py", NOTEBOOK):
        return None
    folder = str(file.path.parent) if file.path.suffix == NOTEBOOK else ""
    values = (value for module in modules(submission, file) for value in _uris(module))
    stores = (_store(value, folder) for value in values if isinstance(value, str))
    return next((store for store in stores if store is not None), None)


def _uris(module: Module) -> Iterator[Any]:
    for call in module.calls():
        match call.name.rpartition(".")[2]:
            case "set_tracking_uri":
                yield call.value("uri", 0)
            case "MlflowClient":
                yield call.value("tracking_uri", 0)
    for node in ast.walk(module.tree):
        match node:
            case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=name))], value=value):
                if name == VARIABLE:
                    yield module.constant(value)


def _store(uri: str, folder: str = "") -> LocalStore | None:
    """`sqlite:///mlflow.db`, `mlruns`, `./mlruns`, `file:./mlruns`, `file:///workspace/mlruns`.

    Args:
        folder: where the program runs, seen from the root; a notebook runs where it stands.
    """
    if uri.startswith(_SQLITE):
        path = uri.removeprefix(_SQLITE)
    elif uri.startswith("file:") or ":" not in uri:
        path = unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    else:
        return None
    if folder not in ("", ".") and not path.startswith("/"):
        path = posixpath.normpath(posixpath.join(folder, path))
        uri = f"{_SQLITE}{path}" if uri.startswith(_SQLITE) else path
    inside = PurePosixPath(path.removeprefix(WORKSPACE + "/"))
    plain = not inside.is_absolute() and ".." not in inside.parts and inside.parts and len(path) < 200
    return LocalStore(uri, str(inside)) if plain and "\0" not in path else None
