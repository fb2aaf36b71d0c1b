"""The gradebook's file: opened by one writer at a time, migrated, changed in transactions only."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.file_systems import network_file_system
from grader.cohort.gradebook.lock import LockedError, take_lock
from grader.errors import GraderFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION = 0x4D4B_4752
"""In the file's header: tells a gradebook from other databases."""
BUSY_MILLISECONDS = 10_000
HEADER = b"SQLite format 3\0"
AT_APPLICATION = 68
"""Where the header of a database has the number of its application."""
MAX_COPIES = 1000
_PRIMARY = 0xFF
"""Of an error code: what is above says more of the same."""


class Gradebook:
    """An open gradebook. A context manager; for the thread that opened it."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        lock: int | None = None,
        *,
        remarks: tuple[str, ...] = (),
    ) -> None:
        """Take what `open_gradebook` made."""
        self.path = path
        self.database = connection
        self.remarks = remarks
        """What was noticed while it was opened, for the user; each is one line."""
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

    def remove(self) -> None:
        """Close and remove a gradebook into which nothing came. To be called by its writer."""
        self.database.close()
        self.path.unlink()

    @contextlib.contextmanager
    def transaction(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing, safely on the disk at the end of the block.

        Args:
            keep: else nothing, whatever happens: to see what would come of it.

        Raises:
            UsageError: the file is damaged, or another program holds it.
            GraderFault: the disk is full, or fails.
        """
        with self._explained():
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield self.database
                self.database.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                # SQLite has rolled back already where the disk is full.
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read in the block is of one moment, whoever writes meanwhile; one may hold another."""
        if self.database.in_transaction:
            yield
            return
        with self._explained():
            self.database.execute("BEGIN")
            try:
                yield
            finally:
                if self.database.in_transaction:
                    self.database.execute("ROLLBACK")

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._explained():
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

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            complaint = _complaint(self.path, error)
            if complaint is None:
                raise
            raise complaint from error


class Watch:
    """Tells whether a gradebook has changed. For any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        """Watch a gradebook that can be opened."""
        target = _real(path)
        self._connection = sqlite3.connect(f"{target.as_uri()}?mode=ro", uri=True, check_same_thread=False)

    def version(self) -> int:
        """Another number whenever somebody has written since."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Watch no more."""
        self._connection.close()


def now() -> str:
    """The time, as the gradebook writes it."""
    return written(datetime.now(UTC))


