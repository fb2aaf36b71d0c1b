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

import system_calls  # type: ignore[import-not-found]  # (beside this file, wherever that is mounted)

NEW_USER, NEW_MOUNTS, NEW_NETWORK = 0x10000000, 0x20000, 0x40000000
NEW_PROCESSES, NEW_IPC, NEW_NAME = 0x20000000, 0x8000000, 0x4000000
READ_ONLY, NO_SET_USER, NO_DEVICES, NO_PROGRAMS = 1, 2, 4, 8
REMOUNT, BIND, RECURSIVE, PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
DUMPABLE, DROP_BOUND, SECCOMP, FILTER = 4, 24, 22, 2
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


def forbid_system_calls() -> None:
    """Let this process and all that it starts ask nothing of the kernel that a run has no use for."""
    code = system_calls.program(platform.machine())
    if code:
        program = _Program(len(code) // 8, code)
        _call(_libc.prctl(SECCOMP, FILTER, ctypes.byref(program), 0, 0))


def set_reachable(reachable: bool) -> None:
    """Whether other processes of the same user may look into this one: memory, descriptors, directories."""
    _call(_libc.prctl(DUMPABLE, int(reachable), 0, 0, 0))
