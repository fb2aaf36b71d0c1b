"""The only way to read directories in which candidate code has run: workspaces, answers of probes, stores.

Whatever stands there may be hostile, and may change while it is looked at: links, hard links, pipes, sockets,
devices, directories that are renamed in the middle of a walk, names that are no text, sizes that no disk has.
So every step goes from an open directory to a name in it, through no link (`openat2`, or step by step where
the kernel has none), only regular files are opened, and everything is bounded. What does not fit is not
there: nothing in here raises for what candidate code did.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import secrets
import stat
import weakref
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MAX_ENTRIES = 200_000
MAX_DEPTH = 100
MAX_COPIED_BYTES = 2**30
MAX_HASHED_BYTES = 2**30
"""How much of a snapshot is told by content; what is left is told by size and time."""
HASHED_FILE_BYTES = 2**20
"""A larger file is told by its size and time."""
CHUNK = 2**20

# No pipe, socket or lease can make an open wait; no terminal can become the grader's own.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER = _READ | os.O_DIRECTORY
_OPENAT2 = 437
"""The same number on every architecture."""
_RESOLVE = 0x02 | 0x04 | 0x08
"""RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH."""
_RACES = 16
"""How often an open is tried again that a rename in the middle has disturbed."""

PathWord = str | PurePosixPath


@dataclass(slots=True)
class Budget:
    """How much is looked at. One budget may serve several walks, which then share it."""

    entries: int = MAX_ENTRIES
    bytes: int = MAX_COPIED_BYTES
    depth: int = MAX_DEPTH
    """Directories below the one where a walk begins."""
    exceeded: bool = False
    """Something was left out."""

    def take(self, *, entries: int = 0, size: int = 0) -> bool:
        """Use some of it up; False, and nothing used, where there is less."""
        if entries > self.entries or size > self.bytes:
            self.exceeded = True
            return False
        self.entries -= entries
        self.bytes -= size
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A regular file that a walk came by."""

    path: str
    """From the tree's root."""
    size: int
    modified: int
    """Nanoseconds."""
    number: int
    """Another for each file that stands there at a time."""


