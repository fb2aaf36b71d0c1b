"""What is going on while a grade is made: a live line on a terminal, nothing on a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from grader.report.text import STYLES

if TYPE_CHECKING:
    from types import TracebackType

    from grader.results import PartResult, Status


class Progress:
    """A context manager whose `observe` is given to the grading."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._shown = self._console.is_terminal and not quiet
        self._running: dict[str, None] = {}
        self._counts: dict[Status, int] = {}
        self._live = Live(
            console=self._console, transient=True, refresh_per_second=8, get_renderable=self._line
        )

    def __enter__(self) -> Progress:
        if self._shown:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._live.stop()

    def observe(self, name: str, result: PartResult | None) -> None:
        """A part has started, or is decided."""
        if result is None:
            self._running[name] = None
            return
        self._running.pop(name, None)
        self._counts[result.status] = self._counts.get(result.status, 0) + 1

    def _line(self) -> Text:
        line = Text()
        for status, (mark, style) in STYLES.items():
            if count := self._counts.get(status):
                line.append(f"{mark} {count}  ", style=style)
        names = list(dict.fromkeys(name.partition("/")[0] for name in list(self._running)))
        if names:
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            line.append("running " + ", ".join(names[:6]) + more, style="dim")
        else:
            line.append("preparing", style="dim")
        return line
