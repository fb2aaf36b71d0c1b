"""Running an untrusted program: the job, and the result of its run.

A sandbox knows processes; nothing of exams, points or MLflow. What a candidate's program does wrong is a
`Run`; only a sandbox that failed itself raises.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from grader.errors import GraderFault
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


WORKSPACE = "/workspace"


HOME = "/home/candidate"


class Ended(StrEnum):
    """How a run came to its end."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    CPU_LIMIT = "cpu limit"
    WALL_LIMIT = "wall limit"
    MEMORY_LIMIT = "memory limit"
    PROCESS_LIMIT = "process limit"
    DISK_LIMIT = "disk limit"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host that the program may see."""

    source: Path
    target: str = ""
    """Where the program sees it; at its own path where this is empty."""
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One command and all that it may have."""

    argv: tuple[str, ...]
    workspace: Path
    """On the host; the program's working directory, and the only thing of the host that it may change."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Every variable that it gets, but for HOME (and, without isolation, TMPDIR), which the sandbox sets."""
    limits: Limits = field(default_factory=Limits)
    binds: tuple[Bind, ...] = ()
    outbound: Mapping[int, Path] = field(default_factory=dict)
    """Port on the program's loopback -> Unix socket of the host that answers there."""
    inbound: tuple[int, ...] = ()
    """Ports that the program may open and the grader talks to, by `Process.connection`."""
    answer: bool = False
    """Whether it may answer: by writing to descriptor 3, which nothing else in there holds."""
    fresh: bool = False
    """Whether nothing may be imported ahead of it, even where that should make no difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What came of a job."""

    argv: tuple[str, ...]
    ended: Ended
    returncode: int | None = None
    """Its status; minus the signal's number where a signal ended it; None where the grader stopped it."""
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    dropped_bytes: int = 0
    """Output that was too much to keep: the beginning and the end were kept."""
    error: str = ""
    """Why the command could not be executed at all, as when there is no such program."""
    cpu_seconds: float = 0.0
    answer: bytes | None = None
    """What it wrote to the descriptor of its answer; None where it had none or wrote more than it may."""
    limits: Limits = field(default_factory=Limits)

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.ended is Ended.EXITED and self.returncode == 0

    def describe(self) -> str:
        """How it ended, to follow a command's name: "ended with status 1"."""
        if self.error:
            return f"could not be started: {self.error}"
        if self.ended is Ended.EXITED:
            return f"ended with status {self.returncode}"
        if self.ended is Ended.SIGNALLED:
            return f"was ended by {_signal_name(-(self.returncode or 0))}"
        return _STOPPED[self.ended].format(
            seconds=self.seconds,
            cpu=self.limits.cpu_seconds,
            wall=self.limits.wall_seconds,
            memory=_size(self.limits.memory_bytes),
            processes=self.limits.processes,
            workspace=_size(self.limits.workspace_bytes),
        )

    def tail(self, lines: int = 30) -> str:
        """The end of what it wrote (errors last), without what could disturb a terminal."""
        text = "\n".join(filter(None, (self.stdout.rstrip(), self.stderr.rstrip())))
        return "\n".join(plain(text[-MAX_TAIL:]).splitlines()[-lines:])


_STOPPED = {
    Ended.CPU_LIMIT: "was stopped after {cpu:g} s of CPU time (CPU limit)",
    Ended.WALL_LIMIT: "was stopped after {wall:g} s (wall limit)",
    Ended.MEMORY_LIMIT: "was stopped when it used more than {memory} of memory (memory limit)",
    Ended.PROCESS_LIMIT: "was stopped when it had more than {processes} processes (process limit)",
    Ended.DISK_LIMIT: "was stopped when it wrote more than {workspace} to disk (disk limit)",
    Ended.STOPPED: "was stopped by the grader after {seconds:.1f} s",
}


MAX_TAIL = 10_000
"""Characters: a line may be as long as all that a program wrote."""


class SandboxClosed(GraderFault):
    """A job was asked for after the end of the grade."""


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"


def _size(count: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"
