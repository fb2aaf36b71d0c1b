"""MLflow runs that a script logged into its own workspace rather than to the tracking server.

The stores are a candidate's files, so they are read with bounds and believed no further than a tracking
server would be: SQLite databases with MLflow's tables, and `mlruns` directories.
"""

from __future__ import annotations

import math
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from grader.documents import Problem, parse_yaml
from grader.files import NOTHING, Budget, Tree
from grader.runtime.sandbox.model import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from grader.runtime.cell import Cell

MAX_RUNS = 200
MAX_KNOWN = 50_000
"""Runs that a submission comes with, of which only the ids matter."""
MAX_VALUES = 2_000
MAX_DATABASES = 20
MAX_DATABASE_BYTES = 256 * 2**20
"""For all databases of a workspace."""
MAX_TEXT_BYTES = 64 * 2**20
"""For all files of all `mlruns` directories, of which few are looked at."""
MAX_META_BYTES = 64 * 2**10
MAX_VALUE_BYTES = 2**20
"""A file with a parameter, or with the history of a metric."""
_SQL_STEPS = 20_000_000
"""Virtual machine steps after which SQLite gives up."""
_SQL_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 2**20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 2**16,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 20,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 1,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_TABLES = ("runs", "params", "latest_metrics")
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_SKIP = {".git", ".venv", "venv", "node_modules", "__pycache__", ".dvc"}
_META = "meta.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run as found in a store."""

    id: str
    name: str = ""
    status: str = ""
    store: str
    """Where it was found, for findings: `the tracking server`, `mlflow.db`, `mlruns`."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Tree = NOTHING

    @property
    def finished(self) -> bool:
        """Whether MLflow has it as FINISHED."""
        return self.status == "FINISHED"


def workspace_runs(cell: Cell, known: Collection[str] = frozenset()) -> tuple[StoredRun, ...]:
    """The runs in the workspace's own stores, less the known ones."""
    with tempfile.TemporaryDirectory(dir=cell.private()) as private:
        return find_runs(cell.files, Path(private), cell.root, known)


def workspace_run_ids(cell: Cell) -> frozenset[str]:
    """The ids of the runs in the workspace's own stores, which may be many: submissions come with theirs."""
    with tempfile.TemporaryDirectory(dir=cell.private()) as private:
        return find_run_ids(cell.files, Path(private))


def find_run_ids(workspace: Tree, private: Path) -> frozenset[str]:
    """The ids of all runs in the stores of a workspace.

    Args:
        private: a directory that candidate code cannot reach; databases are read there.
    """
    found: set[str] = set()
    budget = Budget(bytes=MAX_DATABASE_BYTES)
    for number, (path, is_database) in enumerate(_stores(workspace)):
        if is_database:
            with _opened(workspace, str(path), private / str(number), budget) as connection:
                found |= set(_ids(connection) if connection else ())
        else:
            found.add(path.name)
    return frozenset(found)


def find_runs(
    workspace: Tree, private: Path, root: str = WORKSPACE, known: Collection[str] = frozenset()
) -> tuple[StoredRun, ...]:
    """The runs in the stores of a workspace.

    Args:
        private: a directory that candidate code cannot reach; databases are read there.
        root: the path at which programs see the workspace.
        known: ids of runs that are left out, and that no bound counts.
    """
    found: list[StoredRun] = []
    budget = Budget(bytes=MAX_DATABASE_BYTES)
    texts = Budget(entries=MAX_RUNS * 20, bytes=MAX_TEXT_BYTES)
    for number, (path, is_database) in enumerate(_stores(workspace)):
        if is_database:
            with _opened(workspace, str(path), private / str(number), budget) as connection:
                found += _read_rows(connection, str(path), workspace, root, known) if connection else ()
        elif path.name not in known:
            found += _read_directory(workspace, path, texts, root)
        if len(found) >= MAX_RUNS:
            break
    return tuple(run for run in found if run.id not in known)[:MAX_RUNS]


def _stores(workspace: Tree) -> Iterator[tuple[PurePosixPath, bool]]:
    """Databases, and folders of runs; whether it is a database."""
    databases, inside = 0, "\0"
    for entry in workspace.walk(skip=_SKIP):
        path = PurePosixPath(entry.path)
        if entry.path.startswith(inside):
            continue
        if path.suffix in (".db", ".sqlite", ".sqlite3") and databases < MAX_DATABASES:
            databases += 1
            yield path, True
        elif path.name == _META and len(path.parts) > 1 and workspace.is_folder(path.parent / "metrics"):
            inside = f"{path.parent}/"
            yield path.parent, False


# --- databases ------------------------------------------------------------------------------------


@contextmanager
def _opened(workspace: Tree, path: str, private: Path, budget: Budget) -> Iterator[sqlite3.Connection | None]:
    """A database to read from; None where it cannot be opened.

    It is read in a folder of its own: SQLite opens what stands beside a database, and removes what a journal
    names. The newest rows may still stand in the write-ahead log, so that is taken along; a journal is not.
    """
    copy = private / "store.db"
    if not workspace.copy_out(path, copy, budget=budget):
        yield None
        return
    workspace.copy_out(f"{path}-wal", copy.with_name("store.db-wal"), budget=budget)
    with closing(sqlite3.connect(copy, timeout=2)) as connection:
        try:
            _restrain(connection)
        except _UNREADABLE:
            yield None
        else:
            yield connection


_UNREADABLE = (sqlite3.Error, OverflowError, UnicodeDecodeError, ValueError)


