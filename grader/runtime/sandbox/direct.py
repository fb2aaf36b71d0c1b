"""No isolation: candidate code runs as whoever runs the grader, sees and may do all that they may.

For machines without namespaces, and for one's own code on one's own machine. Limits, variables and teardown
are those of the other isolations as far as that goes: a program that means to outlive its run can.
"""

# ruff: noqa: PTH208  (/proc is read by name)

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from grader.runtime.sandbox import launch
from grader.runtime.sandbox.paths import INSIDE, PYTHON, START
from grader.runtime.sandbox.ports import Ports
from grader.runtime.sandbox.process import Process, ProcessHandles
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    from grader.runtime.sandbox.model import Bind, Job, Run

MARK = "GRADER_RUN"
"""A variable by which a run's processes are told from all others, also when they left its session."""
SWEEP_SECONDS = 5


class Direct:
    """A `Sandbox` that isolates nothing. Runs that use the same port take turns, on the whole machine."""

    name = "none"

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._processes = launch.ProcessRegistry()
        self._sockets = launch.Sockets(scratch)
        self._ports = Ports(self._processes.check)

    def start(self, job: Job) -> Process:
        """Start the job as soon as its ports are free; raises as `Sandbox.start` does."""
        self._processes.check()
        with contextlib.ExitStack() as undo:
            self._ports.take(job.outbound, job.inbound)
            undo.callback(self._ports.give_back, job.outbound, job.inbound)
            process = self._start(job, undo)
        self._processes.add(process)
        process.confirm()
        return process

    def run(self, job: Job) -> Run:
        """Start the job and wait for its end, as `Sandbox.run` does."""
        return launch.run_to_end(self.start(job))

    def sees(self, bind: Bind) -> str:
        """Return the bound file's own path."""
        return os.fspath(bind.source)

    def workspace(self, job_workspace: Path) -> str:
        """Return the workspace's own path."""
        return os.fspath(job_workspace)

    def close(self) -> None:
        """End every run, start no more, and release the ports."""
        self._processes.close()
        self._ports.close()

    def _start(self, job: Job, undo: contextlib.ExitStack) -> Process:
        mark = secrets.token_hex(16)
        private = self._scratch / f"direct-{mark[:12]}"
        undo.callback(remove_tree, private)
        for name in ("home", "tmp"):
            (private / name).mkdir(parents=True)
        with contextlib.ExitStack() as ours:
            sockets, inbound = self._sockets.make(job.inbound, undo, ours)
            status, status_end = launch.pipe(undo, ours)
            answer, answer_end = launch.answer_pipe(job, undo, ours)
            lifeline_end, lifeline = os.pipe()  # closes with the grader, however that ends
            undo.callback(os.close, lifeline)
            ours.callback(os.close, lifeline_end)
            undo.callback(end_marked, mark)
            own = {"HOME": os.fspath(private / "home"), "TMPDIR": os.fspath(private / "tmp"), MARK: mark}
            text = launch.init_request(
                job,
                cwd=os.fspath(job.workspace),
                env={**job.env, **own},
                inbound=inbound,
                rlimits=launch.resource_limits(job.limits, own_user=False),
                status=status_end,
                lifeline=lifeline_end,
                answer=answer_end,
            )
            argv = [os.fspath(PYTHON), *START, os.fspath(INSIDE / "init.py")]
            ends = launch.given(status_end, lifeline_end, answer_end, *inbound.values())
            popen = launch.spawn(argv, text, env={MARK: mark}, pass_fds=ends)
            return Process(
                job,
                ProcessHandles(
                    **launch.watched(popen),
                    status=status,
                    answer=answer,
                    sockets=sockets,
                    kill=launch.end_tree,
                    cleanup=undo.pop_all().close,
                ),
            )


def end_marked(mark: str) -> None:
    """Kill what still carries a run's mark, wherever it hides among the machine's processes."""
    wanted = f"{MARK}={mark}".encode()
    deadline = time.monotonic() + SWEEP_SECONDS
    while (pids := _marked(wanted)) and time.monotonic() < deadline:
        for pid in pids:
            launch.send(pid, signal.SIGKILL)
        time.sleep(0.01)


def _marked(wanted: bytes) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return found
