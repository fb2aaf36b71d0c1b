"""The right to write to a gradebook: one process has it, until it ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import socket
from pathlib import Path

from grader.errors import UsageError
from grader.report.safe import one_line

BOOT = Path("/proc/sys/kernel/random/boot_id")
LOCKS = Path("/proc/locks")
MAX_OWNER = 400


class LockedError(UsageError):
    """Another process has the lock."""

    def __init__(self, message: str, *, here: bool) -> None:
        """Take what there is to say.

        Args:
            here: the other process runs on this machine.
        """
        super().__init__(message)
        self.here = here


def take_lock(path: Path) -> int:
    """A descriptor that holds the lock of a gradebook until it is closed.

    The file beside the gradebook stays, and says who had it last: removing it would let two processes hold
    locks of two files of one name.

    Raises:
        LockedError: another process has it.
        UsageError: there can be none here.
    """
    beside = path.with_name(f"{path.name}.lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise UsageError(f"{beside} is in the way: only a grader may make it, remove it") from error
        raise UsageError(
            f"the gradebook {path} cannot be written there ({error.strerror}): copy it to where it can"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = f"process {os.getpid()}, host {socket.gethostname()}, boot {boot()}\n".encode()
        os.ftruncate(lock, 0)
        os.pwrite(lock, owner, 0)
    except OSError as error:
        told, here = _owner(lock)
        os.close(lock)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise LockedError(
                f"the gradebook {path} is being written {told}: wait for it", here=here
            ) from None
        raise UsageError(
            f"the gradebook {path} cannot be locked there ({error.strerror}): copy it to another disk"
        ) from error
    return lock


def holder(path: Path) -> int:
    """The process of this machine that has the lock of a gradebook; 0 where none is known. Takes none itself.

    Whoever tried would be in the way of who comes at that moment.
    """
    with contextlib.suppress(OSError, ValueError):
        status = path.resolve().with_name(f"{path.resolve().name}.lock").stat()
        for line in LOCKS.read_text(encoding="ascii").splitlines():
            words = line.split()
            if words[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and words[5].rpartition(":")[2] == str(
                status.st_ino
            ):
                return max(0, int(words[4]))
    return 0


def boot() -> str:
    """What names this start of this machine."""
    with contextlib.suppress(OSError):
        return BOOT.read_text(encoding="ascii").strip()
    return "unknown"


def _owner(lock: int) -> tuple[str, bool]:
    """Who has it, in words, and whether that is known to be on this machine."""
    with contextlib.suppress(OSError):
        text = os.pread(lock, MAX_OWNER, 0).decode(errors="replace")
        if found := re.match(r"process (\d+), host (.*), boot (.*)\n", text):
            here = found[3] == boot()
            where = "on this machine" if here else f"on {one_line(found[2])}"
            return f"by another grader (process {found[1]} {where})", here
    return "by another grader", False
