"""Whether a run stays within its limits: cheap measurements often, expensive ones rarely."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from grader.runtime.sandbox.limits import (
    Usage,
    exceeds,
    find_hidden,
    measure,
    memory_file_systems,
    proportional_memory,
    written_bytes,
)
from grader.runtime.sandbox.model import Ended, Job

if TYPE_CHECKING:
    from pathlib import Path

TICK = 0.1
DISK_TICK = 0.5
DISK_SHARE = 10
"""A look at the disk that takes a second is followed by ten without."""


def disk_is_full(job: Job, already: int = 0) -> bool:
    """Whether a job's workspace and its other writable places hold more than they may."""
    if job.limits.workspace_bytes == sys.maxsize:
        return False
    return exceeds(
        _writable(job),
        already,
        most_bytes=job.limits.workspace_bytes,
        most_files=job.limits.workspace_files,
    )


def _writable(job: Job) -> list[Path]:
    return [job.workspace, *(bind.source for bind in job.binds if bind.writable)]


class Meter:
    """Looks at a process tree again and again."""

    def __init__(self, job: Job, memory_paths: tuple[str, ...]) -> None:
        self._job = job
        self._memory_paths = memory_paths
        self._hidden_memory = 0
        self._next_disk = 0.0
        self.cpu_seconds = 0.0
        """What the tree had used at the last look."""
        self.next = time.monotonic() + TICK / 2
        """When to look again."""

    def rest(self, seconds: float = TICK) -> None:
        """Put off the next look."""
        self.next = time.monotonic() + seconds

    def exceeded(self, root: int, seconds: float, *, counts_memory: bool = True) -> Ended | None:
        """The limit that the tree under `root` has run into, if any.

        Args:
            counts_memory: whether memory is to be looked at, which nobody else counts.
        """
        limits = self._job.limits
        usage = measure(root, limits.processes)
        self.cpu_seconds = usage.cpu_seconds
        if usage.processes > limits.processes or usage.threads > limits.threads:
            return Ended.PROCESS_LIMIT
        if counts_memory and self._over_memory(usage):
            return Ended.MEMORY_LIMIT
        if usage.cpu_seconds > limits.cpu_seconds:
            return Ended.CPU_LIMIT
        if seconds > limits.wall_seconds:
            return Ended.WALL_LIMIT
        if time.monotonic() >= self._next_disk and self._disk(root, usage.pids):
            return Ended.DISK_LIMIT
        self.rest()
        return None

    def _over_memory(self, usage: Usage) -> bool:
        """By the quick sum, which counts shared pages several times, and then also by the slow one."""
        most = self._job.limits.memory_bytes - self._hidden_memory
        return usage.memory_bytes > most and proportional_memory(usage.pids) > most

    def _disk(self, root: int, pids: tuple[int, ...]) -> bool:
        begin = time.monotonic()
        hidden = find_hidden(pids)
        self._hidden_memory = hidden.memory_bytes + memory_file_systems(root, self._memory_paths)
        full = disk_is_full(self._job, already=hidden.disk_bytes)
        # What was ever written is no measure of what is there, unless somebody keeps files out of sight.
        if hidden.out_of_sight and not full:
            full = written_bytes((root, *pids)) > self._job.limits.workspace_bytes
        took = time.monotonic() - begin
        self._next_disk = time.monotonic() + max(DISK_TICK, took * DISK_SHARE)
        return full
