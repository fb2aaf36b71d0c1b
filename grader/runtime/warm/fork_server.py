"""The grader's side of `inside/server.py`: starting it, and having it fork."""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.runtime.cell import PROBES
from grader.runtime.inside import relay
from grader.runtime.readiness import wait_until
from grader.runtime.sandbox import launch
from grader.runtime.sandbox.bubblewrap import mounts
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import HOME, WORKSPACE, Bind, Job
from grader.runtime.sandbox.process import Process, ProcessHandles

if TYPE_CHECKING:
    from grader.runtime.sandbox.bubblewrap.sandbox import Bubblewrap
    from grader.runtime.sandbox.control_groups import Group
    from grader.runtime.warm.preload import Preload

ARENA = "/grader/arena"
CONTROL = "/grader/control"
INSIDE = "/grader/importlib_bootstrap"
"""Where it finds itself. Python's warnings pass over frames of files whose path has these words, so that one
that is meant for a caller beyond the program is shown as if nothing called the program."""
SCRIPTS = (
    *(Path(__file__).parent / "inside" / f"{name}.py" for name in ("server", "inherited", "namespaces")),
    PROBES / "program.py",
)
IMPORT_SECONDS = 180
ANSWER_SECONDS = 30
TICK = 0.1
MAX_ANSWER = 2**20
MAX_COMPLAINT = 1000
CREDENTIALS = struct.Struct("3i")
LIMITS = Limits(
    cpu_seconds=10**6,
    wall_seconds=10**6,
    memory_bytes=32 * 2**30,
    processes=10**5,
    file_bytes=2**50,
    workspace_bytes=sys.maxsize,
    output_bytes=2**16,
)
"""All runs together; each has its own besides."""


class Unavailable(Exception):  # noqa: N818  (a state)
    """No run can be had from here; a cold one can."""


