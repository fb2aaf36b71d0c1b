"""What is going on while a grade is made: a live line on a terminal, now and then a plain one on a pipe."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from grader.report.console import console
from grader.report.safe import clean, few
from grader.report.text import STYLES
from grader.timeline import Timeline

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from grader.results import PartResult, Status

MAX_NAMES = 6
INTERVAL = 5.0
"""Seconds between two looks at whether there is something new to say on a pipe."""
MAX_SILENCE = 30.0
"""Seconds after which a pipe is told that nothing has changed."""


class Progress:
    """A context manager whose `observe` is given to the grading, as is its timeline."""

    def __init__(
        self, *, quiet: bool = False, stream: TextIO | None = None, interval: float = INTERVAL
    ) -> None:
        self.timeline = Timeline()
        self._began = time.monotonic()
        self._quiet = quiet
        self._interval = interval
        self._stream = stream or sys.stderr
        self._running: dict[str, None] = {}
        self._decided: dict[str, int] = {}
        self._counts: dict[Status, int] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Live | None = None
        # Whatever colours were asked for: a file is no place for a line that is drawn again and again.
        if self._stream.isatty() and not quiet:
            self._live = Live(
                console=console(self._stream), transient=True, refresh_per_second=8, get_renderable=self._line
            )

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        elif not self._quiet:
            self._thread = threading.Thread(target=self._tell, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._live is not None:
            self._live.stop()
        if self._thread is not None:
            self._thread.join()

    def observe(self, name: str, result: PartResult | None) -> None:
        """A part has started, or is decided."""
        with self._lock:
            if result is None:
                self._running[name] = None
                return
            self._running.pop(name, None)
            criterion = name.partition("/")[0]
            self._decided[criterion] = self._decided.get(criterion, 0) + 1
            self._counts[result.status] = self._counts.get(result.status, 0) + 1

    def _line(self) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{self._clock()}  ", style="dim")
        expected = self.timeline.expected
        with self._lock:
            decided = sum(count >= expected.get(name, 1) for name, count in self._decided.items())
            counts = dict(self._counts)
            running = list(self._running)
        if expected:
            line.append(f"{decided} of {len(expected)} criteria  ")
        for status, (mark, style) in STYLES.items():
            if count := counts.get(status):
                line.append(f"{mark} {count}  ", style=style)
        line.append(self._doing(running), style="dim")
        return line

    def _doing(self, running: list[str]) -> str:
        if steps := self.timeline.steps:
            return clean("; ".join(steps))
        names = list(dict.fromkeys(name.partition("/")[0] for name in running))
        return f"running {few(names, MAX_NAMES)}" if names else "preparing"

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._began)
        return f"{seconds // 60}:{seconds % 60:02}"

    def _tell(self) -> None:
        """Write a plain line when there is something new, and at times that there is not."""
        last, silent_since = "", time.monotonic()
        while not self._ended.wait(self._interval):
            line = self._line().plain
            news = line.partition("  ")[2]
            if news == last and time.monotonic() - silent_since < MAX_SILENCE:
                continue
            last, silent_since = news, time.monotonic()
            try:
                self._stream.write(f"grader: {line.rstrip()}\n")
                self._stream.flush()
            except (OSError, ValueError):  # whoever read it has gone
                return