def _ids(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        rows = connection.execute("select run_uuid from runs limit ?", (MAX_KNOWN,)).fetchall()
    except _UNREADABLE:
        return ()
    return tuple(str(run) for (run,) in rows)


def _read_rows(
    connection: sqlite3.Connection, path: str, workspace: Tree, root: str, known: Collection[str]
) -> tuple[StoredRun, ...]:
    try:
        return tuple(_rows(connection, path, workspace, root, known))
    except _UNREADABLE:
        return ()


def _restrain(connection: sqlite3.Connection) -> None:
    """Have SQLite do nothing for a database but read rows of plain tables.

    Raises:
        sqlite3.Error: the tables are views, virtual or computed.
    """
    for limit, value in _SQL_LIMITS.items():
        connection.setlimit(limit, value)
    connection.set_progress_handler(lambda: 1, _SQL_STEPS)
    for setting in ("trusted_schema = off", "cell_size_check = on", "mmap_size = 0", "cache_size = -20000"):
        connection.execute(f"pragma {setting}")
    for table in _TABLES:
        kinds = connection.execute(
            "select type, sql from sqlite_schema where name = ? collate nocase", (table,)
        ).fetchmany(2)
        hidden = connection.execute("select 1 from pragma_table_xinfo(?) where hidden", (table,)).fetchone()
        plain = len(kinds) == 1 and kinds[0][0] == "table" and _makes_table(kinds[0][1])
        if not plain or hidden is not None:
            raise sqlite3.DatabaseError(f"{table} is not a plain table")
    connection.execute("pragma query_only = on")
    connection.set_authorizer(_permit)


def _makes_table(sql: object) -> bool:
    return isinstance(sql, str) and sql.upper().split(None, 2)[:2] == ["CREATE", "TABLE"]


def _permit(action: int, *words: str | None) -> int:
    """Selecting, and reading from a table rather than through a view or a trigger."""
    reads = action == sqlite3.SQLITE_READ and words[0] in _TABLES and words[3] is None
    return sqlite3.SQLITE_OK if reads or action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_DENY


def _rows(
    connection: sqlite3.Connection, store: str, workspace: Tree, root: str, known: Collection[str]
) -> Iterator[StoredRun]:
    query = "select run_uuid, name, status, artifact_uri from runs order by rowid desc limit ?"
    left = Budget(bytes=MAX_TEXT_BYTES)
    rows = connection.execute(query, (MAX_RUNS + min(len(known), MAX_KNOWN),)).fetchall()
    for run, name, status, uri in [row for row in rows if str(row[0]) not in known][:MAX_RUNS]:
        params = connection.execute(
            "select key, value from params where run_uuid = ? limit ?", (run, MAX_VALUES)
        )
        metrics = connection.execute(
            "select key, value, is_nan from latest_metrics where run_uuid = ? limit ?", (run, MAX_VALUES)
        )
        yield StoredRun(
            id=str(run),
            name=str(name or ""),
            status=str(status),
            store=store,
            params={
                str(key): str(value)
                for key, value in params
                if left.take(size=len(str(key)) + len(str(value)))
            },
            metrics={
                str(key): math.nan if is_nan else float(value)
                for key, value, is_nan in metrics
                if isinstance(value, int | float) and left.take(size=len(str(key)))
            },
            artifacts=locate(str(uri), workspace, root),
        )


# --- directories ----------------------------------------------------------------------------------


def _read_directory(workspace: Tree, path: PurePosixPath, texts: Budget, root: str) -> list[StoredRun]:
    text = _text(workspace, f"{path}/{_META}", MAX_META_BYTES, texts)
    documents = parse_yaml(text, _META)
    if isinstance(documents, Problem) or not documents or not isinstance(documents[0].data, dict):
        return []
    meta = {name: _plain(value) for name, value in documents[0].data.items()}
    if "run_id" not in meta and "run_uuid" not in meta:
        return []
    run = workspace.below(path)
    status = meta.get("status", "")
    return [
        StoredRun(
            id=meta.get("run_id") or meta.get("run_uuid", ""),
            name=meta.get("run_name", ""),
            status=_STATUS.get(status, status),
            store=str(path.parent.parent),
            params={name: value.strip() for name, value in _values(run.below("params"), texts)},
            metrics=dict(_last_values(run.below("metrics"), texts)),
            artifacts=run.below("artifacts")
            if run.is_folder("artifacts")
            else locate(meta.get("artifact_uri", ""), workspace, root),
        )
    ]


def _plain(value: object) -> str:
    """A word or a small number as text; everything else, and nothing, is empty."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**12 else ""
    return value[:MAX_META_BYTES] if isinstance(value, str) else ""


def _last_values(metrics: Tree, texts: Budget) -> Iterator[tuple[str, float]]:
    """Each metric's newest value: a line is `timestamp value step`."""
    for name, text in _values(metrics, texts):
        words = text.rstrip().rpartition("\n")[2].split(None, 3)
        try:
            yield name, float(words[1])
        except (IndexError, ValueError):
            continue


def _values(folder: Tree, texts: Budget) -> Iterator[tuple[str, str]]:
    """The text of each file by its relative name (a metric's name may have slashes)."""
    for entry in folder.walk(budget=texts):
        yield entry.path, _text(folder, entry.path, MAX_VALUE_BYTES, texts)


def _text(tree: Tree, path: str, limit: int, texts: Budget) -> str:
    size = tree.size(path)
    if size is None or size > limit or not texts.take(size=size):
        return ""
    return (tree.read(path, limit) or b"").decode("utf-8", "replace")


def locate(uri: str, workspace: Tree, root: str = WORKSPACE) -> Tree:
    """What lies at an artifact URI of the candidate's world, if it is in the workspace."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return NOTHING
    if parts.scheme not in ("", "file"):
        return NOTHING
    path = PurePosixPath(unquote(parts.path))
    for top in (WORKSPACE, root):
        if path.is_relative_to(top):
            path = path.relative_to(top)
    return NOTHING if path.is_absolute() else workspace.below(path)
