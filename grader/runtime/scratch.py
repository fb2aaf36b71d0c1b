"""The one directory in which a grade keeps everything, and its removal whatever is in there."""

# ruff: noqa: PTH208  (by descriptor, so that no link can lead out)

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "grader-"
LOCK = ".lock"
PATIENCE = 10.0
"""Seconds that a removal is tried again while something still writes into the directory."""


@contextlib.contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """A private directory, removed at the end; those of graders that were killed are removed first."""
    parent = parent or Path(tempfile.gettempdir())
    sweep(parent)
    directory, lock = _make(parent)
    try:
        yield directory
    finally:
        _remove_patiently(directory)
        os.close(lock)


def _remove_patiently(directory: Path) -> None:
    """After an interrupt a thread may still be writing; it stops as soon as it asks the lab for anything."""
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
    """Remove what graders left that were killed: their locks are free."""
    for directory in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid == os.geteuid() and (lock := _take(directory)) is not None:
                end_beginners(directory)
                remove_tree(directory)
                os.close(lock)


def end_beginners(directory: Path) -> None:
    """Kill sandboxes that were just beginning when their grader was killed, and wait for it for ever."""
    wanted = os.fsencode(directory) + b"/"
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/bwrap") and any(word.startswith(wanted) for word in words):
                os.kill(int(name), signal.SIGKILL)


def _make(parent: Path) -> tuple[Path, int]:
    while True:  # a sweep may get hold of the new directory before we lock it
        directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(OSError):
            os.close(os.open(directory / LOCK, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            lock = _take(directory)
            if lock is not None:
                return directory, lock


def _take(directory: Path) -> int | None:
    """The lock of a scratch directory, unless its owner lives; a directory without one is none of ours."""
    try:
        lock = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    if os.fstat(lock).st_nlink:
        return lock
    os.close(lock)  # somebody else removed it meanwhile
    return None


def remove_tree(directory: Path) -> None:
    """Remove a directory that a hostile program filled: locked, deeper than any path may be, full of links.

    Follows no link. A directory within is emptied by moving its directories up, so that depth costs nothing.
    Only for when nothing runs in there any more.
    """
    try:
        directory.chmod(0o700)
        top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        names = (f".removed-{number}" for number in itertools.count())
        while entries := os.listdir(top):
            for name in entries:
                _remove(name, top, names)
    finally:
        os.close(top)
    directory.rmdir()


def _remove(name: str, top: int, names: Iterator[str]) -> None:
    if not _is_directory(name, top):
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    try:
        for entry in os.listdir(inner):
            if _is_directory(entry, inner):
                os.chmod(entry, 0o700, dir_fd=inner)  # a directory that cannot be written cannot be moved
                _move_up(entry, inner, top, names)
            else:
                os.unlink(entry, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _move_up(entry: str, inner: int, top: int, names: Iterator[str]) -> None:
    for name in names:
        try:
            os.rename(entry, name, src_dir_fd=inner, dst_dir_fd=top)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in {
                errno.ENOTEMPTY,
                errno.ENOTDIR,
            }:  # taken already, by a full directory or by a file
                raise
            continue
        return


def _is_directory(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
