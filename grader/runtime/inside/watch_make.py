"""Run make as usual, and learn from the kernel which recipe lines it passes to a shell.

    python -ISc SOURCE '{"words": […], "tools": […], "missing": […], "dry": false, "seconds": 10}'

Flags that have make print its recipes, or a recorder in the place of its shell, can be seen by a Makefile,
which may hold other recipes then. So make gets neither: a filter (seccomp) tells this program of each program
that is about to be executed, and make's own children are its recipes and its `$(shell …)`s. A program that
must not run (a tool, or with `dry` any line of a recipe) is exchanged for `true` in the moment it begins, so
that it ends well. The answer goes to standard output, of which make and what it starts get none.

Standard library only. It is given as text, so that no file of the grader's is in sight.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import platform
import re
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from typing import Any

MAX_CALLS = 5
"""How deep a recipe's own calls of make are followed."""
MAX_RECORDED = 100_000
MAX_SAID = 16_384
MAX_ARGUMENTS = 4_096
MAX_ANCESTORS = 200
PAGE = 4_096
STAND_IN = b"#!/bin/sh\nexit 0\n"
NOTHING = b"/bin/true\0"
_MAKE_LINE = re.compile(
    r"(?:^|[;&|(){}`\n!]|\b(?:do|then|else|exec|env|time|command)\b)[\s@+-]*(?:\w+=\S*\s+)*(?:[\w./-]*/)?g?make(?=$|[\s;&|)`])"
)

DUMPABLE, NAME, NO_NEW_PRIVILEGES = 4, 15, 38
SET_FILTER, NEW_LISTENER = 1, 8
RECEIVE, SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_NUMBERS = {  # audit architecture, then the numbers of execve, execveat and seccomp
    "x86_64": (0xC000003E, 59, 322, 317),
    "aarch64": (0xC00000B7, 221, 281, 277),
}

_libc = ctypes.CDLL(None, use_errno=True)
for _function in (_libc.process_vm_readv, _libc.process_vm_writev):
    _function.argtypes = [ctypes.c_int, *(ctypes.c_void_p, ctypes.c_ulong) * 2, ctypes.c_ulong]
    _function.restype = ctypes.c_ssize_t


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def main() -> None:
    """Follow the request, answer with one document."""
    request = json.loads(sys.argv[1])
    hide()
    answer = watch(request)
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # what make left running is not waited for


