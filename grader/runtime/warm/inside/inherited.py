"""Resources that a fork inherits and would share with other runs, made private.

Whoever owns a descriptor or a place in memory goes on owning it, but nothing that is written there reaches
another fork. For `warm.py`; standard library only; runs in the candidate's Python, so also an older one.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

READ, WRITE, EXECUTE = 1, 2, 4
PRIVATE, FIXED, ANONYMOUS = 0x02, 0x10, 0x20


def keep_memory_private() -> None:
    """Put private copies in place of memory that would be shared with whoever is forked from this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    with open("/proc/self/maps") as maps:
        shared = [line.split()[:2] for line in maps if line.split()[1].endswith("s")]
    for place, rights in shared:
        start, end = (int(number, 16) for number in place.split("-"))
        size = end - start
        content = ctypes.string_at(start, size) if rights[0] == "r" else b""
        where = ctypes.c_void_p(start), ctypes.c_size_t(size)
        flags = PRIVATE | FIXED | ANONYMOUS
        if libc.mmap(*where, READ | WRITE, flags, -1, ctypes.c_long(0)) != start:
            raise OSError(ctypes.get_errno(), "memory stays shared")
        ctypes.memmove(start, content, len(content))
        wanted = sum(bit for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x")) if letter in rights)
        if libc.mprotect(*where, wanted):
            raise OSError(ctypes.get_errno(), "memory stays writable")


def replace_descriptors(kept: Collection[int]) -> None:
    """Put something of the same kind, and of this process alone, in place of every other descriptor."""
    numbers = [number for number in map(int, os.listdir("/proc/self/fd")) if number not in kept]
    kinds = {}
    for number in numbers:
        try:
            kinds[number] = os.fstat(number)
        except OSError:  # the one that listed them
            continue
    pipes: dict[int, list[int]] = {}
    sockets: dict[int, list[int]] = {}
    events = []
    for number, status in kinds.items():
        if stat.S_ISFIFO(status.st_mode):
            pipes.setdefault(status.st_ino, []).append(number)
        elif stat.S_ISSOCK(status.st_mode):
            sockets.setdefault(status.st_ino, []).append(number)
        elif os.readlink(f"/proc/self/fd/{number}") == "anon_inode:[eventpoll]":
            events.append(number)
        else:
            _put(_opened(number, status.st_mode), number)
    for ends in pipes.values():
        _replace_pipe(ends)
    _replace_sockets(sockets)
    for number in events:  # last: they watch the others
        _replace_events(number)


def _put(new: int, number: int) -> None:
    """Let a number stand for something new, with the flags that it had."""
    inheritable = os.get_inheritable(number)
    os.set_blocking(new, not fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK)
    os.dup2(new, number, inheritable)
    os.close(new)


def _opened(number: int, mode: int) -> int:
    """The same file once more where it can be read only, and a device; nothing in place of all else."""
    path = f"/proc/self/fd/{number}"
    flags = fcntl.fcntl(number, fcntl.F_GETFL)
    if os.readlink(path) == "anon_inode:[eventfd]" and hasattr(os, "eventfd"):
        return os.eventfd(0)
    try:
        if stat.S_ISCHR(mode):
            return os.open(path, flags & os.O_ACCMODE | os.O_NOCTTY | os.O_CLOEXEC)
        if stat.S_ISREG(mode) and os.fstatvfs(number).f_flag & os.ST_RDONLY:
            new = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.lseek(new, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
            return new
    except OSError:
        pass
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _replace_pipe(ends: list[int]) -> None:
    read, write = os.pipe()
    for number in ends:
        reads = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        _put(os.dup(read if reads else write), number)
    os.close(read)
    os.close(write)


def _replace_sockets(numbers: dict[int, list[int]]) -> None:
    """Two that were made one after the other are taken for a pair; any other is connected to nothing."""
    waiting = dict(numbers)
    for inode in sorted(numbers):
        if inode not in waiting:
            continue
        first = waiting.pop(inode)
        family, kind = _socket_kind(first[0])
        second = waiting.get(inode + 1)
        if family == socket.AF_UNIX and second is not None and _socket_kind(second[0]) == (family, kind):
            del waiting[inode + 1]
            one, other = socket.socketpair(family, kind)
            # As event loops use theirs to wake themselves: nothing is ever sent the other way.
            one.shutdown(socket.SHUT_WR)
            _put_all(other, second)
        else:
            one = socket.socket(family, kind)
        _put_all(one, first)


def _put_all(new: socket.socket, numbers: list[int]) -> None:
    with new:
        for number in numbers:
            _put(os.dup(new.fileno()), number)


def _socket_kind(number: int) -> tuple[int, int]:
    own = socket.socket(fileno=os.dup(number))
    with own:
        return int(own.family), int(own.type)


def _replace_events(number: int) -> None:
    new = select.epoll()
    with open(f"/proc/self/fdinfo/{number}") as lines:
        watched = [line.split() for line in lines if line.startswith("tfd:")]
    for _, target, _, mask, *_ in watched:
        try:
            new.register(int(target), int(mask, 16))
        except OSError:  # what cannot be watched, now that it is something else
            continue
    _put(os.dup(new.fileno()), number)
    new.close()
