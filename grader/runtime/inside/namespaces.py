"""What bubblewrap does for a fresh program, done by a process to itself: namespaces, mounts, no privileges.

For `warm.py`, whose processes have imported much and cannot be started anew. Standard library only; runs in
the candidate's Python, so also an older one.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import platform
import socket
import stat
import struct

NEW_USER, NEW_MOUNTS, NEW_NETWORK = 0x10000000, 0x20000, 0x40000000
NEW_PROCESSES, NEW_IPC, NEW_NAME = 0x20000000, 0x8000000, 0x4000000
READ_ONLY, NO_SET_USER, NO_DEVICES, NO_PROGRAMS = 1, 2, 4, 8
REMOUNT, BIND, RECURSIVE, PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
DROP_BOUND, SECCOMP, FILTER = 24, 22, 2
CAPABILITIES_VERSION = 0x20080522
LAST_CAPABILITY = 63
INTERFACE_FLAGS, UP = 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def leave() -> None:
    """Have namespaces of one's own, with the same user in them; children are the first processes."""
    user, group = os.getuid(), os.getgid()
    _call(_libc.unshare(NEW_USER | NEW_MOUNTS | NEW_NETWORK | NEW_PROCESSES | NEW_IPC | NEW_NAME))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    mount("none", "/", flags=RECURSIVE | PRIVATE)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)"""
    words = (os.fsencode(word) for word in (source, target, kind))
    _call(_libc.mount(*words, ctypes.c_ulong(flags), options.encode()))


def mount_memory(target: str, size: int, mode: str) -> None:
    """An empty place in memory."""
    mount("tmpfs", target, "tmpfs", NO_SET_USER | NO_DEVICES, f"size={size},mode={mode}")


def mount_processes() -> None:
    """A /proc that shows the processes of this namespace."""
    mount("proc", "/proc", "proc", READ_ONLY | NO_SET_USER | NO_DEVICES | NO_PROGRAMS)


def show(sources: list[tuple[str, str, bool]], cover: str) -> None:
    """Bind files and directories, each (source, target, writable); hide `cover` but for targets within."""
    handles = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source, _, _ in sources]
    mount_memory(cover, 1 << 20, "0755")
    for handle, (_, target, writable) in zip(handles, sources):  # noqa: B905  (Python 3.10)
        if target.startswith(f"{cover}/"):
            make_place(target, handle)
        bind(handle, target, writable)
    close(cover)


def cover_with_memory(places: dict[str, str], size: int, kept: list[str]) -> None:
    """Mount memory over each place (path -> mode), and bind what was to be read there into it again."""
    lying = [os.path.realpath(path) for path in kept]
    lying = [path for path in lying if any(path.startswith(f"{place}/") for place in places)]
    handles = [os.open(path, os.O_PATH | os.O_CLOEXEC) for path in lying]
    for place, mode in places.items():
        mount_memory(place, size, mode)
    for handle, target in zip(handles, lying):  # noqa: B905  (Python 3.10)
        make_place(target, handle)
        bind(handle, target, False)


def make_place(target: str, handle: int) -> None:
    """An empty directory or file, to mount on."""
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.makedirs(target)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "x").close()


def bind(handle: int, target: str, writable: bool) -> None:
    """Mount what a handle is open on; closes it."""
    mount(f"/proc/self/fd/{handle}", target, flags=BIND | RECURSIVE)
    if not writable:
        close(target)
    os.close(handle)


def close(target: str) -> None:
    """Make a mount read-only."""
    mount("none", target, flags=REMOUNT | BIND | READ_ONLY | NO_SET_USER | NO_DEVICES)


def raise_loopback() -> None:
    """Switch the loopback on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, INTERFACE_FLAGS, struct.pack("16sH22x", b"lo", UP))


def drop_capabilities() -> None:
    """Keep no privilege, not even in one's own namespaces."""
    for capability in range(LAST_CAPABILITY + 1):
        with contextlib.suppress(OSError):  # beyond those that the kernel knows
            _call(_libc.prctl(DROP_BOUND, capability, 0, 0, 0))
    header = struct.pack("Ii", CAPABILITIES_VERSION, 0)
    _call(_libc.capset(header, bytes(24)))


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


_NUMBERS = {  # audit architecture, then the numbers of clone and unshare
    "x86_64": (0xC000003E, 56, 272),
    "aarch64": (0xC00000B7, 220, 97),
}
_CLONE3 = 435
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x50000
_NO_SPACE, _NOT_THERE = 28, 38


def forbid_namespaces() -> None:
    """Let no process make a user namespace, in which it would have every privilege again.

    The C library does without clone3, whose flags a filter cannot see, when it is told that there is none.
    """
    if platform.machine() not in _NUMBERS:
        return
    architecture, clone, unshare = _NUMBERS[platform.machine()]
    program = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _FAIL | _NOT_THERE),
        (_EQUAL, 1, 0, clone),
        (_EQUAL, 0, 2, unshare),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 1, 0, NEW_USER),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | _NO_SPACE),
    ]
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    _call(_libc.prctl(SECCOMP, FILTER, ctypes.byref(_Program(len(program), code)), 0, 0))
