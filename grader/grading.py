"""From an exam and a submission to criterion results: plan the checks, run them as their needs allow."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from grader.check import keywords_of
from grader.errors import GraderFault, RubricError, ToolMissing
from grader.exam.parameters import needed_deliverables
from grader.results import (
    CriterionResult,
    Evidence,
    Finding,
    Outcome,
    PartResult,
    Status,
    TaskResult,
    Thumbnail,
    Verdict,
    failed,
    stopped,
)
from grader.score import criterion_result

if TYPE_CHECKING:
    from grader.check import Check
    from grader.context import Context
    from grader.exam.model import Criterion, Deliverable, Part, Task

WORKERS = 24
"""Threads, most of which wait for a process; how many of those run at once is the runtime's business."""

MAX_CALLS_NAMED = 3
"""How many of the functions by which a file is found a finding names."""

Observer = Callable[[str, PartResult | None], None]
"""Told a part's name when it starts (None) and when it is decided."""


def ignore(_name: str, _result: PartResult | None) -> None:
    """An observer that does nothing."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One part in the graph of needs."""

    criterion: Criterion
    part: Part

    @property
    def name(self) -> str:
        """`4.1.ready/with_model`, or `4.1.health` where the criterion has no parts."""
        return f"{self.criterion.id}/{self.part.id}" if self.part.id else self.criterion.id

    @property
    def needs(self) -> tuple[str, ...]:
        """The criteria and parts that it builds on."""
        return (*self.criterion.needs, *self.part.needs)


def grade_tasks(
    tasks: Iterable[Task], context: Context, checks: Mapping[str, Check], observe: Observer = ignore
) -> dict[str, TaskResult]:
    """Decide every criterion of `tasks`, in the order that needs allow; results by task id."""
    chosen = tuple(tasks)
    results = missing_deliverables(chosen, context)
    units = [
        Unit(criterion, part) for task in chosen for criterion in task.criteria for part in criterion.parts
    ]
    graph = _Graph((unit for unit in units if unit.name not in results), results)
    _run_all(graph, context, checks, observe)
    for task in chosen:
        _block_repeated(task, results)
    return {
        task.id: TaskResult(
            id=task.id,
            title=task.title,
            criteria=tuple(_criterion(criterion, results) for criterion in task.criteria),
        )
        for task in chosen
    }


def _criterion(criterion: Criterion, results: Mapping[str, PartResult]) -> CriterionResult:
    return criterion_result(criterion, tuple(results[Unit(criterion, part).name] for part in criterion.parts))


def _block_repeated(task: Task, results: dict[str, PartResult]) -> None:
    """Leave each cause to the first part that is lost to it, and block the others by that."""
    first: dict[str, Unit] = {}
    for criterion in task.criteria:
        for part in criterion.parts:
            unit = Unit(criterion, part)
            result = results[unit.name]
            if not result.cause or result.status is not Status.LOST:
                continue
            source = first.setdefault(result.cause, unit)
            if source == unit:
                continue
            blocked_by = source.name if source.criterion is criterion else source.criterion.id
            results[unit.name] = replace(
                _undone(part, Status.BLOCKED, blocked_by), cause=result.cause, seconds=result.seconds
            )


# --- what nobody needs to run ---------------------------------------------------------------------


