"""Watching one sandboxed process: its output, its limits, its end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.errors import GraderFault
from grader.runtime.sandbox.meter import TICK, Meter, disk_is_full
from grader.runtime.sandbox.model import Ended, Job, Run, SandboxClosed
from grader.runtime.sandbox.output import Answer, Capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grader.runtime.sandbox.group_memory import GroupMemory

START_SECONDS = 60
KILL_SECONDS = 5
"""How long a killed process tree may take to be gone before what holds it is killed too."""
DRAIN_SECONDS = 1
MAX_STATUS = 2**16
"""Bytes that a process may tell of itself: three short lines, but for error messages."""
MAX_ERROR = 1000
MAX_CPU_SECONDS = 1e9
MAX_SIGNAL, MAX_RETURNCODE = 64, 255
_BY_SIGNAL: Mapping[int, Ended] = {signal.SIGXCPU: Ended.CPU_LIMIT, signal.SIGXFSZ: Ended.DISK_LIMIT}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessHandles:
    """The process that a sandbox has just started: its descriptors, and how to end and clean it up."""

    pid: int
    """The process whose end is the end of it all."""
    stdout: int
    stderr: int
    status: int
    """Where `inside/init.py` tells; read end, as those of the two streams."""
    answer: int | None = None
    """Where a program that may answer does so; read end."""
    information: int | None = None
    """Where the sandbox tells its first process's id, if that is not the one that we started."""
    sockets: Mapping[int, str]
    kill: Callable[[int], None]
    """Ends the whole tree under that first process, in one stroke."""
    abort: Callable[[], None]
    """Ends `pid`, where that is all that can be done."""
    reap: Callable[[], None]
    """Waits for `pid` and closes the two streams."""
    cleanup: Callable[[], None]
    """What is left to do when everything has ended, such as closing `status`."""
    memory_paths: tuple[str, ...] = ()
    group: GroupMemory | None = None
    """Where the kernel counts the memory of the whole run, and ends what takes too much."""
    handle: int | None = None
    """A handle of `pid`, where that may be gone already; whoever made it closes it."""


