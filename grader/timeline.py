"""Where a grade's time goes: named spans, noted by whoever spends them."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One stretch of time."""

    kind: str
    """`start-up`, `collect`, `environment`, `service`, `seed`, `run`, `check`."""
    name: str
    start: float
    """Seconds since the timeline began."""
    seconds: float
    waited: float = 0.0
    """Of these, seconds in which it only waited for its turn."""


class Timeline:
    """Spans in the order in which they ended. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin now; what the process computed before is its start-up."""
        self._began = time.perf_counter()
        self._lock = threading.Lock()
        ahead = time.process_time()
        self._spans = [Span(kind="start-up", name="imports, exam and rubrics", start=-ahead, seconds=ahead)]
        self._steps: dict[object, str] = {}
        self._parts: Mapping[str, int] = {}

    def expect(self, parts: Mapping[str, int]) -> None:
        """Say what will be decided: how many parts each criterion has."""
        self._parts = dict(parts)

    @property
    def expected(self) -> Mapping[str, int]:
        """What `expect` said; empty until then."""
        return self._parts

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show, while the block runs, what is being done; it may say something else as it goes on."""
        key = object()

        def say(now: str) -> None:
            with self._lock:
                self._steps[key] = now

        say(text)
        try:
            yield say
        finally:
            with self._lock:
                self._steps.pop(key, None)

    @property
    def steps(self) -> tuple[str, ...]:
        """What is being done right now besides checks, the oldest first."""
        with self._lock:
            return tuple(self._steps.values())

    @contextlib.contextmanager
    def span(self, kind: str, name: str) -> Iterator[None]:
        """Note how long the block takes, however it ends."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.note(kind, name, begin)

    def note(self, kind: str, name: str, begin: float, *, waited: float = 0.0) -> None:
        """Note what began at `begin` (of `time.perf_counter`) and ends now."""
        span = Span(
            kind=kind,
            name=name,
            start=begin - self._began,
            seconds=time.perf_counter() - begin,
            waited=waited,
        )
        with self._lock:
            self._spans.append(span)

    @property
    def spans(self) -> tuple[Span, ...]:
        """What has ended, by the time at which it began."""
        with self._lock:
            return tuple(sorted(self._spans, key=lambda span: span.start))
