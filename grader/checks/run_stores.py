"""MLflow runs that a script logged into its own workspace rather than to the tracking server.

The stores are a candidate's files, so they are read with bounds and believed no further than a tracking
server would be: SQLite databases with MLflow's tables, and `mlruns` directories.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from grader.documents import MOST_BYTES, Problem, parse_yaml
from grader.runtime.sandbox import WORKSPACE

MOST_RUNS = 200
MOST_VALUES = 2_000
_SQL_STEPS = 20_000_000
"""Virtual machine steps after which SQLite gives up: a view can be made to compute for ever."""
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_SKIP = {".git", ".venv", "venv", "node_modules", "__pycache__", ".dvc"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as a store holds it, wherever that is."""

    id: str
    name: str = ""
    status: str = ""
    store: str
    """Where it was found, for findings: `the tracking server`, `mlflow.db`, `mlruns`."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Path | None = None
    """The directory of its artifacts on the host."""

    @property
    def finished(self) -> bool:
        """Whether it ended well by MLflow's own account."""
        return self.status == "FINISHED"


def workspace_runs(workspace: Path) -> tuple[StoredRun, ...]:
    """Every run in the workspace's own stores."""
    found: list[StoredRun] = []
    for directory, names, files in os.walk(workspace):
        names[:] = sorted(name for name in names if name not in _SKIP)
        here = Path(directory)
        for name in sorted(files):
            if Path(name).suffix in (".db", ".sqlite", ".sqlite3"):
                found += _database(here / name, workspace)
        if "meta.yaml" in files and here.parent.parent != here and (here / "metrics").is_dir():
            found += _directory(here, workspace)
            names.clear()
        if len(found) > MOST_RUNS:
            break
    return tuple(found[:MOST_RUNS])


def _database(path: Path, workspace: Path) -> list[StoredRun]:
    companions = (path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal"))
    if path.is_symlink() or not path.is_file() or any(file.is_symlink() for file in companions):
        return []
    try:
        # Read only, but not immutable: the newest rows may still stand in the write-ahead log.
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2)) as connection:
            connection.set_progress_handler(lambda: 1, _SQL_STEPS)
            return list(_rows(connection, str(path.relative_to(workspace)), workspace))
    except (sqlite3.Error, OverflowError, UnicodeDecodeError):
        return []


def _rows(connection: sqlite3.Connection, store: str, workspace: Path) -> Iterator[StoredRun]:
    query = "select run_uuid, name, status, artifact_uri from runs limit ?"
    for run, name, status, uri in connection.execute(query, (MOST_RUNS,)).fetchall():
        params = connection.execute(
            "select key, value from params where run_uuid = ? limit ?", (run, MOST_VALUES)
        ).fetchall()
        metrics = connection.execute(
            "select key, value, is_nan from latest_metrics where run_uuid = ? limit ?", (run, MOST_VALUES)
        ).fetchall()
        yield StoredRun(
            id=str(run),
            name=str(name or ""),
            status=str(status),
            store=store,
            params={str(key): str(value) for key, value in params},
            metrics={
                str(key): math.nan if is_nan else float(value)
                for key, value, is_nan in metrics
                if isinstance(value, int | float)
            },
            artifacts=on_host(str(uri), workspace),
        )


def _directory(path: Path, workspace: Path) -> list[StoredRun]:
    text = _small_text(path / "meta.yaml")
    documents = parse_yaml(text, "meta.yaml")
    if isinstance(documents, Problem) or not documents or not isinstance(documents[0].data, dict):
        return []
    meta = documents[0].data
    if "run_id" not in meta and "run_uuid" not in meta:
        return []
    artifacts = path / "artifacts"
    run = StoredRun(
        id=str(meta.get("run_id") or meta.get("run_uuid")),
        name=str(meta.get("run_name") or ""),
        status=_STATUS.get(str(meta.get("status")), str(meta.get("status"))),
        store=str(path.parent.relative_to(workspace).parent),
        params={name: _small_text(file).strip() for name, file in _files(path / "params")},
        metrics=dict(_last_values(path / "metrics")),
        artifacts=artifacts if artifacts.is_dir() else on_host(str(meta.get("artifact_uri")), workspace),
    )
    return [run]


def _last_values(directory: Path) -> Iterator[tuple[str, float]]:
    """Each metric's newest value: a line is `timestamp value step`."""
    for name, file in _files(directory):
        lines = _small_text(file).split("\n")
        words = next((line.split() for line in reversed(lines) if line.strip()), [])
        try:
            yield name, float(words[1])
        except (IndexError, ValueError):
            continue


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below `directory` by their relative name (a metric's name may have slashes)."""
    if directory.is_symlink() or not directory.is_dir():
        return
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())
    for _, path in zip(range(MOST_VALUES), files, strict=False):
        yield path.relative_to(directory).as_posix(), path


def _small_text(path: Path) -> str:
    try:
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            return ""
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def on_host(uri: str, workspace: Path) -> Path | None:
    """Where an artifact URI of the candidate's world lies on the host, if it is in the workspace."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme not in ("", "file"):
        return None
    path = unquote(parts.path).removeprefix(WORKSPACE).removeprefix(str(workspace)).lstrip("/")
    inside = (workspace / path).resolve()
    return inside if inside.is_relative_to(workspace.resolve()) and inside.is_dir() else None