def written(moment: datetime) -> str:
    """A moment as the gradebook writes it: `2026-11-28T09:30:00.123Z`, which sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_gradebook(
    path: Path, *, write: bool = False, create: bool = False, beside: bool = False
) -> Gradebook:
    """Open a gradebook.

    Args:
        write: to change it, as nobody else may at the same time; readers are not in the way.
        create: make it where there is none.
        beside: to write also while another grader of this machine does, as for a decision that must not wait
            until a batch ends: each transaction is whole, and SQLite lets one come after the other. Not for
            who hands out jobs.

    Raises:
        UsageError: there is none, it is no gradebook, it is damaged, it is from a newer grader, somebody else
            writes to it, or the place is of no use.
        GraderFault: the disk is full, or fails.
    """
    # Through links, so that there is one lock, however the file is called.
    target = _real(path)
    status = _status(path, target, create=write and create, write=write)
    network = network_file_system(target.parent)
    lock = _lock(target, network, beside=beside) if write else None
    try:
        if write:
            # Another process may have made it while this one waited for nothing.
            connection, remarks = _opened_to_write(path, target, network)
        else:
            connection, remarks = _opened_to_read(path, target, network, empty=not status)
        return Gradebook(path, connection, lock, remarks=remarks)
    except BaseException as error:
        if lock is not None:
            os.close(lock)
        if isinstance(error, sqlite3.DatabaseError):
            raise _complaint(path, error) or UsageError(
                f"cannot open the gradebook {path}: {error}"
            ) from error
        raise


def _lock(target: Path, network: str, *, beside: bool) -> int | None:
    try:
        return take_lock(target)
    except LockedError as error:
        if beside and error.here and not network and not is_older(target):
            return None
        raise


def is_gradebook(path: Path) -> bool:
    """Whether a file says of itself that it is a gradebook, of whatever version; nothing else is read."""
    try:
        return _is_gradebook(_head(path))
    except OSError:
        return False


_heads: dict[tuple[int, int], bytes] = {}
"""Device and number of each gradebook that this process has looked into -> its first bytes."""


def _head(path: Path) -> bytes:
    """The first bytes of a file; those of a gradebook are read once, before there is a connection to it.

    Whoever closes a descriptor of a file gives up every lock that the process has on it (POSIX), those of
    SQLite's connections too. Another process that ends its connection then takes itself for the last one, and
    removes the log under those that are left: they read a database that is none.
    """
    found = path.stat()
    key = (found.st_dev, found.st_ino)
    if key not in _heads:
        with path.open("rb") as file:
            head = file.read(AT_APPLICATION + 4)
        if not _is_gradebook(head):
            return head
        _heads[key] = head
    return _heads[key]


def _remember(target: Path, connection: sqlite3.Connection) -> None:
    """Keep the first bytes of a gradebook that was just made: nobody may look for them any more."""
    found = target.stat()
    mode = b"\2\2" if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal" else b"\1\1"
    head = (HEADER + b"\0\0" + mode).ljust(AT_APPLICATION, b"\0") + APPLICATION.to_bytes(4, "big")
    _heads.setdefault((found.st_dev, found.st_ino), head)


def _is_gradebook(head: bytes) -> bool:
    return head.startswith(HEADER) and head[AT_APPLICATION:] == APPLICATION.to_bytes(4, "big")


def is_older(path: Path) -> bool:
    """Whether a gradebook is from an older grader; False also of what is none."""
    target = _real(path)
    if not path.is_file() or not target.stat().st_size or _no_database(target):
        return False
    try:
        with contextlib.closing(_connection(target, "mode=ro")) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            return application == APPLICATION and 0 < version < len(migrations())
    except sqlite3.DatabaseError:
        return False


def migrations() -> list[str]:
    """The scripts in order; the number of those that were run is the gradebook's version."""
    folder = resources.files("grader.cohort.gradebook") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(folder / name).read_text(encoding="utf-8") for name in names]


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # links in a circle
        raise UsageError(f"there is no gradebook {path}: its links lead in a circle") from error


def _status(path: Path, target: Path, *, create: bool, write: bool) -> int:
    """The size of the file; 0 where there is none yet.

    Raises:
        UsageError: there must be one, or what is there can be none.
    """
    try:
        found = target.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(f"there is no gradebook {path}: it is a link to {target}") from None
        if not create:
            raise UsageError(f"there is no gradebook {path}: `grader batch` makes one") from None
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {path.parent} for a gradebook: make it first") from None
        return 0
    except OSError as error:
        raise UsageError(f"the gradebook {path} cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{path} is a folder, and a gradebook is a file: name one in it")
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{path} is no file, and a gradebook is one")
    if write and found.st_nlink > 1:
        # Each name would have a lock and a log of its own.
        raise UsageError(f"{path} has {found.st_nlink} names (hard links): copy it, and use the copy")
    if not os.access(target, os.R_OK):
        raise UsageError(f"the gradebook {path} cannot be read: Permission denied")
    if found.st_size and (complaint := _no_database(target)):
        raise UsageError(f"{path} is no gradebook: {complaint}")
    return found.st_size


def _no_database(target: Path) -> str:
    try:
        head = _head(target)
    except OSError as error:
        return str(error.strerror)
    return "" if head.startswith(HEADER) else "it is not a database"


def _connection(target: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{target.as_uri()}?{mode}", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _opened_to_write(path: Path, target: Path, network: str) -> tuple[sqlite3.Connection, tuple[str, ...]]:
    connection = _connection(target, "mode=rwc")
    try:
        version = _version(path, connection)
        wanted = "delete" if network else "wal"
        found = str(connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0])
        connection.execute("PRAGMA synchronous = FULL")
        remarks = [_migrated(target, connection, version)]
        if network:
            remarks.append(
                f"{path} is on a network file system ({network}): it is slower there, and only one machine"
                " may use it"
            )
        elif found != wanted:
            remarks.append(f"{path} is kept in journal mode {found}: its file system knows no {wanted}")
        _remember(target, connection)
    except BaseException:
        connection.close()
        raise
    return connection, tuple(filter(None, remarks))