def missing_deliverables(tasks: Iterable[Task], context: Context) -> dict[str, PartResult]:
    """Results of the parts that a missing file decides: lost once, at the first, and blocked after that.

    What is found by what it does, and was not looked for in every file, is undecided instead.
    """
    results: dict[str, PartResult] = {}
    for task in tasks:
        missing = [entry for entry in task.deliverables if context.submission.deliverable(entry.id) is None]
        nothing = len(missing) == len(task.deliverables) > 0
        causes: dict[str, str] = {}
        for criterion in task.criteria:
            absent = missing if nothing else [entry for entry in missing if entry.id in criterion.files]
            if not absent:
                continue
            cause = next((causes[entry.id] for entry in absent if entry.id in causes), "")
            finding = () if cause else (_not_handed_in(absent, whole_task=nothing),)
            status = Status.BLOCKED if cause else Status.LOST
            wanted = [entry for entry in absent if entry.id in criterion.files] or absent
            if context.submission.unread and all(entry.calls for entry in wanted):
                status, cause = Status.UNVERIFIED, ""
                finding = (_not_found(wanted, context.submission.unread),)
            for part in criterion.parts:
                results[Unit(criterion, part).name] = _undone(part, status, cause, finding)
            if status is not Status.UNVERIFIED:
                causes |= {entry.id: causes.get(entry.id, criterion.id) for entry in absent}
    return results


def _not_found(absent: list[Deliverable], unread: int) -> Finding:
    names = ", ".join(entry.path or entry.id for entry in absent)
    return Finding(message=f"{names} was not found, and {unread:,} files were not searched", expected=names)


def _not_handed_in(absent: list[Deliverable], *, whole_task: bool) -> Finding:
    if whole_task:
        expected = ", ".join(map(_described, absent))
        return Finding(message="nothing was handed in for this task yet", expected=expected)
    return _missing([entry.path or entry.id for entry in absent])


def _described(entry: Deliverable) -> str:
    """The deliverable's path; where the exam names none, what a file must use to be found."""
    return entry.path or f"{entry.id} (a file that uses {' or '.join(entry.calls[:MAX_CALLS_NAMED])})"


def _missing(names: list[str]) -> Finding:
    listed = ", ".join(names)
    return Finding(message=f"{listed} is missing", expected=listed, actual="no such file")


def _undone(part: Part, status: Status, cause: str, findings: tuple[Finding, ...] = ()) -> PartResult:
    return PartResult(
        id=part.id,
        title=part.title,
        points=part.points,
        status=status,
        findings=findings,
        evidence=Evidence.STATIC if status is Status.LOST else None,
        blocked_by=cause,
    )


# --- the graph ------------------------------------------------------------------------------------


class _Graph:
    """Which parts can run now, given what became of the parts that they need."""

    def __init__(self, units: Iterable[Unit], results: dict[str, PartResult]) -> None:
        self.results = results
        self._units = {unit.name: unit for unit in units}
        self._names: dict[str, list[str]] = {}
        for name in (*results, *self._units):
            self._names.setdefault(name, []).append(name)
            if "/" in name:
                self._names.setdefault(name.partition("/")[0], []).append(name)
        self._sorter = TopologicalSorter({name: self._before(unit) for name, unit in self._units.items()})
        self._sorter.prepare()

    def _before(self, unit: Unit) -> list[str]:
        """The parts that are to be decided before this one."""
        return [name for need in unit.needs for name in self._names.get(need, ()) if name in self._units]

    def ready(self) -> list[Unit]:
        """Take out the parts whose needs are met, and settle those whose needs never will be."""
        ready: list[Unit] = []
        while names := self._sorter.get_ready():
            for name in names:
                unit = self._units[name]
                needs = {need: self._state(need) for need in unit.needs}
                unmet = next((need for need, state in needs.items() if state is not Status.EARNED), None)
                if unmet is None:
                    ready.append(unit)
                else:
                    self.settle(name, _unmet(unit.part, unmet, needs[unmet]))
        return ready

    def settle(self, name: str, result: PartResult) -> None:
        """Take in what became of a part."""
        self.results[name] = result
        self._sorter.done(name)

    def _state(self, need: str) -> Status:
        """Earned (if only in part), lost or open, its parts being decided; a need nobody asked for is met."""
        statuses = {self.results[name].status for name in self._names.get(need, ())}
        if not statuses or Status.EARNED in statuses:
            return Status.EARNED
        return Status.UNVERIFIED if any(status.open for status in statuses) else Status.LOST


