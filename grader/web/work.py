"""What the page has done beside it: a batch, or a comparison, as a child process. One at a time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from grader.errors import UsageError
from grader.report.safe import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TAIL = 2**14
"""Bytes of what it says that are shown."""
MAX_LINES = 100
END_SECONDS = 10.0


@dataclass
class Child:
    """A program that was started, and what it said."""

    name: str
    """What it does, in a word: `batch`."""
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    started: float
    """Seconds of `time.time`."""
    asked: int = 0
    """How often it was asked to end."""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit status; None while it runs."""
        return self.process.poll()

    def lines(self) -> list[str]:
        """The last lines that it wrote, safe to be shown."""
        descriptor = self.output.fileno()
        size = os.fstat(descriptor).st_size
        data = os.pread(descriptor, MAX_TAIL, max(0, size - MAX_TAIL)).decode(errors="replace")
        lines = data.splitlines()
        return [clean(line) for line in (lines[1:] if size > MAX_TAIL else lines)[-MAX_LINES:]]


class Work:
    """The child that runs, or ran last."""

    def __init__(self) -> None:
        """Nothing runs."""
        self._lock = threading.Lock()
        self.child: Child | None = None

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start a command of this grader.

        Raises:
            UsageError: something runs already.
        """
        with self._lock:
            if self.child is not None and self.child.runs:
                raise UsageError(f"a {self.child.name} runs already: pause it first, or wait for it")
            if self.child is not None:
                self.child.output.close()
            output = tempfile.TemporaryFile()  # noqa: SIM115  (as long as somebody may want to read it)
            process = subprocess.Popen(
                (sys.executable, "-m", "grader", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.child = Child(name, process, output, time.time())
            return self.child

    def interrupt(self, *, now: bool = False) -> None:
        """Ask it to end when what runs is done, or at once. Nothing is lost either way.

        Raises:
            UsageError: nothing runs.
        """
        with self._lock:
            if self.child is None or not self.child.runs:
                raise UsageError("nothing runs that was started here")
            self.child.asked += 1
            self.child.process.send_signal(signal.SIGTERM if now else signal.SIGINT)

    def close(self) -> None:
        """End what runs."""
        child = self.child
        if child is None:
            return
        if child.runs:
            child.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(END_SECONDS)
        if child.runs:
            child.process.kill()
            child.process.wait()
        child.output.close()
