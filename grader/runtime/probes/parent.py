"""The process of a probe that decides: nothing of the candidate's is ever imported or unpickled in it.

That runs in children, which hold no descriptor but the end of a socket. The parent alone has the answer's
descriptor; it cannot be traced, nor its memory or descriptors be read, by processes of the same user. What a
child says is bounded and evidence at most; which run it is, and what was done to it, only the parent knows.

Uses the standard library alone, and names of this directory, which a candidate may have modules of as well,
are forgotten in children.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DUMPABLE, SUBREAPER = 4, 36  # prctl's PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER
MAX_MESSAGE = 2**16
MAX_ROUNDS = 100
"""Of killing what is left: each may bring the children of those killed."""
_CREDENTIALS = struct.Struct("3i")
_HERE = str(Path(__file__).absolute().parent)
_ANSWER = 3
"""The descriptor that a program may answer on."""


class Answer:
    """Where the probe's one answer goes."""

    def __init__(self) -> None:
        """Keep the descriptor from what is executed later."""
        os.set_inheritable(_ANSWER, False)

    def write(self, told: object) -> None:
        """Say it, once."""
        with os.fdopen(_ANSWER, "wb") as file:
            file.write(json.dumps(told).encode())

    def forget(self) -> None:
        """In a child: it has none."""
        os.close(_ANSWER)


def begin() -> tuple[dict[str, Any], Answer]:
    """What was asked, and where to answer; from here on nobody looks into this process."""
    answer = Answer()
    prctl(DUMPABLE, 0)
    prctl(SUBREAPER, 1)  # what children leave behind is found, and their true exit status
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), answer


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; a kernel that lacks it loses us nothing that honest work needs."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def fork() -> int:
    """Like `os.fork`, less its warning of threads: numerical libraries have some that bear it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def start(module: str, request: dict[str, Any], answer: Answer) -> tuple[int, socket.socket]:
    """Fork a process for the candidate's code: its id, and our end of the socket on which it speaks.

    It calls `main(request, descriptor)` of a module beside this file, in a session of its own, and ends with
    it. Where the submission has variables that Python itself obeys, that is a Python of its own.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    pid = fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        answer.forget()
        ours.close()
        prctl(DUMPABLE, 1)  # as any program is: some look at themselves
        os.setsid()
        forget_neighbours()
        if request["variables"]:
            script = f"{_HERE}/{module}.py"
            theirs.set_inheritable(True)
            argv = [sys.executable, script, json.dumps(request), str(theirs.fileno())]
            os.execve(sys.executable, argv, {**os.environ, **request["variables"]})  # noqa: S606
        importlib.import_module(module).main(request, theirs.detach())
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(1)


def forget_neighbours() -> None:
    """A candidate may have modules of the names that stand beside this file."""
    for name, module in [*sys.modules.items()]:
        if name != "__main__" and str(getattr(module, "__file__", "")).rpartition("/")[0] == _HERE:
            del sys.modules[name]


def receive(connection: socket.socket) -> tuple[dict[str, Any] | None, int, list[socket.socket]]:
    """One message: what it says, the process that sent it, and sockets that came along for a reply.

    None where the last process that could speak is gone; an empty mapping for what is no message.

    Raises:
        BlockingIOError: nobody has said anything.
    """
    space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4)
    data, ancillary, _, _ = connection.recvmsg(
        MAX_MESSAGE, space, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
    )
    sender, replies = 0, []
    for level, kind, content in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_RIGHTS:
            numbers = struct.unpack(f"{len(content) // 4}i", content[: len(content) // 4 * 4])
            replies += [_reply(number) for number in numbers]
        elif kind == socket.SCM_CREDENTIALS and len(content) >= _CREDENTIALS.size:
            sender = _CREDENTIALS.unpack_from(content)[0]
    if not data and not ancillary:
        return None, 0, []
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        told = {}
    return (told if isinstance(told, dict) else {}), sender, [each for each in replies if each is not None]


def _reply(number: int) -> socket.socket | None:
    try:
        return socket.socket(fileno=number)
    except OSError:  # some other file: whoever sent it waits for himself
        os.close(number)
        return None


def reply(connections: list[socket.socket], told: object) -> None:
    """Answer who asked, without ever waiting for him."""
    for connection in connections:
        with contextlib.suppress(OSError), connection:
            connection.send(json.dumps(told).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def descendants() -> Iterator[int]:
    """Children of this process; whatever else there is becomes one once they are gone."""
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (path / "stat").read_text(errors="replace")
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                yield int(path.name)


def end_leftovers(*kept: int) -> None:
    """Kill and reap every descendant but those kept, who answer for their own."""
    for _ in range(MAX_ROUNDS):
        found = [pid for pid in descendants() if pid not in kept]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)