def _unmet(part: Part, need: str, state: Status) -> PartResult:
    if state is Status.UNVERIFIED:
        reason = Finding(message=f"it depends on {need}, which could not be decided")
        return _undone(part, Status.UNVERIFIED, need, (reason,))
    return _undone(part, Status.BLOCKED, need)


def _run_all(graph: _Graph, context: Context, checks: Mapping[str, Check], observe: Observer) -> None:
    running: dict[Future[PartResult], str] = {}
    pool = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="check")
    try:
        while True:
            for unit in graph.ready():
                observe(unit.name, None)
                running[pool.submit(decide, unit.part, context, checks[unit.part.check])] = unit.name
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                graph.settle(name, future.result())
                observe(name, graph.results[name])
    finally:
        # After an interrupt the runtime ends what the threads wait for; nobody waits for the threads here.
        pool.shutdown(wait=not running, cancel_futures=True)


# --- one part -------------------------------------------------------------------------------------


def decide(part: Part, context: Context, check: Check) -> PartResult:
    """Run one check; the one ladder on which an exception becomes a status."""
    started, cause = time.perf_counter(), ""
    thumbnails: tuple[Thumbnail, ...] = ()
    try:
        outcome = _with_retry(lambda: outcome_of(check, context, part.parameters))
        status = _STATUSES[outcome.verdict]
        findings, evidence = outcome.findings, outcome.evidence or check.evidence
        cause, thumbnails = outcome.cause, outcome.thumbnails
    except ToolMissing as missing:
        status, findings, evidence = Status.UNVERIFIED, (Finding(message=str(missing)),), None
    except RubricError as wrong:
        status, findings, evidence = (
            Status.ERROR,
            (Finding(message=f"the rubric is at fault: {wrong}"),),
            None,
        )
    except GraderFault as fault:
        status, evidence = Status.ERROR, None
        findings = (Finding(message=f"the grader failed: {fault}", detail=fault.log_tail),)
    except Exception as surprise:  # a bug of ours is nobody's lost point
        status, evidence = Status.ERROR, None
        message = f"the grader failed: {type(surprise).__name__} in check {check.name}"
        findings = (Finding(message=message, detail=traceback.format_exc()),)
    return PartResult(
        id=part.id,
        title=part.title,
        points=part.points,
        status=status,
        findings=findings,
        evidence=None if status.open else evidence,
        cause=cause,
        thumbnails=thumbnails,
        seconds=time.perf_counter() - started,
    )


def outcome_of(check: Check, context: Context, parameters: Mapping[str, Any]) -> Outcome:
    """What a check says, unless what it reads is missing or unreadable: that is said here, for all of them.

    What is read once serves every check that reads the same.
    """
    if check.reads is None:
        return check.function(context, **parameters)
    reader, asked = check.reads, _keywords(check.reads, parameters)
    needed = dict.fromkeys(needed_deliverables(check.parameters, asked))
    if absent := [name for name in needed if context.submission.deliverable(name) is None]:
        paths = {entry.id: entry.path for task in context.exam.tasks for entry in task.deliverables}
        return failed(_missing([paths.get(name) or name for name in absent]), evidence=Evidence.STATIC)
    fact = context.memo.once((reader, *asked.items()), lambda: reader(context, **asked))
    if isinstance(fact, Outcome):
        return fact
    if isinstance(fact, Finding):
        return stopped(fact, evidence=Evidence.STATIC)
    return check.function(context, fact, **_keywords(check.function, parameters))


def _keywords(function: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    names = [each.name for each in keywords_of(function)]
    return {name: parameters[name] for name in names if name in parameters}


_STATUSES = {
    Verdict.PASSED: Status.EARNED,
    Verdict.FAILED: Status.LOST,
    Verdict.UNVERIFIED: Status.UNVERIFIED,
}


def _with_retry(make: Callable[[], Outcome]) -> Outcome:
    try:
        return make()
    except GraderFault:
        return make()
