"""How many runs go on at once, and the second attempt of one that the machine made too slow or killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.runtime.sandbox.model import Bind, Ended, Job, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from grader.runtime.sandbox.process import Process
    from grader.runtime.sandbox.protocol import Sandbox


@dataclass(slots=True, eq=False)
class Place:
    """What a run in a slot finds around it."""

    contended: bool = False
    """Whether another one ran beside it at any time."""


class Neighbours:
    """What several graders on one machine share, so that a run that wants to be alone is.

    Two files in one directory: who wants in passes the gate and is in the room then. Who wants to be alone
    keeps the gate shut until the room is empty and the run is over. A process that is killed lets go of both.
    """

    def __init__(self, directory: Path) -> None:
        """Use a directory that is there, and that no candidate's program can see."""
        self._gate = directory / "gate"
        self._room = directory / "room"

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """In the room with others."""
        with _held(self._gate, fcntl.LOCK_SH):
            room = _hold(self._room, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(room)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """In the room with nobody."""
        with _held(self._gate, fcntl.LOCK_EX), _held(self._room, fcntl.LOCK_EX):
            yield


@contextlib.contextmanager
def _held(path: Path, kind: int) -> Iterator[None]:
    lock = _hold(path, kind)
    try:
        yield
    finally:
        os.close(lock)


def _hold(path: Path, kind: int) -> int:
    """A lock, waited for as long as it takes; closing the descriptor gives it back."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, kind)
    except BaseException:
        os.close(lock)
        raise
    return lock


class Slots:
    """As many runs at a time as there are cores, or a single one that wants to be alone.

    Servers are not counted: they mostly wait, and a run beside its own server must never wait for it.
    """

    def __init__(self, count: int | None = None, *, neighbours: Neighbours | None = None) -> None:
        """Make free slots.

        Args:
            count: default: one for each core.
            neighbours: other processes with slots on this machine: each run counts as one beside others.
        """
        self._count = count or os.cpu_count() or 1
        self._neighbours = neighbours
        self._changed = threading.Condition()
        self._taken: list[Place] = []
        self._queue: deque[Place] = deque()
        """First come, first served: a long run that came early must not begin last."""
        self._exclusive_waiters = 0
        """Runs that are alone or wait for it: as long as there are any, nothing else begins."""

    @contextlib.contextmanager
    def shared(self) -> Iterator[Place]:
        """One of the slots."""
        place = Place()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._may_enter(place))
                self._enter(place)
            finally:
                self._queue.remove(place)
                self._changed.notify_all()
        place.contended = place.contended or self._neighbours is not None
        try:
            with self._neighbours.beside() if self._neighbours else contextlib.nullcontext():
                yield place
        finally:
            self._leave(place)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Place]:
        """All of them."""
        place = Place()
        with self._changed:
            self._exclusive_waiters += 1
            try:
                self._changed.wait_for(lambda: not self._taken)
                self._enter(place)
            except BaseException:
                self._exclusive_waiters -= 1
                self._changed.notify_all()
                raise
        try:
            with self._neighbours.apart() if self._neighbours else contextlib.nullcontext():
                yield place
        finally:
            with self._changed:
                self._exclusive_waiters -= 1
            self._leave(place)

    def run(self, attempt: Callable[[], Run]) -> Run:
        """An attempt in a slot; once more, alone, where it hit the wall limit beside others or was killed.

        A program that needs more computing than its CPU limit allows is told so by the other limit and
        gets no second chance: it does not depend on who else was there. Nor need a kill that no limit
        explains be the program's own: the kernel of a machine that is short of memory picks anyone.
        """
        with self.shared() as place:
            run = attempt()
        if not _was_killed(run) and not (run.ended is Ended.WALL_LIMIT and place.contended):
            return run
        with self.alone():
            return attempt()

    def _may_enter(self, place: Place) -> bool:
        return not self._exclusive_waiters and len(self._taken) < self._count and self._queue[0] is place

    def _enter(self, place: Place) -> None:
        self._taken.append(place)
        if len(self._taken) > 1:
            for each in self._taken:
                each.contended = True

    def _leave(self, place: Place) -> None:
        with self._changed:
            self._taken.remove(place)
            self._changed.notify_all()


def _was_killed(run: Run) -> bool:
    """Whether it, or what its shell ran in the end, got SIGKILL."""
    by_signal = run.ended is Ended.SIGNALLED and run.returncode == -signal.SIGKILL
    return by_signal or (run.ended is Ended.EXITED and run.returncode == 128 + signal.SIGKILL)


class Queued:
    """A `Sandbox` whose runs wait for a slot; everything else it leaves to the inner one."""

    def __init__(self, inner: Sandbox, slots: Slots, before: Callable[[Job], None] | None = None) -> None:
        """Queue for a sandbox.

        Args:
            before: called with each job before it queues; may wait for something that the job needs.
        """
        self._inner = inner
        self._before = before or _no_wait
        self._slots = slots
        self.name = inner.name

    def start(self, job: Job) -> Process:
        """Start the job at once: a process that serves takes no slot."""
        self._before(job)
        return self._inner.start(job)

    def run(self, job: Job) -> Run:
        """Run the job in a slot, a second time if the machine made it too slow or killed it."""
        self._before(job)
        return self._slots.run(lambda: self._inner.run(job))

    def sees(self, bind: Bind) -> str:
        """Return the path of a bound file in the inner sandbox."""
        return self._inner.sees(bind)

    def workspace(self, job_workspace: Path) -> str:
        """Return the path of the workspace in the inner sandbox."""
        return self._inner.workspace(job_workspace)

    def close(self) -> None:
        """Close the inner sandbox."""
        self._inner.close()


def _no_wait(_: Job) -> None:
    """Nothing to wait for."""
