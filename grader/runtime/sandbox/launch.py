"""What every sandbox does alike: start `inside/init.py` with its request, and keep count of the processes."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import select
import signal
import socket
import subprocess
import tempfile
import threading
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from grader.errors import GraderFault
from grader.runtime.sandbox.limits import Limits, children
from grader.runtime.sandbox.model import Job, Run, SandboxClosed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.runtime.sandbox.process import Process

SOFT_FILES = 1024
CPU_GRACE = 5
"""Seconds between the signal that a program may catch and the one that it may not."""
MAX_SOCKET_PATH = 100


class ProcessRegistry:
    """The processes that have not ended; closing ends them all and lets no more start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[Process] = set()
        self._closed = False

    def check(self) -> None:
        """Raise SandboxClosed when nothing may start any more."""
        if self._closed:
            raise SandboxClosed("the sandbox was closed")

    def add(self, process: Process) -> None:
        """Count a process in; ends it at once where closing came in between."""
        with self._lock:
            self._processes = {known for known in self._processes if not known.over} | {process}
            closed = self._closed
        if closed:
            process.stop()

    def close(self) -> None:
        """End all, at the same time."""
        with self._lock:
            self._closed = True
            processes, self._processes = self._processes, set()
        for process in processes:
            process.kill()
        for process in processes:
            with contextlib.suppress(GraderFault):  # whoever waits for it is told
                process.wait()


class Sockets:
    """Unix sockets on which runs answer, in a private directory of their own."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(prefix="sockets-", dir=scratch))
        self._handle = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # Not when the sandbox closes: a run may be just starting, and the number another file's by then.
        weakref.finalize(self, os.close, self._handle)

    def make(
        self, ports: Iterable[int], undo: ExitStack, ours: ExitStack
    ) -> tuple[dict[int, str], dict[int, int]]:
        """For each port the path to connect to, and the descriptor on which the run is to listen.

        Args:
            undo: removes the paths.
            ours: closes the descriptors on this side, as soon as the run has them.
        """
        paths, descriptors = {}, {}
        for port in ports:
            path = self.path()
            server = ours.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            server.bind(path)
            undo.callback(Path(path).unlink, missing_ok=True)
            paths[port], descriptors[port] = path, server.fileno()
        return paths, descriptors

    def path(self) -> str:
        """A new path to bind a socket to, short enough for that."""
        name = secrets.token_hex(4)  # the run can read it in its mounts: no number tells it its turn
        path = os.fspath(self._directory / name)
        return path if len(os.fsencode(path)) < MAX_SOCKET_PATH else f"/proc/self/fd/{self._handle}/{name}"

    def file(self, path: str) -> Path:
        """Where the socket of a path really is, for whoever has not our descriptors."""
        return self._directory / Path(path).name


def pipe(undo: ExitStack, ours: ExitStack) -> tuple[int, int]:
    """A pipe from a run to us: `undo` closes our end, `ours` the run's on this side."""
    read, write = os.pipe()
    undo.callback(os.close, read)
    ours.callback(os.close, write)
    return read, write


def let_open_again(pipe: int | IO[bytes] | None) -> None:
    """Let a program write to a pipe by its path too, such as /dev/stdout, if it is another user than we."""
    if pipe is not None:
        os.fchmod(pipe if isinstance(pipe, int) else pipe.fileno(), 0o622)


def answer_pipe(job: Job, undo: ExitStack, ours: ExitStack) -> tuple[int | None, int | None]:
    """A pipe for a job's answer, if it may have one: our end, and the run's, which others may open again."""
    if not job.answer:
        return None, None
    read, write = pipe(undo, ours)
    let_open_again(write)
    return read, write


def init_request(
    job: Job, *, cwd: str, env: Mapping[str, str], inbound: Mapping[int, int], **more: Any
) -> bytes:
    """What `inside/init.py` is to do."""
    return json.dumps(
        {
            "argv": job.argv,
            "cwd": cwd,
            "env": dict(env),
            "inbound": dict(inbound),
            "outbound": {},
            "lifeline": None,
            "answer": None,
            **more,
        }
    ).encode()


def resource_limits(limits: Limits, *, own_user: bool) -> dict[str, tuple[int, int]]:
    """Limits that the kernel keeps, each process by itself; the sums are `Meter`'s.

    Args:
        own_user: whether the run has a user namespace, so that the count of processes is its own.
    """
    seconds = math.ceil(limits.cpu_seconds)
    found = {
        "RLIMIT_CPU": (seconds, seconds + CPU_GRACE),
        "RLIMIT_FSIZE": (limits.file_bytes, limits.file_bytes),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NOFILE": (min(SOFT_FILES, limits.open_files), limits.open_files),
    }
    return found | ({"RLIMIT_NPROC": (limits.threads, limits.threads)} if own_user else {})


def given(*descriptors: int | None) -> list[int]:
    """The descriptors that a run gets, of those that it may get."""
    return [descriptor for descriptor in descriptors if descriptor is not None]


def spawn(
    argv: list[str], text: bytes, *, pass_fds: Iterable[int], env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a sandbox's program, in a session of its own, and hand it its request.

    Raises:
        GraderFault: there is no such program, or the machine is at its limits.
    """
    try:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env or {"PATH": os.defpath}),
            cwd="/",
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except OSError as error:
        raise GraderFault(f"cannot start {argv[0]}: {error.strerror}") from error
    for stream in (popen.stdout, popen.stderr):
        let_open_again(stream)
    assert popen.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), popen.stdin:
        popen.stdin.write(text)
    return popen


def watched(popen: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What `ProcessHandles` wants to know of a process that is our own child."""
    assert popen.stdout is not None  # noqa: S101
    assert popen.stderr is not None  # noqa: S101

    def abort() -> None:
        # Not it alone: a bubblewrap that is just beginning has a child that would wait for it for ever.
        if popen.poll() is None:
            end_tree(popen.pid)

    def reap() -> None:
        popen.wait()
        for stream in (popen.stdout, popen.stderr):
            if stream is not None:
                stream.close()

    return {
        "pid": popen.pid,
        "stdout": popen.stdout.fileno(),
        "stderr": popen.stderr.fileno(),
        "abort": abort,
        "reap": reap,
    }


def end_tree(root: int) -> None:
    """Kill a process and all under it, the children of those that end meanwhile too."""
    send(root, signal.SIGSTOP)  # it would take over its children's orphans faster than we count them
    waiting = list(children(root))
    while waiting:
        pid = waiting.pop()
        send(pid, signal.SIGSTOP)
        waiting.extend(children(pid))
        send(pid, signal.SIGKILL)
    send(root, signal.SIGKILL)


def send(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def is_over(handle: int, seconds: float) -> bool:
    """Whether the process of a handle ends within so many seconds."""
    poll = select.poll()  # not `select`, which knows no descriptor above 1023
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def kill_child(parent: int, pid: int) -> None:
    """Kill a process if it is still its parent's: a process id that is free again may be anybody's."""
    with contextlib.suppress(OSError, IndexError):
        if int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1]) == parent:
            os.kill(pid, signal.SIGKILL)


def run_to_end(process: Process) -> Run:
    """Wait for a process; an interrupt ends it."""
    try:
        run = process.wait()
    except BaseException:
        process.stop()
        raise
    assert run is not None  # noqa: S101  (no timeout was given)
    return run