class Process:
    """A job under way. Every method may be called from any thread, at any time."""

    def __init__(self, job: Job, started: ProcessHandles) -> None:
        self.job = job
        self._started = started
        self._out, self._err = Capture(job.limits.output_bytes), Capture(job.limits.output_bytes)
        self._answer = Answer(job.limits.answer_bytes)
        self._root = None if started.information is not None else started.pid
        self._facts: dict[str, Any] = {}
        self._fault: BaseException | None = None
        self._measured_cpu = 0.0
        self._why: Ended | None = None
        self._out_of_memory = False
        self._killed_at = 0.0
        self._ending = False
        self._runs, self._over = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._begin = time.monotonic()
        self._run: Run | None = None
        self._watcher = threading.Thread(target=self._watch, name=f"watch {job.argv[0][:40]}", daemon=True)
        try:
            self._watcher.start()
        except RuntimeError as error:  # out of threads
            self._fault = error
            self._finish()
            raise GraderFault("nothing can watch a sandbox", log_tail=str(error)) from error

    def alive(self) -> bool:
        """Whether the command still runs."""
        return not self._over.is_set() and "ended" not in self._facts

    @property
    def over(self) -> bool:
        """Whether it has ended and nothing of it is left."""
        return self._over.is_set()

    def output(self) -> str:
        """What it wrote so far: standard output, then errors."""
        return "\n".join(filter(None, (self._out.text().rstrip(), self._err.text().rstrip())))

    def connection(self, port: int) -> str:
        """The Unix socket that leads to one of the job's inbound ports; refuses until that is open."""
        return self._started.sockets[port]

    def wait(self, timeout: float | None = None) -> Run | None:
        """The run, once it is over and nothing of it is left; None where the time was up first.

        Raises:
            GraderFault: watching it failed; nothing of it is left all the same.
        """
        return self._result() if self._over.wait(timeout) else None

    def kill(self) -> None:
        """Have it end, without waiting for that."""
        self._end(Ended.STOPPED)

    def stop(self) -> Run:
        """End it now, with every process that it started.

        Raises:
            GraderFault: see `wait`.
        """
        self.kill()
        self._over.wait()
        return self._result()

    def _result(self) -> Run:
        if self._run is None:
            raise GraderFault("a sandbox could not be watched", log_tail=repr(self._fault)) from self._fault
        return self._run

    def confirm(self) -> None:
        """Return when the command has been started.

        Raises:
            GraderFault: it never was.
        """
        in_time = self._runs.wait(START_SECONDS)
        if "started" in self._facts:
            return
        closed = self._why is Ended.STOPPED
        run = self.stop()
        if closed:
            raise SandboxClosed("the sandbox was closed")
        problem = "did not start the command" if in_time else "took too long to start the command"
        raise GraderFault(f"the sandbox {problem}", log_tail=run.tail())

    def _end(self, why: Ended) -> None:
        with self._lock:
            if self._why is not None or self._ending:
                return
            self._why, self._killed_at = why, time.monotonic()
            self._kill()

    def _kill(self) -> None:
        if self._root is None:
            self._started.abort()
        else:
            self._started.kill(self._root)

    def _watch(self) -> None:
        try:
            self._follow()
        except BaseException as error:
            self._fault = error
        self._finish()

    def _follow(self) -> None:
        """Read what comes and measure in between, until the process has ended and nothing more can come."""
        meter = Meter(self.job, self._started.memory_paths)
        ended_at = 0.0
        with selectors.DefaultSelector() as selector, self._handle() as handle:
            for stream, feed in self._streams().items():
                os.set_blocking(stream, False)
                selector.register(stream, selectors.EVENT_READ, feed)
            selector.register(handle, selectors.EVENT_READ, None)
            while selector.get_map() and (not ended_at or time.monotonic() < ended_at + DRAIN_SECONDS):
                for key, _ in selector.select(max(0.0, meter.next - time.monotonic())):
                    if key.data is None:
                        ended_at = time.monotonic()
                        selector.unregister(handle)
                    elif not self._read(key.fd, key.data):
                        selector.unregister(key.fd)
                if time.monotonic() >= meter.next and not ended_at:
                    self._measure(meter)

    @contextlib.contextmanager
    def _handle(self) -> Iterator[int]:
        if self._started.handle is not None:
            yield self._started.handle
            return
        handle = os.pidfd_open(self._started.pid)
        try:
            yield handle
        finally:
            os.close(handle)

    def _streams(self) -> dict[int, Callable[[bytes], None]]:
        streams: dict[int, Callable[[bytes], None]] = {
            self._started.stdout: self._out.feed,
            self._started.stderr: self._err.feed,
            self._started.status: _Lines(self._learn).feed,
        }
        if self._started.answer is not None:
            streams[self._started.answer] = self._answer.feed
        if self._started.information is not None:
            streams[self._started.information] = _Lines(self._locate).feed
        return streams

    def _read(self, stream: int, feed: Callable[[bytes], None]) -> bool:
        try:
            data = os.read(stream, 2**18)
        except BlockingIOError:
            return True
        feed(data)
        return bool(data)

    def _locate(self, facts: Mapping[str, Any]) -> None:
        """The sandbox's own report: which process is the first inside."""
        child = facts.get("child-pid")
        if _FACTS["started"](child) and self._root is None:
            with self._lock:
                self._root = child
                if self._why is not None:  # it was to be stopped before we knew whom
                    self._kill()

    def _learn(self, facts: Mapping[str, Any]) -> None:
        """The first process's report: started, error, ended; what makes no sense was never said."""
        for name, value in facts.items():
            if name in _FACTS and _FACTS[name](value):
                self._facts.setdefault(name, value)
        if "ended" in self._facts:
            self._look_for_kills()
        if "started" in self._facts and not self._runs.is_set():
            self._begin = time.monotonic()
            self._runs.set()

    def _look_for_kills(self) -> None:
        """Whether the kernel has ended something for its memory; the group tells as long as it is there."""
        if self._started.group is not None and self._started.group.has_killed():
            self._out_of_memory = True

    def _measure(self, meter: Meter) -> None:
        if self._why is not None:
            if time.monotonic() > self._killed_at + KILL_SECONDS:
                self._started.abort()
            meter.rest(TICK)
            return
        if self._root is None or not self._runs.is_set():
            meter.rest(TICK)
            return
        self._look_for_kills()
        group = self._started.group
        if self._out_of_memory or (group and group.used() > self.job.limits.memory_bytes):
            self._end(Ended.MEMORY_LIMIT)
            return
        exceeded = meter.exceeded(self._root, time.monotonic() - self._begin, counts_memory=group is None)
        self._measured_cpu = max(self._measured_cpu, meter.cpu_seconds)
        if exceeded is not None:
            self._end(exceeded)

    def _finish(self) -> None:
        with self._lock:
            self._ending = True  # nobody else kills from now on: what leads to the process is about to close
        try:
            started = self._started
            for step in (self._look_for_kills, started.abort, started.reap, started.cleanup):
                try:
                    step()
                except Exception as error:
                    self._fault = self._fault or error
            if self._fault is None:
                self._run = self._conclude(time.monotonic() - self._begin)
        except Exception as error:
            self._fault = error
        finally:
            self._over.set()
            self._runs.set()

    def _conclude(self, seconds: float) -> Run:
        ended, returncode = self._how()
        error = self._facts.get("error")
        return Run(
            argv=self.job.argv,
            ended=ended,
            returncode=returncode,
            stdout=self._out.text(),
            stderr=self._err.text(),
            seconds=seconds,
            dropped_bytes=self._out.dropped + self._err.dropped,
            error=f"{self.job.argv[0]}: {error}" if error else "",
            cpu_seconds=self._cpu_seconds(),
            answer=self._answer.content() if self.job.answer else None,
            limits=self.job.limits,
        )

    def _cpu_seconds(self) -> float:
        """What process 1 counts, which sees all to its end, and at least what was seen from here."""
        return max(float(self._facts.get("cpu_seconds", 0.0)), self._measured_cpu)

    def _how(self) -> tuple[Ended, int | None]:
        """Its own end if it had one, the limit that it ran into otherwise."""
        status = self._facts.get("ended")
        if self._out_of_memory and self._why in (None, Ended.MEMORY_LIMIT):
            return Ended.MEMORY_LIMIT, None
        if self._why is not None and (self._why is not Ended.STOPPED or status is None):
            return self._why, None
        if status is None:  # process 1 is gone without a word: the kernel ran out of memory
            return Ended.SIGNALLED, -signal.SIGKILL
        if status >= 0:
            return (Ended.DISK_LIMIT, None) if disk_is_full(self.job) else (Ended.EXITED, status)
        if status == -signal.SIGKILL and self._cpu_seconds() >= self.job.limits.cpu_seconds:
            return Ended.CPU_LIMIT, None
        return _BY_SIGNAL.get(-status, Ended.SIGNALLED), status


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


_FACTS: Mapping[str, Callable[[object], bool]] = {
    "started": lambda value: _is_whole(value, 1, 2**31),
    "ended": lambda value: _is_whole(value, -MAX_SIGNAL, MAX_RETURNCODE),
    "cpu_seconds": lambda value: type(value) in {int, float} and 0 <= value <= MAX_CPU_SECONDS,  # type: ignore[operator]
    "error": lambda value: isinstance(value, str) and 0 < len(value) <= MAX_ERROR,
}
"""What a process may tell of itself: candidate code may have got hold of the way on which it does."""


class _Lines:
    """Splits a stream of JSON lines into facts; anything else, and anything beyond the limit, is skipped."""

    def __init__(self, learn: Callable[[Mapping[str, Any]], None]) -> None:
        self._learn = learn
        self._rest = b""
        self._room = MAX_STATUS

    def feed(self, data: bytes) -> None:
        """Take what was just read."""
        data, self._room = data[: self._room], max(0, self._room - len(data))
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                facts = json.loads(line)
                if isinstance(facts, dict):
                    self._learn(facts)
