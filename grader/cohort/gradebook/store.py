"""The gradebook's file: opened by one writer at a time, migrated, changed in transactions only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION = 0x4D4B_4752
"""In the file's header: tells a gradebook from other databases."""
BUSY_MILLISECONDS = 10_000


class Gradebook:
    """An open gradebook. A context manager; for the thread that opened it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None) -> None:
        """Take what `open_gradebook` made."""
        self.path = path
        self.database = connection
        self._lock = lock

    def __enter__(self) -> Gradebook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and let others write."""
        self.database.close()
        if self._lock is not None:
            lock, self._lock = self._lock, None
            os.close(lock)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, safely on the disk at the end of the block."""
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield self.database
        except BaseException:
            self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        return self.database.execute(query, values).fetchall()

    def record(self, what: str, *, who: str, candidate: int | None = None, **data: Any) -> None:
        """Append to the audit trail, within a transaction."""
        self.database.execute(
            "INSERT INTO event (at, who, what, candidate, data) VALUES (?, ?, ?, ?, ?)",
            (now(), who, what, candidate, json.dumps(data, sort_keys=True)),
        )

    def setting(self, name: str, default: str = "") -> str:
        """What is kept under a name."""
        found = self.rows("SELECT value FROM setting WHERE name = ?", name)
        return str(found[0]["value"]) if found else default

    def set(self, name: str, value: str) -> None:
        """Keep a setting, within a transaction."""
        self.database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


def now() -> str:
    """The time, as the gradebook writes it."""
    return written(datetime.now(UTC))


def written(moment: datetime) -> str:
    """A moment as the gradebook writes it: `2026-11-28T09:30:00.123Z`, which sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_gradebook(path: Path, *, write: bool = False, create: bool = False) -> Gradebook:
    """Open a gradebook.

    Args:
        write: to change it, as nobody else may at the same time.
        create: make it where there is none.

    Raises:
        UsageError: there is none, it is no gradebook, it is from a newer grader, somebody else writes to it,
            or the place is of no use.
    """
    if not path.is_file() and not (create and not path.exists()):
        raise UsageError(f"there is no gradebook {path}: `grader batch` makes one")
    lock = _locked(path) if write else None
    try:
        return Gradebook(path, _connected(path, write=write), lock)
    except BaseException as error:
        if lock is not None:
            os.close(lock)
        if isinstance(error, sqlite3.Error):
            raise UsageError(f"cannot open the gradebook {path}: {error}") from error
        raise


def _connected(path: Path, *, write: bool) -> sqlite3.Connection:
    mode = "rwc" if write else "ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        version = _version(path, connection)
        if write:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(path, connection, version)
        elif version < len(migrations()):
            raise UsageError(
                f"{path} is from an older grader: `grader gradebook verify {path}` brings it up to date"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def migrations() -> list[str]:
    """The scripts in order; the number of those that were run is the gradebook's version."""
    folder = resources.files("grader.cohort.gradebook") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def _version(path: Path, connection: sqlite3.Connection) -> int:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION and connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        raise UsageError(f"{path} is a database, but no gradebook")
    if version > len(migrations()):
        raise UsageError(
            f"the gradebook {path} is from a newer grader (version {version}, this one knows "
            f"{len(migrations())}): use that grader"
        )
    return version


def _migrate(path: Path, connection: sqlite3.Connection, version: int) -> None:
    scripts = migrations()
    if version == len(scripts):
        return
    if version:
        with contextlib.closing(sqlite3.connect(path.with_name(f"{path.name}.version-{version}"))) as copy:
            connection.backup(copy)
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION};"
            f" PRAGMA user_version = {number}; COMMIT;"
        )


def _locked(path: Path) -> int:
    """The right to write, until the descriptor is closed: also when the process is killed."""
    try:
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(
            f"the gradebook {path} cannot be written there: {error.strerror}; name another by --gradebook"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.read(lock, 200).decode(errors="replace").strip()
        os.close(lock)
        raise UsageError(
            f"the gradebook {path} is being written by another grader ({owner or 'unknown'}): wait for it"
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"process {os.getpid()}, boot {_boot()}\n".encode())
    return lock


def _boot() -> str:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
        return file.read().strip()
    return "unknown"
