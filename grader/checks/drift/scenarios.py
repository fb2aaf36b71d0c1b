"""A drift detection script run on quiet data, on drifted data, and without each of its files."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

from grader.checks.drift.data import drifted, resampled
from grader.checks.scripts.call import Called, call, script
from grader.errors import GraderFault
from grader.readers.python.imports import imports
from grader.readers.table import read_table, write_table
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.context import Context

_TRACKING = "mlflow"
MOST_REPORT_BYTES = 64 * 2**20


class Drift(TypedDict):
    """How a drift script is run; the same mapping for every check, so that they share its runs."""

    reference: str
    """Where the reference data belong."""
    current: str
    """Where the current data belong."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    report_files: list[str]
    """Endings of names of what a report is saved as."""
    library_marks: list[str]
    """What stands in every report of the library; all of them must."""
    preset_marks: list[str]
    """What stands in a report of the preset and in no other; all of them must."""
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """One run of the script."""

    called: Called
    written: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Reports that appeared or changed, each with the marks that its content has."""

    def reports(self, marks: Sequence[str]) -> list[str]:
        """Reports that have all of the marks."""
        return [path for path, found in self.written.items() if found.issuperset(marks)]


def on_quiet(context: Context, file: str, how: Drift) -> Detected:
    """The script where the current data are another sample of the reference's."""
    return _once(context, file, how, "drift_quiet")


def on_drifted(context: Context, file: str, how: Drift) -> Detected:
    """The script where every column of the current data moved far away."""
    return _once(context, file, how, "drift_drifted")


def without_reference(context: Context, file: str, how: Drift) -> Detected:
    """The script without its reference data."""
    return _once(context, file, how, "drift_without_reference")


def without_current(context: Context, file: str, how: Drift) -> Detected:
    """The script without its current data."""
    return _once(context, file, how, "drift_without_current")


def _once(context: Context, file: str, how: Drift, scenario: str) -> Detected:
    key = (scenario, file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _detect(context, file, how, scenario))


def _detect(context: Context, file: str, how: Drift, scenario: str) -> Detected:
    lab, what = context.require_lab(), script(context.submission, file)
    if what is None:
        raise GraderFault(f"there is no {file} to run")
    # The form of the call was found out on good data; a missing file must not change it.
    like = None if scenario == "drift_quiet" else on_quiet(context, file, how).called
    limits = Limits(cpu_seconds=how["cpu_seconds"], wall_seconds=how["wall_seconds"])
    files = _files(context, how, scenario)
    without = [path for path in (how["reference"], how["current"]) if path not in files]
    with contextlib.ExitStack() as stack:
        # Not asked for, but a script that also logs what it found must find where.
        server = stack.enter_context(lab.mlflow(scenario)) if _tracks(context, file) else None
        cell = stack.enter_context(lab.cell(mlflow=server, files=files, without=without))
        before = cell.snapshot()
        called = call(cell, what, arguments=how["arguments"], limits=limits, like=like)
        changed = [path for path in cell.changed(before) if path.lower().endswith(tuple(how["report_files"]))]
        marks = (*how["library_marks"], *how["preset_marks"])
        return Detected(
            called=called,
            written={path: _marks(cell.read(path, MOST_REPORT_BYTES), marks) for path in changed},
        )


def _tracks(context: Context, file: str) -> bool:
    source = context.submission.deliverable(file)
    return source is not None and imports(context.submission, source, _TRACKING)


def _files(context: Context, how: Drift, scenario: str) -> dict[str, bytes]:
    given = context.submission.given.get(how["reference"]) or context.exam.data.get(how["reference"])
    if given is None:
        raise GraderFault(f"the exam gives no {how['reference']}")
    table = read_table(given.read_bytes())
    # Of one sample in every scenario, so that nothing but the values can tell them apart; and of one that
    # nobody can make beforehand, whatever the seed.
    current = resampled(table, str(context.seed))
    if scenario == "drift_drifted":
        current = drifted(current)
    files = {how["reference"]: write_table(table), how["current"]: write_table(current)}
    missing = {"drift_without_reference": how["reference"], "drift_without_current": how["current"]}
    return {path: data for path, data in files.items() if path != missing.get(scenario)}


def _marks(data: bytes | None, marks: Sequence[str]) -> frozenset[str]:
    """Which of the marks a file has; one that cannot be read has none."""
    return frozenset(mark for mark in marks if data is not None and mark.encode() in data)
