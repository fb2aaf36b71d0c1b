"""A drift detection script run on quiet data, on drifted data, and without each of its files."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from grader.check import Deliverable, GivenFile, Names, Scenario, Seconds
from grader.checks.drift.data import drifted, reordered, resampled
from grader.checks.scripts.call import Called, call, script
from grader.errors import GraderFault
from grader.readers.python.imports import imports
from grader.readers.table import read_table, write_table
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.context import Context

_TRACKING = "mlflow"
MAX_REPORT_BYTES = 64 * 2**20


class Drift(Scenario):
    """How a drift detection script is run."""

    kind: ClassVar[str] = "drift"

    script: Deliverable
    """The script."""
    reference: GivenFile
    """The path of the reference data."""
    current: GivenFile
    """The path of the current data."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    report_files: Names
    """File name endings of a saved report."""
    library_marks: Names
    """Texts that occur in every report of the library; all must be present."""
    preset_marks: Names
    """Texts that occur only in reports made with the preset; all must be present."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""

    @model_validator(mode="after")
    def _compares_two_files(self) -> Self:
        if self.reference == self.current:
            raise ValueError("reference and current are the same file, so nothing could drift")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """One run of the script."""

    called: Called
    written: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Reports that are new or changed, each with the marks found in its content."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Report -> the digest of its content."""

    def reports(self, marks: Sequence[str]) -> list[str]:
        """The reports that have all of the marks."""
        return [path for path, found in self.written.items() if found.issuperset(marks)]

    def same_report(self, other: Detected, marks: Sequence[str]) -> str:
        """A report that another run, on other data, has left byte for byte as well; empty if none."""
        theirs = {other.digests.get(path) for path in other.reports(marks)} - {None}
        return next((path for path in self.reports(marks) if self.digests.get(path) in theirs), "")


def on_quiet(context: Context, scenario: Drift) -> Detected:
    """The script where the current data are another sample of the reference's."""
    return _once(context, scenario, "drift_quiet")


def on_drifted(context: Context, scenario: Drift) -> Detected:
    """The script where every column of the current data moved far away."""
    return _once(context, scenario, "drift_drifted")


def on_same(context: Context, scenario: Drift) -> Detected:
    """The script where the current data are the reference's own rows in another order."""
    return _once(context, scenario, "drift_same")


def without_reference(context: Context, scenario: Drift) -> Detected:
    """The script without its reference data."""
    return _once(context, scenario, "drift_without_reference")


def without_current(context: Context, scenario: Drift) -> Detected:
    """The script without its current data."""
    return _once(context, scenario, "drift_without_current")


def _once(context: Context, scenario: Drift, situation: str) -> Detected:
    key = (situation, scenario)
    return context.memo.once(key, lambda: _detect(context, scenario, situation))


def _detect(context: Context, scenario: Drift, situation: str) -> Detected:
    runtime, what = context.require_runtime(), script(context.submission, scenario.script)
    if what is None:
        raise GraderFault(f"there is no {scenario.script} to run")
    # The form of the call was found out on good data; a missing file must not change it.
    like = None if situation == "drift_quiet" else on_quiet(context, scenario).called
    limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
    files = _files(context, scenario, situation)
    without = [path for path in (scenario.reference, scenario.current) if path not in files]
    with contextlib.ExitStack() as stack:
        # Not asked for, but a script that also logs what it found must find where.
        server = stack.enter_context(runtime.mlflow(situation)) if _tracks(context, scenario.script) else None
        cell = stack.enter_context(runtime.cell(mlflow=server, files=files, without=without))
        before = cell.snapshot()

        def saved() -> list[str]:
            endings = tuple(scenario.report_files)
            return [path for path in cell.changed(before) if path.lower().endswith(endings)]

        called = call(
            cell,
            what,
            arguments=scenario.arguments,
            limits=limits,
            like=like,
            enough=lambda _: bool(saved()),
        )
        if like is None:
            context.record_call(scenario.script, called.record(what.path))
        changed = saved()
        marks = (*scenario.library_marks, *scenario.preset_marks)
        contents = ((path, cell.read(path, MAX_REPORT_BYTES)) for path in changed)
        read = {path: (_marks(data, marks), _digest(data)) for path, data in contents}
        return Detected(
            called=called,
            written={path: found for path, (found, _) in read.items()},
            digests={path: digest for path, (_, digest) in read.items()},
        )


def importable(context: Context, scenario: Drift, places: Sequence[str], name: str) -> bool:
    """Whether the environment has a name in one of these modules: what `except: pass` says nothing of."""

    def ask() -> bool:
        limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
        with context.require_runtime().cell() as cell:
            return any(cell.python("-c", f"from {place} import {name}", limits=limits).ok for place in places)

    return context.memo.once(("importable", tuple(places), name), ask)


def _tracks(context: Context, file: str) -> bool:
    source = context.submission.deliverable(file)
    return source is not None and imports(context.submission, source, _TRACKING)


def _files(context: Context, scenario: Drift, situation: str) -> dict[str, bytes]:
    table = read_table(context.given(scenario.reference))
    if situation == "drift_same":
        current = reordered(table, str(context.seed))
    else:
        # Of one sample in every other situation, so that nothing but the values can tell them apart; and of
        # one that nobody can make beforehand, whatever the seed.
        current = resampled(table, str(context.seed))
    if situation == "drift_drifted":
        current = drifted(current)
    files = {scenario.reference: write_table(table), scenario.current: write_table(current)}
    missing = {"drift_without_reference": scenario.reference, "drift_without_current": scenario.current}
    return {path: data for path, data in files.items() if path != missing.get(situation)}


def _digest(data: bytes | None) -> str:
    return hashlib.sha256(data or b"").hexdigest()


def _marks(data: bytes | None, marks: Sequence[str]) -> frozenset[str]:
    """Which of the marks a file has; one that cannot be read has none."""
    return frozenset(mark for mark in marks if data is not None and mark.encode() in data)