def _opened_to_read(
    path: Path, target: Path, network: str, *, empty: bool
) -> tuple[sqlite3.Connection, tuple[str, ...]]:
    """A connection that changes nothing, not even where the log of the last writer cannot be shared."""
    if empty:
        raise UsageError(f"the gradebook {path} holds nothing yet: `grader batch` fills it")
    log = target.with_name(f"{target.name}-wal")
    logged = log.is_file() and log.stat().st_size > 0
    in_log_mode = _in_log_mode(target)
    if network and in_log_mode and logged:
        raise UsageError(
            f"the gradebook {path} was copied to a network file system ({network}) while it was written: copy"
            f" it to this machine's disk, {log.name} with it"
        )
    modes = ["mode=ro"]
    if in_log_mode and not logged:
        # Where nothing can be made beside it, and nobody writes, there is nothing to share.
        modes = ["mode=ro&immutable=1"] if network else [*modes, "mode=ro&immutable=1"]
    for mode in modes:
        connection = _connection(target, mode)
        try:
            version = _version(path, connection)
        except sqlite3.OperationalError as error:
            connection.close()
            if _primary(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            continue
        except BaseException:
            connection.close()
            raise
        if version < len(migrations()):
            connection.close()
            raise UsageError(
                f"{path} is from an older grader: `grader gradebook verify -g {path}` brings it up to date"
            )
        return connection, ()
    raise UsageError(
        f"the gradebook {path} cannot be read there with the changes in {log.name}: copy both to where you"
        " may write"
    )


def _in_log_mode(target: Path) -> bool:
    return _head(target)[18:20] == b"\2\2"


def _version(path: Path, connection: sqlite3.Connection) -> int:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION and (
        version or application or connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    ):
        raise UsageError(f"{path} is a database, but no gradebook")
    if version > len(migrations()):
        raise UsageError(
            f"the gradebook {path} is from a newer grader (version {version}, this one knows "
            f"{len(migrations())}): use that grader"
        )
    return version


def _migrated(target: Path, connection: sqlite3.Connection, version: int) -> str:
    """Run the scripts that were not run; what there is to say about it."""
    scripts = migrations()
    if version == len(scripts):
        return ""
    copy = _copied(target, connection, version) if version else None
    # Tables are made anew by scripts that change them: what refers to them is looked at at the end.
    connection.execute("PRAGMA foreign_keys = OFF")
    for number, script in enumerate(scripts[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script}")
        if connection.execute("PRAGMA foreign_key_check").fetchone():
            raise GraderFault(
                f"script {number:04} leaves rows of {target} that refer to none; nothing changed"
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    connection.execute("PRAGMA foreign_keys = ON")
    return f"brought from version {version} to {len(scripts)}; {copy} is as it was" if copy else ""


def _copied(target: Path, connection: sqlite3.Connection, version: int) -> Path:
    """A copy beside the file, whole before it has its name, and in nobody's place."""
    aside = target.with_name(f"{target.name}.copy")
    aside.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(aside)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    for number in range(1, MAX_COPIES):
        name = target.with_name(f"{target.name}.version-{version}" + (f"-{number}" if number > 1 else ""))
        try:
            # Not by a hard link, which some file systems do not have.
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            continue
        aside.replace(name)
        return name
    raise UsageError(f"there are {MAX_COPIES} copies of {target} from before it was migrated: remove some")


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def _complaint(path: Path, error: sqlite3.DatabaseError) -> Exception | None:
    """Whose failure it is; None where it is ours."""
    match _primary(error):
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return UsageError(
                f"the gradebook {path} is damaged ({error}): go back to a copy of it, or see what is left by"
                " `sqlite3 FILE .recover`"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return UsageError(f"another program holds the gradebook {path}: close that, and try again")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return UsageError(
                f"the gradebook {path} cannot be written there ({error}): copy it to where it can"
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return GraderFault(
                f"the gradebook {path} cannot be written or read ({error}): make room, and go on"
            )
    return None
