"""What a batch is at: a live table on a terminal, now and then a line on a pipe."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from grader.report.console import console
from grader.report.safe import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.console import RenderableType

    from grader.cohort.batch import Batch

INTERVAL = 30.0
"""Seconds between two lines on a pipe."""
MIN_DONE = 2
"""Submissions after which a pace says something."""


class BatchProgress:
    """A context manager whose `watch` is given to the batch."""

    def __init__(
        self, names: Mapping[str, str], *, quiet: bool = False, stream: TextIO | None = None
    ) -> None:
        """Show nothing yet.

        Args:
            names: digest of a submission -> whose it is.
        """
        self._names = names
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        self._last = ""
        self._batch: Batch | None = None
        self._live: Live | None = None
        if self._stream.isatty() and not quiet:
            self._live = Live(
                console=console(self._stream),
                transient=True,
                refresh_per_second=2,
                get_renderable=self._table,
            )

    def __enter__(self) -> BatchProgress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Tell something that stays on the screen."""
        if self._live is not None:
            self._live.console.print(clean(line), markup=False, highlight=False)
        else:
            self._write(line)

    def watch(self, batch: Batch) -> None:
        """Take a look."""
        self._batch = batch
        if self._live is None and not self._quiet and time.monotonic() - self._told >= INTERVAL:
            self._told = time.monotonic()
            line = self._counts(batch)
            if line != self._last:
                self._last = line
                self._write(line)

    def _write(self, line: str) -> None:
        try:
            self._stream.write(f"grader: {clean(line)}\n")
            self._stream.flush()
        except (OSError, ValueError):  # whoever read it has gone
            return

    def _counts(self, batch: Batch) -> str:
        tally = batch.tally
        running = len(batch.pool.busy())
        told = [f"{tally.total - tally.left} of {tally.total} graded", f"{running} running"]
        told += [f"{tally.left - batch.running} waiting"]
        told += [
            f"{count} {name}" for name, count in (("open", tally.open), ("given up", tally.died)) if count
        ]
        if (left := self._left(batch)) is not None:
            told.append(f"about {_clock(left)} left")
        if batch.stopping:
            told.append("stopping when these are done")
        return ", ".join(told)

    def _left(self, batch: Batch) -> float | None:
        decided = batch.tally.total - batch.tally.left
        if decided < MIN_DONE or not batch.tally.left:
            return None
        return (time.monotonic() - batch.began) / decided * batch.tally.left

    def _table(self) -> RenderableType:
        batch = self._batch
        if batch is None:
            return Text(f"{_clock(time.monotonic() - self._began)}  reading submissions", style="dim")
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for agent in batch.pool.agents:
            since = _clock(time.monotonic() - agent.since)
            doing = agent.doing
            share = f"{doing.decided}/{doing.expected}" if doing.expected else ""
            what = doing.what if agent.work is not None else ("waits" if agent.ready else "starts")
            table.add_row(
                Text(agent.name, style="dim"),
                Text(one_line(batch.name_of(agent.work, self._names), longest=40)),
                Text(since, style="dim"),
                Text(share),
                Text(one_line(what, longest=50), style="dim", no_wrap=True, overflow="ellipsis"),
            )
        clock = _clock(time.monotonic() - self._began)
        line = Text(f"{clock}  {self._counts(batch)}", no_wrap=True, overflow="ellipsis")
        return Group(line, table)


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