class _Root:
    """A descriptor that is closed when nobody needs it any more."""

    def __init__(self, path: Path | None) -> None:
        self.descriptor: int | None = None
        if path is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self.descriptor = os.open(path, _FOLDER)
            weakref.finalize(self, os.close, self.descriptor)


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory that candidate code may have filled, opened once: see `open_tree`.

    Paths are relative, with slashes; `""` is the tree itself. A path that is absolute or has `..` in it names
    nothing. Safe to use from several threads.
    """

    _root: _Root
    _top: str = ""

    def below(self, path: PathWord) -> Tree:
        """The tree under a directory in this one, which need not exist."""
        parts = _parts(path)
        # Nothing has a name with NUL in it, so nothing is found under one.
        return Tree(self._root, "\0" if parts is None else _join(self._top, *parts))

    def path_in(self, other: Tree) -> str | None:
        """Its path from the root of another tree, if it lies in that."""
        if self._root is not other._root or not _is_below(self._top, other._top):
            return None
        return self._top[len(other._top) :].lstrip("/")

    # --- looking ----------------------------------------------------------------------------------

    def open(self, path: PathWord) -> int | None:
        """A descriptor of a regular file, to be closed by the caller; None for anything else."""
        file = self._open(path, _READ)
        if file is None:
            return None
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
        return None

    def read(self, path: PathWord, limit: int) -> bytes | None:
        """The content of a regular file; None where there is none, or more than `limit` bytes."""
        file = self.open(path)
        return None if file is None else _read(file, limit)

    def size(self, path: PathWord) -> int | None:
        """The size of a regular file; None where there is none."""
        file = self.open(path)
        if file is None:
            return None
        try:
            return os.fstat(file).st_size
        finally:
            os.close(file)

    def is_file(self, path: PathWord) -> bool:
        """Whether a regular file stands there."""
        return self.size(path) is not None

    def is_folder(self, path: PathWord) -> bool:
        """Whether a directory stands there."""
        folder = self._open(path, _FOLDER)
        if folder is None:
            return False
        os.close(folder)
        return True

    def walk(
        self, path: PathWord = "", *, budget: Budget | None = None, skip: Collection[str] = ()
    ) -> Iterator[Entry]:
        """The regular files under a directory: its own in order, then those of its directories, in order.

        Args:
            skip: names of directories that are passed over.
        """
        for entry, _ in self._walk(path, budget or Budget(), skip):
            yield entry

    def snapshot(self) -> dict[str, str]:
        """Every regular file by its path, with what tells one content from another."""
        left = Budget(bytes=MAX_HASHED_BYTES)
        return {entry.path: _signature(entry, folder, left) for entry, folder in self._walk("", Budget(), ())}

    def copy_out(self, path: PathWord, target: Path, *, budget: Budget | None = None) -> bool:
        """Copy a regular file, or those of a directory, to a place that does not exist yet.

        Nobody but the grader may be able to write where `target` is.

        Returns:
            Whether all of it is there; what is over the budget is left out.
        """
        budget = budget or Budget()
        target.parent.mkdir(parents=True, exist_ok=True)
        file = self.open(path)
        if file is not None:
            return _copy(file, target, budget)
        if not self.is_folder(path):
            return False
        target.mkdir()
        prefix = len(_join(*(_parts(path) or ())))
        whole = True
        for entry, folder in self._walk(path, budget, ()):
            file = _open_name(folder, entry.path.rpartition("/")[2])
            if file is not None:
                place = target / entry.path[prefix:].lstrip("/")
                whole &= _copy(file, place, budget)
        return whole and not budget.exceeded

    # --- changing ---------------------------------------------------------------------------------

    def write(self, path: PathWord, content: bytes, *, executable: bool = False) -> bool:
        """Put a new file in place of whatever file or link stands there; directories on the way are made.

        Returns:
            False where that cannot be done: a file, a link or a locked directory is in the way.
        """
        parts = _parts(path)
        if not parts:
            return False
        folder = self._make_folders(parts[:-1])
        if folder is None:
            return False
        new = f".{secrets.token_hex(8)}"  # a name that nobody can have taken
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(new, flags, 0o600, dir_fd=folder)
            with os.fdopen(file, "wb") as stream:
                stream.write(content)
                os.fchmod(file, 0o755 if executable else 0o644)
            os.rename(new, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=folder)
            return False
        finally:
            os.close(folder)
        return True

    # --- by descriptor ----------------------------------------------------------------------------

    def _open(self, path: PathWord, flags: int) -> int | None:
        parts = _parts(path)
        if parts is None or self._root.descriptor is None:
            return None
        return _open_beneath(self._root.descriptor, _join(self._top, *parts), flags)

    def _walk(self, path: PathWord, budget: Budget, skip: Collection[str]) -> Iterator[tuple[Entry, int]]:
        """Each file with an open descriptor of its directory, which is closed when the walk goes on."""
        parts = _parts(path)
        waiting = [] if parts is None else [(_join(*parts), 0)]
        while waiting:
            place, depth = waiting.pop()
            folder = self._open(place, _FOLDER)
            if folder is None:
                continue
            try:
                files, names = _list(folder, place, budget)
                for entry in files:
                    yield entry, folder
            finally:
                os.close(folder)
            if depth >= budget.depth:
                budget.exceeded |= bool(names)
                continue
            below = (_join(place, name) for name in names if name not in skip)
            waiting += [(each, depth + 1) for each in reversed(list(below))]

    def _make_folders(self, parts: tuple[str, ...]) -> int | None:
        folder = self._open("", _FOLDER)
        for part in parts:
            if folder is None:
                return None
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=folder)
                inner = os.open(part, _FOLDER, dir_fd=folder)
            except (OSError, ValueError):
                inner = None
            os.close(folder)
            folder = inner
        return folder


def open_tree(path: Path) -> Tree:
    """Open a directory. One that is missing, locked or a link is a tree in which there is nothing."""
    return Tree(_Root(path))


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Files that are new or different between two snapshots, in order."""
    return tuple(sorted(path for path, content in after.items() if before.get(path) != content))


NOTHING = Tree(_Root(None))
"""A tree in which there is nothing."""