class Zygote:
    """A Python that waits to be forked."""

    def __init__(self, inner: Bubblewrap, arena: Path, preload: Preload, modules: list[str]) -> None:
        """Start it and wait until it has imported.

        Raises:
            GraderFault: it did not start, or did not come to an end with its imports.
        """
        self.preload = preload
        self._arena = arena
        self._inner = inner
        self._lock = threading.Lock()
        self._undo = ExitStack()
        with ExitStack() as undo:
            path = inner.sockets.path()
            self._places = {
                arena: ARENA,
                **{path: f"/grader/shown/{number}" for number, path in enumerate(preload.shown)},
            }
            server = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            server.bind(path)
            undo.callback(Path(path).unlink, missing_ok=True)
            Path(path).chmod(0o777)
            server.listen(1)
            process = inner.start(self._job(inner.sockets.file(path), modules), nested=True)
            self._undo.callback(process.stop)
            try:
                self._control = self._undo.enter_context(_accept(server, process))
                told = _imported(self._control.recv(MAX_ANSWER))
            except (OSError, ValueError, RecursionError) as error:
                self.close()
                raise Unavailable(f"the imports did not come to an end: {process.output()[-500:]}") from error
        self.noisy, self.modules = told

    def place(self, bind: Bind) -> str | None:
        """Where this sees what a job binds; None where it does not."""
        if not bind.target:
            return os.fspath(bind.source) if bind.source in self.preload.readable else None
        for top, place in self._places.items():
            if bind.source.is_relative_to(top) and not (bind.writable and place != ARENA):
                return os.path.normpath(f"{place}/{bind.source.relative_to(top)}")
        return None

    def close(self) -> None:
        """End it, and with it every run that it was forked for."""
        self._undo.close()

    def start(self, job: Job) -> Process:
        """Have a run.

        Raises:
            Unavailable: it cannot, and nothing of the run has started.
        """
        with ExitStack() as undo, ExitStack() as ours:
            group = self._inner.groups.make(job.limits)
            if group is not None:
                undo.callback(group.close)
            sockets, inbound = self._inner.sockets.make(job.inbound, undo, ours)
            (out, out_end), (err, err_end) = launch.pipe(undo, ours), launch.pipe(undo, ours)
            for stream in (out, err):
                launch.let_open_again(stream)
            status, status_end = launch.pipe(undo, ours)
            answer, answer_end = launch.answer_pipe(job, undo, ours)
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            ours.enter_context(channel)
            channel.settimeout(ANSWER_SECONDS)
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with theirs:
                ends = launch.given(out_end, err_end, status_end, answer_end, *inbound.values())
                descriptors = [theirs.fileno(), *ends]
                self._ask(descriptors)
            try:
                pid, handle = self._furnish(job, channel, group, undo)
            except (OSError, ValueError, RecursionError, struct.error) as error:
                raise Unavailable(f"no fork: {error}") from error

            def kill(_: int = 0) -> None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)

            return Process(
                job,
                ProcessHandles(
                    pid=pid,
                    handle=handle,
                    stdout=out,
                    stderr=err,
                    status=status,
                    answer=answer,
                    sockets=sockets,
                    kill=kill,
                    abort=kill,
                    reap=lambda: _wait(handle),
                    cleanup=undo.pop_all().close,
                    memory_paths=mounts.IN_MEMORY,
                    group=group.memory if group else None,
                ),
            )

    def _job(self, control: Path, modules: list[str]) -> Job:
        preload = self.preload
        workspace = self._arena / "nothing"
        workspace.mkdir(exist_ok=True)
        return Job(
            argv=(os.fspath(preload.python), f"{INSIDE}/server.py", CONTROL, *modules),
            workspace=workspace,
            env=preload.env,
            limits=LIMITS,
            binds=(
                *(Bind(path) for path in preload.readable),
                *(Bind(path, place, writable=place == ARENA) for path, place in self._places.items()),
                Bind(control, CONTROL),
                *(Bind(path, f"{INSIDE}/{path.name}") for path in SCRIPTS),
            ),
        )

    def _ask(self, descriptors: list[int]) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            with self._lock:
                self._control.sendmsg([b"run"], [rights])
        except OSError as error:
            raise Unavailable(f"it is gone: {error}") from error

    def _furnish(
        self, job: Job, channel: socket.socket, group: Group | None, undo: ExitStack
    ) -> tuple[int, int]:
        """Give the fork its request; its process, when it has carried out all but the last step."""
        text = json.dumps(self._init_request(job)).encode()
        channel.sendall(len(text).to_bytes(4, "big") + text)
        _, ancillary, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size))
        pid = _sender(ancillary)
        handle = os.pidfd_open(pid)
        undo.callback(os.close, handle)
        room = socket.CMSG_SPACE(64 * 4) + socket.CMSG_SPACE(CREDENTIALS.size)
        answer, ancillary, _, _ = channel.recvmsg(2**16, room)
        listeners = _descriptors(ancillary)
        ports = _owners(listeners, undo)
        told = json.loads(answer)
        if not isinstance(told, dict) or "ready" not in told:
            raise OSError(str(told)[:MAX_COMPLAINT])
        if any(port not in job.outbound for _, port in ports):
            raise OSError("it listens where nothing was asked for")
        for server, port in ports:
            path = os.fspath(job.outbound[port])
            threading.Thread(target=relay.forward, args=(server, path), daemon=True).start()
        if group is not None:
            group.add(pid)  # what it has taken over from the interpreter is not counted
        channel.sendall(b"!")
        return pid, handle

    def _init_request(self, job: Job) -> dict[str, Any]:
        binds = [(self.place(bind), bind.target, bind.writable) for bind in job.binds if bind.target]
        workspace = self.place(Bind(job.workspace, WORKSPACE, writable=True))
        return {
            "argv": job.argv,
            "cwd": WORKSPACE,
            "env": {**job.env, "HOME": HOME},
            "binds": [*binds, (workspace, WORKSPACE, True)],
            "home": HOME,
            "memory": dict(zip(mounts.IN_MEMORY, mounts.MODES, strict=True)),
            "kept": [os.fspath(path) for path in self.preload.readable],
            "scratch_bytes": job.limits.scratch_bytes,
            "outbound": list(job.outbound),
            "inbound": list(job.inbound),
            "answer": job.answer,
            "rlimits": launch.resource_limits(job.limits, own_user=True),
        }


def _imported(answer: bytes) -> tuple[list[str], frozenset[str]]:
    """What an interpreter says of its imports: the modules that warned, and all that are there."""
    told = json.loads(answer)
    if not isinstance(told, dict) or not all(_are_names(told.get(key)) for key in ("noisy", "modules")):
        raise ValueError("no account of the imports")
    return told["noisy"], frozenset(told["modules"])


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _accept(server: socket.socket, process: Process) -> socket.socket:
    """The connection of a process that is just starting, unless it ends before it makes one."""
    server.settimeout(TICK)

    def accepted() -> socket.socket | None:
        with contextlib.suppress(TimeoutError):
            return server.accept()[0]
        return None

    control = wait_until(accepted, alive=lambda: not process.over, seconds=IMPORT_SECONDS, pause=0)
    if control is None:
        raise ConnectionError("it never asked for a request")
    control.settimeout(IMPORT_SECONDS)
    return control


def _sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The process that sent a message, by the kernel's word."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return int(CREDENTIALS.unpack(data[: CREDENTIALS.size])[0])
    raise OSError("the fork is gone")


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def _owners(descriptors: list[int], undo: ExitStack) -> list[tuple[socket.socket, int]]:
    """The listening sockets that a fork opened, each with its port; they close with the run."""
    found = []
    for descriptor in descriptors:
        server = socket.socket(fileno=descriptor)
        undo.callback(server.close)
        undo.callback(_shut, server)
        found.append((server, int(server.getsockname()[1])))
    return found


def _shut(server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _wait(handle: int) -> None:
    launch.is_over(handle, ANSWER_SECONDS)
