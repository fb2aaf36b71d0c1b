"""The one directory in which a grade keeps everything, and its removal whatever is in there."""

# ruff: noqa: PTH208  (by descriptor, so that no link can lead out)

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import re
import signal
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "grader-"
LOCK = ".lock"
PATIENCE = 10.0
"""Seconds that a removal is tried again while something still writes into the directory."""
MAX_ROUNDS = 100_000
"""Each takes one level of directories away; a hostile program can make about as many as it may have files."""
DETACH = 2  # MNT_DETACH
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}
"""How renaming a directory fails where something has the new name already."""


@contextlib.contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """A private directory, removed at the end; those of graders that were killed are removed first."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    with _locked_directory(parent) as directory:
        yield directory


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """An empty private directory for a moment; where the grader is killed, the next sweep removes it."""
    with _locked_directory(Path(tempfile.gettempdir())) as directory:
        empty = directory / "files"
        empty.mkdir()
        yield empty


@contextlib.contextmanager
def _locked_directory(parent: Path) -> Iterator[Path]:
    directory, lock = _make(parent)
    try:
        yield directory
    finally:
        _remove_patiently(directory)
        os.close(lock)


def _remove_patiently(directory: Path) -> None:
    """After an interrupt a thread may still be writing; it stops as soon as it asks for anything."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            remove_tree(directory)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def sweep(parent: Path) -> None:
    """Remove what graders left that were killed: their locks are free.

    Only directories that are ours and hold a lock of ours count; others' look-alikes are left alone.
    """
    for directory in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.geteuid() and (lock := _take(directory)) is not None:
                try:
                    kill_orphans(directory)
                    _unmount_below(directory)
                    remove_tree(directory)
                finally:
                    os.close(lock)


def kill_orphans(directory: Path) -> None:
    """Kill what a killed grader's runs left, told by the grade's directory, which nobody else can have.

    A run has its workspace mounted. One that was just beginning names the directory on its command line, and
    may wait for its grader for ever; one without isolation has its home there.
    """
    directory = directory.resolve()
    mounts = list(_mounts("self"))
    place = _place(directory, mounts)
    ours = {mount.number for mount in mounts}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(name))  # from here on the number is that process's, or nobody's
            try:
                if _belongs(name, directory, place, ours):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _belongs(name: str, directory: Path, place: tuple[str, Path] | None, ours: set[str]) -> bool:
    """Whether a process has to do with a directory, by mounts that it does not share with us and by words."""
    inside = os.fsencode(directory) + b"/"
    words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
    if words[0].endswith(b"/bwrap") and any(word.startswith(inside) for word in words):
        return True
    with contextlib.suppress(PermissionError):
        variables = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
        if any(variable.startswith(b"HOME=" + inside) for variable in variables):
            return True
    if place is None:
        return False
    device, root = place
    return any(
        mount.device == device and mount.root.is_relative_to(root) and mount.number not in ours
        for mount in _mounts(name)
    )


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of /proc/PID/mountinfo."""

    number: str
    """The same in no other namespace."""
    device: str
    root: Path
    """Which directory of the file system is mounted."""
    target: Path


def _mounts(process: str) -> Iterator[_Mount]:
    for line in Path(f"/proc/{process}/mountinfo").read_bytes().splitlines():
        number, _, device, root, target, *_ = line.split(b" ")
        yield _Mount(number.decode(), device.decode(), _unescape(root), _unescape(target))


def _unescape(path: bytes) -> Path:
    """Blanks and the like are written as octal numbers."""
    return Path(os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), path)))


def _place(directory: Path, mounts: list[_Mount]) -> tuple[str, Path] | None:
    """The file system that a directory is in, and its path there."""
    around = [mount for mount in mounts if directory.is_relative_to(mount.target)]
    if not around:
        return None
    mount = max(enumerate(around), key=lambda pair: (len(pair[1].target.parts), pair[0]))[1]
    return mount.device, mount.root / directory.relative_to(mount.target)


def _unmount_below(directory: Path) -> None:
    """Detach what a killed grader mounted in its own directory."""
    directory = directory.resolve()
    found = [mount.target for mount in _mounts("self") if mount.target.is_relative_to(directory)]
    for target in reversed(found):
        ctypes.CDLL(None).umount2(os.fsencode(target), DETACH)


def _make(parent: Path) -> tuple[Path, int]:
    while True:  # a sweep may get hold of the new directory before we lock it
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(OSError):
            os.close(os.open(directory / LOCK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            lock = _take(directory)
            if lock is not None:
                return directory, lock


def _take(directory: Path) -> int | None:
    """The lock of a scratch directory, unless its owner lives; one without a lock is not the grader's."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        lock = os.open(directory / LOCK, flags)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    status = os.fstat(lock)
    if stat.S_ISREG(status.st_mode) and status.st_nlink:
        return lock
    os.close(lock)  # a look-alike, or somebody else removed it meanwhile
    return None


def remove_tree(directory: Path) -> None:
    """Remove a directory that a hostile program filled: locked, deeper than any path may be, full of links.

    Follows no link, also where something is put in another's place meanwhile. A directory within is emptied
    by moving its directories up, so that depth costs nothing.

    Raises:
        OSError: something in it cannot be removed, or comes back as fast as it is removed.
    """
    try:
        top = _open_directory(os.fspath(directory), None)
    except FileNotFoundError:
        return
    try:
        names = (f".removed-{number}" for number in itertools.count())
        for _ in range(MAX_ROUNDS):
            entries = _entries(top)
            if not entries:
                break
            for name, is_directory in entries:
                _remove(name, is_directory, top, names)
    finally:
        os.close(top)
    directory.rmdir()


def _remove(name: str, is_directory: bool, top: int, names: Iterator[str]) -> None:
    if not is_directory:
        _unlink(name, top)
        return
    inner = _open_directory(name, top)
    try:
        for entry, within in _entries(inner):
            if within:
                # A directory that cannot be written cannot be moved.
                os.close(_open_directory(entry, inner))
                _move_up(entry, inner, top, names)
            else:
                _unlink(entry, inner)
    finally:
        os.close(inner)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=top)


def _entries(directory: int) -> list[tuple[str, bool]]:
    """What is in a directory, and whether each is one itself."""
    with os.scandir(directory) as found:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]


def _open_directory(name: str, parent: int | None) -> int:
    """A directory, opened so that all in it can be removed."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        path = f"/proc/self/fd/{place}"  # this very directory, whatever has that name by now
        try:
            Path(path).chmod(0o700)
        except PermissionError:
            _make_mutable(path)
            Path(path).chmod(0o700)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)


def _unlink(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except PermissionError:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _make_mutable(f"/proc/self/fd/{handle}")
        finally:
            os.close(handle)
        os.unlink(name, dir_fd=parent)


def _make_mutable(path: str) -> None:
    """Take away the attributes that keep even root from changing a file; unisolated root can set them."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        flags = array.array("l", [0])
        fcntl.ioctl(handle, GET_FLAGS, flags)
        flags[0] &= ~(IMMUTABLE | APPEND_ONLY)
        fcntl.ioctl(handle, SET_FLAGS, flags)
    finally:
        os.close(handle)


def _move_up(entry: str, inner: int, top: int, names: Iterator[str]) -> None:
    for name in names:
        try:
            os.rename(entry, name, src_dir_fd=inner, dst_dir_fd=top)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in TAKEN:
                raise
            continue
        return
