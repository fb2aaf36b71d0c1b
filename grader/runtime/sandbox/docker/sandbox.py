"""Isolation by a Docker engine: a container for each run, with the same file system as under bubblewrap.

The container's image holds links and nothing else; the system's programs and libraries are bound into it,
read-only. No network but its own loopback, no process but its own, no capability. What runs in there talks to
the grader over descriptors that were handed to it, and ends when the grader does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grader
from grader import docker_engine
from grader.errors import GraderFault, ToolMissing
from grader.runtime.sandbox import launch, ownership
from grader.runtime.sandbox.bubblewrap.mounts import IN_MEMORY
from grader.runtime.sandbox.docker import mounts as container_view
from grader.runtime.sandbox.docker.container import (
    ANSWER,
    FIRST_FREE,
    LIFELINE,
    STATUS,
    Container,
    hand,
    in_memory,
    listening,
    peer,
)
from grader.runtime.sandbox.docker.mounts import SOCKETS, View, own, settings
from grader.runtime.sandbox.group_memory import GroupMemory
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import HOME, WORKSPACE, Bind, Job, Run
from grader.runtime.sandbox.process import START_SECONDS, Process, ProcessHandles
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    import socket

END_SECONDS = 10
"""How long a killed container may take before the engine is asked to see to it."""


class Containers:
    """A `Sandbox` of Docker containers, a new one for each run."""

    name = "docker"

    def __init__(self, scratch: Path, *, hidden: tuple[Path, ...] = ()) -> None:
        """Make the image and try it.

        Raises:
            ToolMissing: no engine answers, or it does not run containers as we need them.
        """
        self._engine = docker_engine.find_engine()
        self._processes = launch.ProcessRegistry()
        self._use = secrets.token_hex(8)
        with contextlib.closing(self._engine.client()) as client:
            self._info: dict[str, Any] = client.info()
            self._options = self._info.get("SecurityOptions") or []
            if not any("seccomp" in option for option in self._options):
                raise ToolMissing("a Docker engine with seccomp", install="without, privileges could be had")
            docker_engine.sweep(client)
            self._image = container_view.make_image(client, self._use)
        private = scratch / f"docker-{self._use}"
        self._sockets = launch.Sockets(private)
        self._view = View(private / "accounts", (Path(grader.__file__).parent, *hidden))
        self._try(private / "trial")

    def start(self, job: Job) -> Process:
        """Start the job in a new container; raises as `Sandbox.start` does."""
        self._processes.check()
        try:
            process = self._start(job)
        except (GraderFault, OSError) as error:
            self._processes.check()  # closing takes the ground from under what is just starting
            if isinstance(error, GraderFault):
                raise
            raise GraderFault("a container cannot be started", log_tail=str(error)) from error
        self._processes.add(process)
        process.confirm()
        return process

    def run(self, job: Job) -> Run:
        """Start the job and wait for its end, as `Sandbox.run` does."""
        return launch.run_to_end(self.start(job))

    def sees(self, bind: Bind) -> str:
        """Return the path of a bound file inside the container."""
        return bind.target or os.fspath(bind.source)

    def workspace(self, job_workspace: Path) -> str:  # noqa: ARG002  (it is always mounted there)
        """Return the path of every workspace inside the container."""
        return WORKSPACE

    def close(self) -> None:
        """End every run, start no more, and remove from the engine what was made there."""
        self._processes.close()
        with contextlib.closing(self._engine.client()) as client:
            docker_engine.remove_all(client, self._use)

    def _try(self, directory: Path) -> None:
        """Whether a container sees what it should: an engine on another machine has other files."""
        directory.mkdir()
        limits = Limits(wall_seconds=START_SECONDS)
        try:
            job = Job(argv=("test", "-w", "."), workspace=directory, env={"PATH": os.defpath}, limits=limits)
            run = self.run(job)
            complaint = "" if run.ok else f"a first container {run.describe()} {run.tail()}"
        except GraderFault as fault:
            complaint = f"{fault} {fault.log_tail}"
        finally:
            remove_tree(directory)
        if complaint:
            self.close()
            raise ToolMissing("a Docker engine that shares this machine's files", install=complaint.strip())

    def _user(self, job: Job) -> int:
        """Who the program is to be, inside and on the machine; what it may write becomes that user's."""
        if "name=rootless" in self._options:
            return 0  # which is us, in the kernel's eyes
        if os.geteuid() != 0:
            return os.geteuid()
        readable = [bind.source for bind in job.binds if not bind.writable]
        user = ownership.unused_user() if all(map(ownership.all_may_read, readable)) else 0
        for directory in (job.workspace, *(bind.source for bind in job.binds if bind.writable)):
            ownership.give(directory, user)
        for path in job.outbound.values():
            ownership.let_connect(path)
        return user

    def _start(self, job: Job) -> Process:
        with ExitStack() as undo, ExitStack() as ours:
            sockets, inbound = self._sockets.make(job.inbound, undo, ours)
            (status, status_end), (stdout, stdout_end), (stderr, stderr_end) = (
                launch.pipe(undo, ours) for _ in range(3)
            )
            for stream in (stdout, stderr):
                launch.let_open_again(stream)
            answer, answer_end = launch.answer_pipe(job, undo, ours)
            lifeline_end, lifeline = os.pipe()  # closes with the grader, however that ends
            undo.callback(os.close, lifeline)
            ours.callback(os.close, lifeline_end)
            numbers = {port: FIRST_FREE + index for index, port in enumerate(inbound)}
            request = in_memory(self._init_request(job, numbers), ours)
            container, connection = self._container(job, undo)
            ends = {0: request, 1: stdout_end, 2: stderr_end, STATUS: status_end, LIFELINE: lifeline_end}
            ends |= {number: inbound[port] for port, number in numbers.items()}
            ends |= {ANSWER: answer_end} if answer_end is not None else {}
            pid, handle = _begin(connection, ends, undo)
            return Process(
                job,
                ProcessHandles(
                    pid=pid,
                    stdout=stdout,
                    stderr=stderr,
                    status=status,
                    answer=answer,
                    sockets=sockets,
                    kill=lambda _: _kill(handle),
                    abort=lambda: _kill(handle),
                    reap=lambda: _reap(handle, container),
                    cleanup=undo.pop_all().close,
                    memory_paths=IN_MEMORY,
                    group=GroupMemory.of(pid) if self._info.get("MemoryLimit") else None,
                    handle=handle,
                ),
            )

    def _init_request(self, job: Job, inbound: dict[int, int]) -> bytes:
        return launch.init_request(
            job,
            cwd=WORKSPACE,
            env={**job.env, "HOME": HOME},
            inbound=inbound,
            outbound={port: f"{SOCKETS}/{port}" for port in job.outbound},
            rlimits=launch.resource_limits(job.limits, own_user=not self._info.get("PidsLimit")),
            status=STATUS,
            lifeline=LIFELINE,
            answer=ANSWER if job.answer else None,
        )

    def _container(self, job: Job, undo: ExitStack) -> tuple[Container, socket.socket]:
        """A container that has begun, and its first process's connection."""
        file = self._sockets.file(path := self._sockets.path())
        with listening(path, file, undo) as server:
            try:
                user = self._user(job)
                mounts = self._view.mounts(own(job), user, file)
            except OSError as error:
                raise GraderFault("a container cannot be given its files", log_tail=str(error)) from error
            container = Container(self._engine)
            undo.callback(container.remove)
            container.start(
                image=self._image,
                user=f"{user}:{user}",
                labels=docker_engine.labels(self._use),
                host_config=settings(container.client, job.limits, self._info, mounts, user),
            )
            return container, container.connection(server)


def _begin(connection: socket.socket, ends: dict[int, int], undo: ExitStack) -> tuple[int, int]:
    """Hand a container's first process what it works on; its id and a handle on it."""
    with connection:
        pid = peer(connection)
        handle = os.pidfd_open(pid)
        undo.callback(os.close, handle)
        hand(connection, ends)
    return pid, handle


def _kill(handle: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)


def _reap(handle: int, container: Container) -> None:
    """Wait for the first process's end, at which the kernel has ended all others."""
    if not launch.is_over(handle, END_SECONDS):
        container.remove()
        launch.is_over(handle, END_SECONDS)