def hide() -> None:
    """Let nobody look into this process, nor read from its command line what it is."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    if end - begin > len(b"sh\0"):
        ctypes.memset(begin, ord("x"), end - begin)
        ctypes.memmove(begin, b"sh\0", 3)  # without a NUL at its end, the first one ends what is shown
    _libc.prctl(NAME, b"sh", 0, 0, 0)
    _libc.prctl(DUMPABLE, 0, 0, 0, 0)


def watch(request: dict[str, Any]) -> dict[str, Any]:
    """Run make with these words to its end."""
    make = shutil.which("make")
    if make is None:
        return {"fault": "there is no make"}
    put_stand_ins([*request["tools"], *request["missing"]])
    ours, theirs = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    root = os.fork()
    if root == 0:
        become_make(make, ["make", *request["words"]], theirs, out[1], err[1])
    for descriptor in (out[1], err[1]):
        os.close(descriptor)
    theirs.close()
    said, listeners, _, _ = socket.recv_fds(ours, PAGE, 1)
    if not listeners:
        return {"fault": said.decode(errors="replace") or "make was never started"}
    watcher = Watcher(root, os.stat(make), request)
    watcher.follow(listeners[0], out[0], err[0], time.monotonic() + request["seconds"])
    return watcher.answer()


def put_stand_ins(programs: list[str]) -> None:
    """Have programs that this machine lacks where a user installs them, for recipes that look for them.

    One with a folder (`.venv/bin/python`) is put there, as what would have been installed by a recipe; a file
    that is there is made executable, since archives forget that.
    """
    folder = os.path.join(os.environ["HOME"], ".local", "bin")
    os.environ["PATH"] += os.pathsep + folder
    for program in programs:
        if os.path.isabs(program) or shutil.which(program) is not None:
            continue
        path = program if "/" in program else os.path.join(folder, program)
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not os.path.exists(path):
                with open(path, "xb") as file:
                    file.write(STAND_IN)
            os.chmod(path, 0o755)  # noqa: S103  (what anybody may run)


def become_make(make: str, argv: list[str], control: socket.socket, out: int, err: int) -> None:
    """In a process of its own: ask for the filter, hand over its listener, execute make."""
    try:
        _libc.prctl(DUMPABLE, 1, 0, 0, 0)
        listener = ask_for_filter()
        socket.send_fds(control, [b"filter"], [listener])
        os.close(listener)
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.execv(make, argv)  # noqa: S606
    except OSError as error:
        with contextlib.suppress(OSError):
            control.send(str(error).encode())
    finally:
        os._exit(127)


def ask_for_filter() -> int:
    """Have the kernel ask before it executes a program for this process or its descendants."""
    architecture, execute, execute_at, seccomp = _NUMBERS[platform.machine()]
    instructions = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 4, architecture),
        (_LOAD, 0, 0, 0),
        (_EQUAL, 1, 0, execute),
        (_EQUAL, 0, 1, execute_at),
        (_RETURN, 0, 0, _ASK),
        (_RETURN, 0, 0, _ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *each) for each in instructions)
    program = _Program(len(instructions), packed)
    _libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener: int = _libc.syscall(seccomp, SET_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return listener


class Watcher:
    """Decides of each program whether it runs, and keeps what make's recipes are."""

    def __init__(self, root: int, make: os.stat_result, request: dict[str, Any]) -> None:
        self.root = root
        self.make = (make.st_dev, make.st_ino)
        self.dry = request["dry"]
        self.tools = frozenset(request["tools"])
        self.environment = os.path.dirname(sys.executable)
        self.reading: set[int] = set()
        """What `$(shell …)` runs."""
        self.lines: list[list[str]] = []
        self.recorded = 0
        self.left_out = 0
        self.said = {"out": b"", "err": b""}
        self.status: int | None = None
        self.fault = ""

    def answer(self) -> dict[str, Any]:
        """What was seen; a status of None is that of a make which did not end in time."""
        return {
            "status": self.status,
            "lines": self.lines,
            "left_out": self.left_out,
            "out": self.said["out"].decode(errors="replace"),
            "err": self.said["err"].decode(errors="replace"),
            "fault": self.fault,
        }

    def follow(self, listener: int, out: int, err: int, deadline: float) -> None:
        """Until make has ended, or has to."""
        ended = os.pidfd_open(self.root)
        poll = select.poll()
        for descriptor in (listener, out, err, ended):
            poll.register(descriptor, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            for descriptor, event in poll.poll(left * 1000):
                if descriptor == listener:
                    if event & select.POLLIN:
                        self.serve(listener)
                    else:  # nobody is left who could ask
                        poll.unregister(listener)
                elif descriptor != ended:
                    if not self.read(descriptor, "out" if descriptor == out else "err"):
                        poll.unregister(descriptor)
                else:
                    self.status = os.waitstatus_to_exitcode(os.waitpid(self.root, 0)[1])
                    for stream, name in ((out, "out"), (err, "err")):
                        os.set_blocking(stream, False)
                        with contextlib.suppress(BlockingIOError):
                            while self.read(stream, name):
                                pass
                    return
        os.kill(self.root, signal.SIGKILL)

    def read(self, descriptor: int, name: str) -> bool:
        """Keep the end of what make says."""
        chunk = os.read(descriptor, 65_536)
        self.said[name] = (self.said[name] + chunk)[-MAX_SAID:]
        return bool(chunk)

    def serve(self, listener: int) -> None:
        """Answer one question of the kernel's."""
        question = bytearray(80)
        with contextlib.suppress(OSError):  # who asked may be gone
            fcntl.ioctl(listener, RECEIVE, question)
            identity, pid, _ = struct.unpack_from("QII", question)
            path, argv = struct.unpack_from("QQ", question, 32)
            try:
                self.judge(pid, path, argv)
            except PermissionError as error:
                if pid == self.root:  # what cannot be seen here will never be
                    self.fault = str(error)
            except (OSError, struct.error):
                pass  # it is gone meanwhile, or asks for what the kernel will refuse
            fcntl.ioctl(listener, SEND, struct.pack("QqiI", identity, 0, 0, CONTINUE))

    def judge(self, pid: int, path: int, argv: int) -> None:
        """Exchange the program that a process is about to become, unless it may run."""
        if not self.may_run(pid, read_text(pid, path), read_words(pid, argv)):
            copy(_libc.process_vm_writev, pid, path, ctypes.create_string_buffer(NOTHING, len(NOTHING)))

    def may_run(self, pid: int, program: str, words: list[str]) -> bool:
        """Whether a process may become a program; a line of a recipe is recorded."""
        chain = self.ancestors(pid)
        if len(chain) < 2 or any(each in self.reading for each in chain):
            return True  # make itself, or on behalf of `$(shell …)`
        if not (self.is_make(pid) and self.is_make(chain[1])):
            return not self.is_tool(program, words)
        stream, parents = stream_of(pid), stream_of(chain[1])
        if stream.startswith("pipe:") and stream != parents:
            self.reading.add(pid)
            return True
        self.record(words)
        if sum(map(self.is_make, chain[1:])) > MAX_CALLS:
            return False
        if self.dry:
            calls = os.path.basename(program) in ("make", "gmake") or _MAKE_LINE.search(words[-1])
            return bool(calls)
        return not self.is_tool(program, words)

    def record(self, words: list[str]) -> None:
        """Keep a line."""
        size = sum(map(len, words))
        if self.recorded + size > MAX_RECORDED:
            self.left_out += 1
            return
        self.recorded += size
        self.lines.append(words)

    def ancestors(self, pid: int) -> list[int]:
        """A process, its parent and so on up to the make that was asked; nothing where that is not above."""
        found = [pid]
        while found[-1] != self.root:
            with open(f"/proc/{found[-1]}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            if parent <= 1 or len(found) > MAX_ANCESTORS:
                return []
            found.append(parent)
        return found

    def is_make(self, pid: int) -> bool:
        """Whether a process is the make that was asked, or has not become another program yet."""
        found = os.stat(f"/proc/{pid}/exe")
        return (found.st_dev, found.st_ino) == self.make

    def is_tool(self, program: str, words: list[str]) -> bool:
        """Whether a program is one of the tools, in whatever folder, or one of the environment's."""
        names = {os.path.basename(each) for each in (program, *words[:1])}
        names |= {re.sub(r"[\d.]+$", "", name) for name in names}
        return bool(names & self.tools) or os.path.dirname(program) == self.environment


def stream_of(pid: int) -> str:
    """Where a process's output goes."""
    try:
        found = os.stat(f"/proc/{pid}/fd/1")
    except OSError:
        return ""
    return f"pipe:{found.st_ino}" if stat.S_ISFIFO(found.st_mode) else ""


class _Piece(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def copy(way: Any, pid: int, address: int, buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Between this process's memory and another's (`/proc` may be mounted read-only); how many bytes."""
    ours = _Piece(ctypes.addressof(buffer), len(buffer))
    theirs = _Piece(address, len(buffer))
    count: int = way(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
    if count < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return count


def read_bytes(pid: int, address: int, size: int) -> bytes:
    """What lies in the memory of another process."""
    buffer = ctypes.create_string_buffer(size)
    count = copy(_libc.process_vm_readv, pid, address, buffer)
    return buffer.raw[:count]


def read_text(pid: int, address: int) -> str:
    """A string of another process."""
    found = b""
    while len(found) <= MAX_RECORDED:
        chunk = read_bytes(pid, address, PAGE - address % PAGE)
        text, end, _ = chunk.partition(b"\0")
        found += text
        if end or not chunk:
            break
        address += len(chunk)
    return found[:MAX_RECORDED].decode(errors="replace")


def read_words(pid: int, address: int) -> list[str]:
    """The words of a command line of another process."""
    found: list[str] = []
    while len(found) < MAX_ARGUMENTS and sum(map(len, found)) <= MAX_RECORDED:
        (word,) = struct.unpack("Q", read_bytes(pid, address, 8))
        if not word:
            break
        found.append(read_text(pid, word))
        address += 8
    return found


if __name__ == "__main__":
    main()
