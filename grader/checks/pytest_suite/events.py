"""One run of pytest, read from what `probes/pytest_faults.py` saw of it, and the suite says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.runtime.sandbox.model import Run

_OUTCOMES = ("passed", "xpassed", "xfailed", "skipped", "failed")
"""The mildest first: a test is as bad as the worst of its reports."""
_NAMES = {"xskipped": "xfailed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An answer from the endpoint to a test."""

    test: str
    status: int
    own: bool
    """Whether the answer came from an application defined in the suite."""
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """The result of one pytest run."""

    run: Run
    status: int | None = None
    """pytest's exit status; None if it did not finish."""
    forked: bool = False
    """Whether the process in which the tests were collected was copied for this run."""
    used: bool = False
    """Whether the tests used anything else from the submission."""
    tests: Mapping[str, str] = field(default_factory=dict)
    """passed, failed, skipped, xfailed or xpassed, by test."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """pytest's report on each test that did not pass."""
    errors: tuple[str, ...] = ()
    """Why something could not be collected."""
    answers: tuple[Asked, ...] = ()
    late: frozenset[str] = frozenset()
    """Tests that failed, or never ended, after the first changed answer."""
    current: str = ""
    """The test that was running last."""

    def those(self, *outcomes: str) -> list[str]:
        """Tests with one of these outcomes."""
        return [test for test, outcome in self.tests.items() if outcome in outcomes]

    @property
    def green(self) -> bool:
        """Whether pytest succeeded, and a test passed."""
        return self.status == 0 and bool(self.those("passed")) and not self.those("failed")

    @property
    def plain(self) -> bool:
        """Whether every test simply passed."""
        return self.green and set(self.tests.values()) == {"passed"}


def read_events(run: Run, events: Sequence[object], *, status: int | None, forked: bool = False) -> SuiteRun:
    """One run from its events, which the suite may have had its hands in.

    Args:
        status: its process' exit status, which pytest's own must be.
    """
    reader = _Reader()
    for event in events:
        reader.take(event)
    if reader.status != status:
        reader.status = None
    if reader.status is None and reader.broken:
        reader.late.add(reader.current)
    return SuiteRun(
        run=run,
        status=reader.status,
        forked=forked,
        used=reader.used,
        tests=reader.tests,
        texts=reader.texts,
        errors=tuple(reader.errors),
        answers=tuple(reader.answers),
        late=frozenset(reader.late),
        current=reader.current,
    )


@dataclass(slots=True)
class _Reader:
    """What is known after some events."""

    status: int | None = None
    used: bool = False
    broken: bool = False
    """Whether an answer was changed."""
    current: str = ""
    tests: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    answers: list[Asked] = field(default_factory=list)
    late: set[str] = field(default_factory=set)

    def take(self, event: object) -> None:
        """One more; what is no event of ours says nothing."""
        match event:
            case {"start": str(test)}:
                self.current = test
            case {"error": str(text)}:
                self.errors.append(text)
            case {"answer": int(status), "own": bool(own), "changed": bool(changed)}:
                self.answers.append(Asked(test=self.current, status=status, own=own, changed=changed))
                self.broken = self.broken or changed
            case {"report": str(test), "outcome": str(outcome), "text": str(text)}:
                self.report(test, _NAMES.get(outcome, outcome), text)
            case {"end": int(status), "used": bool(used)}:
                self.status, self.used = status, used

    def report(self, test: str, outcome: str, text: str) -> None:
        """Of its setup, its call or its teardown."""
        if outcome not in _OUTCOMES:
            return  # such as a plugin's "rerun": another report follows
        self.tests[test] = max(self.tests.get(test, outcome), outcome, key=_OUTCOMES.index)
        if outcome == "failed":
            self.texts.setdefault(test, text)
            if self.broken:
                self.late.add(test)