def _is_below(path: str, top: str) -> bool:
    return not top or path == top or path.startswith(f"{top}/")


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _parts(path: PathWord) -> tuple[str, ...] | None:
    text = str(path)
    if text.startswith("/") or "\0" in text:
        return None
    parts = tuple(part for part in text.split("/") if part not in ("", "."))
    return None if ".." in parts else parts


def _list(folder: int, place: str, budget: Budget) -> tuple[list[Entry], list[str]]:
    """The regular files in an open directory, and the names of its directories."""
    files: list[Entry] = []
    folders: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for each in found:
            if not budget.take(entries=1):
                break
            if not _is_text(each.name):  # nothing that anybody asks for has such a name
                budget.exceeded = True
                continue
            with contextlib.suppress(OSError):  # it went away
                status = each.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    folders.append(each.name)
                elif stat.S_ISREG(status.st_mode):
                    path = _join(place, each.name)
                    files.append(
                        Entry(
                            path=path,
                            size=status.st_size,
                            modified=status.st_mtime_ns,
                            number=status.st_ino,
                        )
                    )
    return sorted(files, key=lambda entry: entry.path), sorted(folders)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _signature(entry: Entry, folder: int, left: Budget) -> str:
    content = str(entry.modified)
    if entry.size <= HASHED_FILE_BYTES and left.take(size=entry.size):
        file = _open_name(folder, entry.path.rpartition("/")[2])
        data = None if file is None else _read(file, HASHED_FILE_BYTES)
        if data is not None:
            content = hashlib.sha256(data).hexdigest()
    return f"{entry.size}:{content}"


def _open_name(folder: int, name: str) -> int | None:
    """A descriptor of the regular file of a name in an open directory."""
    try:
        file = os.open(name, _READ, dir_fd=folder)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _read(file: int, limit: int) -> bytes | None:
    """What an open file holds, which is closed; None for more than `limit` bytes."""
    with os.fdopen(file, "rb") as stream, contextlib.suppress(OSError):
        if os.fstat(file).st_size > limit:
            return None
        data = stream.read(limit + 1)  # it may grow meanwhile
        return data if len(data) <= limit else None
    return None


def _copy(file: int, target: Path, budget: Budget) -> bool:
    """Write an open file, which is closed, to a new one; False where that is over the budget."""
    try:
        # By the size that it claims, before anything is read: a file may be all hole.
        if os.fstat(file).st_size > budget.bytes:
            budget.exceeded = True
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as copy:
            while chunk := _chunk(file):
                if not budget.take(size=len(chunk)):
                    return False
                copy.write(chunk)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # the machine's, not the candidate's
            raise
        budget.exceeded = True
        return False
    finally:
        os.close(file)
    return True


def _chunk(file: int) -> bytes:
    with contextlib.suppress(OSError):
        return os.read(file, CHUNK)
    return b""


# --- opening through no link ----------------------------------------------------------------------


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _kernel_resolves() -> bool:
    """Whether the kernel has `openat2`, and nothing (as an old container's filter) forbids it."""
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        file, _ = _openat2(root, ".", _FOLDER)
    finally:
        os.close(root)
    if file < 0:
        return False
    os.close(file)
    return True


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _openat2(root: int, path: str, flags: int) -> tuple[int, int]:
    """A descriptor, or a negative number and what is wrong."""
    how = _How(flags=flags, mode=0, resolve=_RESOLVE)
    call = _libc().syscall
    file = call(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(root),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    return file, ctypes.get_errno()


def _open_beneath(root: int, path: str, flags: int) -> int | None:
    try:
        if not _kernel_resolves():
            return _open_step_by_step(root, path, flags)
        for _ in range(_RACES):
            file, wrong = _openat2(root, path or ".", flags)
            if file >= 0:
                return file
            if wrong not in (errno.EAGAIN, errno.EINTR):
                break
    except (OSError, ValueError):
        pass
    return None


def _open_step_by_step(root: int, path: str, flags: int) -> int:
    """The same without `openat2`.

    Raises:
        OSError: there is no such file, or a link on the way.
    """
    parts = path.split("/") if path else ["."]
    folder = root
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            if folder != root:
                os.close(folder)
            folder = inner
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        if folder != root:
            os.close(folder)
