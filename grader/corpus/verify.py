"""Grade the cases of an exam's corpus and compare what they lose with what they must lose."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from grader.corpus.cases import Case, build
from grader.errors import GraderFault, RubricError, UsageError
from grader.exam.starter import write_starter
from grader.results import CriterionResult, Status
from grader.runtime.temporary import scratch_directory
from grader.session import Options, may_run, score_submission, shared_runtime_for

if TYPE_CHECKING:
    from grader.exam.model import Exam, Task
    from grader.runtime.shared_runtime import SharedRuntime

STARTER = "starter"
"""The case that is the starter folder."""
WHOLE = ("whole", "person")
"""Kinds of cases that are no edits: every task of them is graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one case came to."""

    case: Case
    tasks: tuple[str, ...]
    """The tasks that were graded; all criteria of others stay as the reference has them."""
    expected: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)
    """Criterion -> points that it cost, blocked ones included."""
    open: Mapping[str, Status] = field(default_factory=dict)
    """Criteria that this machine could not decide."""
    findings: Mapping[str, str] = field(default_factory=dict)
    """Criterion -> the first thing that was said of its loss."""
    failed: frozenset[str] = frozenset()
    """Parts whose check said no."""
    fault: str = ""
    """Why it could not be graded at all."""
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether it lost exactly what it must."""
        return not self.fault and not self.open and dict(self.lost) == dict(self.expected)

    @property
    def undecided(self) -> bool:
        """Whether only what this machine could not decide keeps it from agreeing."""
        if self.fault or not self.open:
            return False
        must = {name: points for name, points in self.expected.items() if name not in self.open}
        return must == {name: points for name, points in self.lost.items() if name not in self.open}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the whole corpus came to."""

    exam: Exam
    tasks: tuple[Task, ...]
    """The tasks that the chosen cases are about."""
    verdicts: tuple[Verdict, ...]
    whole: bool
    """Whether every case was graded, so that what no case loses is worth a word."""
    seconds: float


Observer = Callable[[Verdict], None]


def only_read(cases: Iterable[Case], exam: Exam) -> tuple[Case, ...]:
    """The cases that need nothing but reading: no candidate code runs for any task that they can change."""
    runs = {task.id for task in exam.tasks if may_run((task,))}
    return tuple(case for case in cases if not runs & set(_scope(case, exam, full=False)))


def built_in(exam: Exam) -> tuple[Case, ...]:
    """The cases that need no file: the reference solution, an empty folder, the starter folder."""
    reference = (Case(name="reference", kind="whole", base=exam.reference),) if exam.reference else ()
    return (
        *reference,
        Case(name="empty", kind="defect", why="Nothing was handed in.", everything=True),
        Case(name=STARTER, kind="defect", why="The starter folder as it is given.", everything=True),
    )


def verify(
    exam: Exam,
    cases: Iterable[Case],
    options: Options,
    *,
    jobs: int = 0,
    full: bool = False,
    whole: bool = True,
    observe: Observer | None = None,
) -> Verification:
    """Grade every case, several at a time, on one set of services.

    Args:
        jobs: cases at a time; 0: two for each core, since every case waits for something.
        full: grade every task of every case, and not only those that its edits can change.
        whole: whether these are all the cases of the exam.
    """
    started = time.perf_counter()
    chosen = tuple(cases)
    scopes = {case.name: _scope(case, exam, full=full) for case in chosen}
    with scratch_directory() as scratch, shared_runtime_for(exam, _tasks(exam, scopes), options) as shared:

        def one(case: Case) -> Verdict:
            return _verdict(case, exam, scopes[case.name], options, scratch, shared)

        with ThreadPoolExecutor(jobs or 2 * (os.cpu_count() or 1), thread_name_prefix="case") as pool:
            futures = [pool.submit(one, case) for case in _mixed(chosen)]
            try:
                for future in as_completed(futures):
                    if observe:
                        observe(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    verdicts = {future.result().case.name: future.result() for future in futures}
    return Verification(
        exam=exam,
        tasks=_tasks(exam, scopes),
        verdicts=tuple(verdicts[case.name] for case in chosen),
        whole=whole,
        seconds=time.perf_counter() - started,
    )


def _tasks(exam: Exam, scopes: Mapping[str, tuple[str, ...]]) -> tuple[Task, ...]:
    wanted = {task for scope in scopes.values() for task in scope}
    return tuple(task for task in exam.tasks if task.id in wanted)


def _mixed(cases: Iterable[Case]) -> list[Case]:
    """Whole submissions first, which may build an environment and should not be what all wait for at the end.

    Then the tasks side by side: the cases of some compute while those of others wait.
    """
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.name.rpartition("/")[0], []).append(case)
    places = [
        (case.kind not in WHOLE, number / len(group), case.name, case)
        for group in groups.values()
        for number, case in enumerate(group)
    ]
    return [case for *_, case in sorted(places, key=lambda place: place[:3])]


# --- what a case can change -----------------------------------------------------------------------


def _scope(case: Case, exam: Exam, *, full: bool) -> tuple[str, ...]:
    """The tasks that have to be graded: those that read an edited file, and those that it must cost.

    What a defect costs tasks that only use the file by the way, its author says; honest work is graded
    wherever it is used.
    """
    every = tuple(task.id for task in exam.tasks)
    if full or case.everything or case.kind in WHOLE or case.base != exam.reference:
        return every
    owners = {criterion.id: task.id for task in exam.tasks for criterion in task.criteria}
    wanted = {*case.tasks, *(owners[criterion] for criterion in case.loses)}
    honest = case.kind == "variant"
    wanted |= {
        task.id for task in exam.tasks if any(task.concerns(path, by_the_way=honest) for path in case.touched)
    }
    return tuple(task for task in every if task in wanted)


# --- one case -------------------------------------------------------------------------------------


def _verdict(
    case: Case,
    exam: Exam,
    scope: tuple[str, ...],
    options: Options,
    scratch: Path,
    shared: SharedRuntime | None,
) -> Verdict:
    started = time.perf_counter()
    folder = scratch / case.name.replace("/", "-")
    try:
        _build(case, exam, folder)
        chosen = replace(options, tasks=scope)
        grade = score_submission(str(folder), chosen, exam=exam, shared=shared)
    except (RubricError, UsageError, GraderFault) as error:
        return Verdict(case=case, tasks=scope, fault=str(error), seconds=time.perf_counter() - started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    criteria = [
        criterion for section in grade.sections for task in section.tasks for criterion in task.criteria
    ]
    return Verdict(
        case=case,
        tasks=scope,
        expected=_everything(exam) if case.everything else case.loses,
        lost={
            criterion.id: round(criterion.points - criterion.highest, 4)
            for criterion in criteria
            if criterion.highest < criterion.points
        },
        open={criterion.id: criterion.status for criterion in criteria if criterion.status.open},
        findings={criterion.id: _said(criterion) for criterion in criteria if criterion.findings},
        failed=_failed(criteria),
        seconds=time.perf_counter() - started,
    )


def _build(case: Case, exam: Exam, folder: Path) -> None:
    if case.name == STARTER:
        write_starter(exam, folder)
    else:
        build(case, folder)


def _everything(exam: Exam) -> Mapping[str, float]:
    return {criterion.id: criterion.points for task in exam.tasks for criterion in task.criteria}


def _said(criterion: CriterionResult) -> str:
    worst = [part for part in criterion.parts if part.status is not Status.EARNED] or criterion.parts
    return next((finding.message for part in worst for finding in part.findings), "")


def _failed(criteria: Iterable[CriterionResult]) -> frozenset[str]:
    """Parts whose check said no, as `4.1.ready/with_model`."""
    return frozenset(
        f"{criterion.id}/{part.id}" if part.id else criterion.id
        for criterion in criteria
        for part in criterion.parts
        if part.status is Status.LOST
    )
