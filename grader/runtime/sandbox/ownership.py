"""Ownership of a run's files: where root runs the grader, the program that writes them is another user."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FIRST_UNUSED = 61184
"""Where systemd's range of users for one occasion begins."""
DEEPEST = 200
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@cache
def unused_user() -> int:
    """A user id that no account of this machine has."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(user for user in range(FIRST_UNUSED, FIRST_UNUSED + 4096) if user not in taken)


def give(directory: Path, user: int) -> None:
    """Make a user the owner of a directory and all that is in it, also while that user's programs run there.

    Goes by descriptors only: a path could be made to lead elsewhere between one look and the next.
    """
    with contextlib.suppress(OSError):
        top = os.open(directory, FLAGS)
        try:
            _give(top, user, 0)
        finally:
            os.close(top)


def _give(directory: int, user: int, depth: int) -> None:
    os.fchown(directory, user, user)
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and depth < DEEPEST:
                    inner = os.open(entry.name, FLAGS, dir_fd=directory)
                    try:
                        _give(inner, user, depth + 1)
                    finally:
                        os.close(inner)
                elif status.st_uid != user:
                    os.chown(entry.name, user, user, dir_fd=directory, follow_symlinks=False)


def all_may_read(path: Path) -> bool:
    """Whether other users may look into a file or directory, once they have reached it."""
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def let_connect(socket: Path) -> None:
    """Let other users connect to a Unix socket, once they have reached it."""
    with contextlib.suppress(OSError):
        socket.chmod(0o777)
