"""The way of one submission: collect, read, prepare, run, score."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.context import Context
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.grading import Observer, grade_tasks, ignore
from grader.places import places_of
from grader.reference_comparison import comparisons
from grader.results import Comparison, Finding, Grade, SectionResult, TaskResult
from grader.runtime.temporary import scratch_directory
from grader.score import add, total
from grader.submission.collect import collect
from grader.timeline import Timeline
from grader.tools import KNOWN, Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from grader.exam.model import Exam, Task
    from grader.runtime.queue import Slots
    from grader.runtime.shared_runtime import SharedRuntime
    from grader.runtime.submission_runtime import SubmissionRuntime
    from grader.submission.model import Submission

MAX_SUGGESTED = 6
STATIC = "static"
"""The isolation of a grade that ran nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may choose for one grade."""

    exam: Path | None = None
    """Directory of another exam than the bundled one."""
    tasks: tuple[str, ...] = ()
    """Tasks, or single criteria: `4.1`, `4.2.requests`."""
    sections: tuple[str, ...] = ()
    seed: int = 0
    """The public part of what seeded data derive from; see `grader.runtime.seed_secret`."""
    pass_mark: float | None = None
    isolation: str = "bubblewrap"
    """`bubblewrap`, `docker`, `none`, or `static` for no execution at all."""
    solution: bool = False
    """Also show how the reference solution does what was lost."""
    without: frozenset[str] = frozenset()
    """Tools to do without, as if this machine did not have them."""


def score_submission(
    source: str,
    options: Options,
    observe: Observer = ignore,
    *,
    exam: Exam | None = None,
    shared: SharedRuntime | None = None,
    timeline: Timeline | None = None,
) -> Grade:
    """Grade one submission: a folder, an archive or a git revision.

    Args:
        exam: loaded already; else the one that the options name.
        shared: shared with other grades; else one of its own.
        timeline: tells who watches it what is going on; else one of its own.

    Raises:
        UsageError: the source, the exam or an option is unusable.
    """
    started = time.perf_counter()
    exam = exam or load_exam(options.exam or RUBRICS, ALL)
    selection = select(exam, options.tasks, options.sections)
    tasks = selection.graded
    if options.solution and exam.reference is None:
        raise UsageError("there is no solution to show: this exam.yaml names no reference")
    tools = Tools(options.without)
    timeline = timeline or Timeline()
    timeline.expect({row.id: len(row.parts) for task in tasks for row in task.criteria})
    with ExitStack() as stack:
        scratch = stack.enter_context(scratch_directory())
        with timeline.span("collect", source), timeline.step("copying the submission"):
            submission = collect(source, exam=exam, into=scratch / "submission", tools=tools)
        runtime = _submission_runtime(stack, submission, exam, options, tasks, shared, timeline)
        context = Context(
            submission=submission,
            exam=exam,
            tools=tools,
            seed=_seed(options),
            runtime=runtime,
            runs=options.isolation != STATIC,
        )
        results = selection.reported(grade_tasks(tasks, context, ALL, observe))
        results = {
            name: replace(task, files=_files(submission, exam, name)) for name, task in results.items()
        }
        shown: tuple[Comparison, ...] = ()
        if options.solution:
            shown = comparisons(
                [task for task in tasks if task.id in results],
                results,
                submission,
                exam,
                scratch=scratch,
                tools=tools,
            )
        sections = tuple(
            SectionResult(
                id=section.id,
                title=section.title,
                bonus=section.bonus,
                tasks=tuple(results[task.id] for task in section.tasks if task.id in results),
            )
            for section in exam.sections
            if any(task.id in results for task in section.tasks)
        )
        grade = Grade(
            exam={"id": exam.id, "title": exam.title, "version": exam.version, "digest": exam.digest},
            submission={"name": submission.name, "digest": submission.digest},
            score=total(sections, pass_mark=pass_mark(exam, selection, options.pass_mark)),
            sections=sections,
            criteria_of_exam=sum(len(task.criteria) for task in exam.tasks),
            environment=_environment(runtime),
            isolation=options.isolation,
            seed=options.seed,
            tools={name: str(tools.version(name)) for name in KNOWN if not tools.lacks(name)},
            remarks=(*submission.remarks, *_runtime_remarks(runtime)),
            calls=dict(sorted(context.calls.items())),
            comparisons=shown,
            seconds=time.perf_counter() - started,
            spans=timeline.spans,
        )
        return replace(grade, places=places_of(grade.findings, submission))


def _seed(options: Options) -> int:
    """What checks draw from: more than the public seed, where there is anybody to hide it from."""
    if options.isolation == STATIC:
        return options.seed
    from grader.runtime.seed_secret import effective_seed

    return effective_seed(options.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What `--task` and `--section` choose."""

    criteria: frozenset[str]
    """Ids of the criteria that are asked for."""
    graded: tuple[Task, ...]
    """Their tasks, with these criteria and those that they need."""

    def reported(self, results: Mapping[str, TaskResult]) -> dict[str, TaskResult]:
        """Results without what was graded only because others need it."""
        rows = {
            name: tuple(row for row in task.criteria if row.id in self.criteria)
            for name, task in results.items()
        }
        return {name: replace(results[name], criteria=kept) for name, kept in rows.items() if kept}


def select(exam: Exam, tasks: Iterable[str], sections: Iterable[str]) -> Selection:
    """What is chosen by ids of tasks and criteria, each maybe several with commas between; or all.

    Raises:
        UsageError: the exam has no such task, criterion or section.
    """
    by_task = {task.id: task for task in exam.tasks}
    by_section = {section.id: section for section in exam.sections}
    by_criterion = {row.id: row for task in exam.tasks for row in task.criteria}
    wanted: set[str] = set()
    names = _split(tasks)
    for name in names:
        if name in by_section and name not in by_task:
            raise UsageError(f"no task {name!r} in this exam; did you mean --section {name}?")
        _refuse_unknown("task", name, {**by_task, **by_criterion}, listed=by_task)
        wanted |= {row.id for row in by_task[name].criteria} if name in by_task else {name}
    section_names = _split(sections)
    for name in section_names:
        _refuse_unknown("section", name, by_section, listed=by_section)
        wanted |= {row.id for task in by_section[name].tasks for row in task.criteria}
    if not names and not section_names:
        wanted = set(by_criterion)
    kept = _with_needs(wanted, exam)
    chosen = (
        replace(task, criteria=tuple(row for row in task.criteria if row.id in kept)) for task in exam.tasks
    )
    return Selection(criteria=frozenset(wanted), graded=tuple(task for task in chosen if task.criteria))


def chosen_tasks(exam: Exam, tasks: Iterable[str], sections: Iterable[str]) -> tuple[Task, ...]:
    """The tasks of `select`, without what others of the exam need."""
    selection = select(exam, tasks, sections)
    cut = (
        replace(task, criteria=tuple(row for row in task.criteria if row.id in selection.criteria))
        for task in selection.graded
    )
    return tuple(task for task in cut if task.criteria)


def _split(words: Iterable[str]) -> list[str]:
    """Names out of `4.1,4.2`; an empty one is a mistake that the complaint shows."""
    return [name.strip() for word in words for name in word.split(",")]


def _with_needs(wanted: set[str], exam: Exam) -> set[str]:
    """These criteria and those of the same tasks that decide whether they can be graded."""
    task_of = {row.id: task.id for task in exam.tasks for row in task.criteria}
    criteria = {row.id: row for task in exam.tasks for row in task.criteria}
    tasks = {task_of[name] for name in wanted}
    found: set[str] = set()
    left = list(wanted)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        row = criteria[name]
        needs = (*row.needs, *(need for part in row.parts for need in part.needs))
        ids = (need.partition("/")[0] for need in needs)
        left += [need for need in ids if task_of.get(need) in tasks]
    return found


def _refuse_unknown(
    kind: str, name: str, known: Mapping[str, object], *, listed: Mapping[str, object]
) -> None:
    if name in known:
        return
    for names in (listed, known):
        if near := [each for each in names if name and each.startswith(name)][:MAX_SUGGESTED]:
            break
    else:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f" (it has {', '.join(listed)})"
    raise UsageError(f"no {kind} {name!r} in this exam{hint}")


def pass_mark(exam: Exam, selection: Selection, chosen: float | None) -> float:
    """The exam's own mark, or the share of it that is due for what was selected.

    A share of the exam's points without bonus: who leaves out only the bonus has the exam's own mark. For
    nothing but bonus, the same share of the bonus.
    """
    if chosen is not None:
        return chosen
    selected: dict[bool, list[float]] = {True: [], False: []}
    for section in exam.sections:
        for row in (row for task in section.tasks for row in task.criteria):
            if row.id in selection.criteria:
                selected[section.bonus].append(row.points)
    possible = add(selected[False]) or add(selected[True])
    return round(exam.pass_mark * possible / exam.points, 2)


def merged(grade: Grade, again: Grade) -> Grade:
    """A grade of which some criteria were graded again, with what became of these."""
    newer = {task.id: task for task in again.tasks}

    def task_now(task: TaskResult) -> TaskResult:
        if task.id not in newer:
            return task
        rows = {row.id: row for row in newer[task.id].criteria}
        return replace(newer[task.id], criteria=tuple(rows.get(row.id, row) for row in task.criteria))

    sections = tuple(
        replace(section, tasks=tuple(map(task_now, section.tasks))) for section in grade.sections
    )
    return replace(
        again,
        score=total(sections, pass_mark=grade.score.pass_mark),
        sections=sections,
        calls=dict(sorted({**grade.calls, **again.calls}.items())),
        places={**grade.places, **again.places},
    )


def _files(submission: Submission, exam: Exam, task: str) -> dict[str, str]:
    """Which file was taken for each deliverable of a task."""
    deliverables = next(each.deliverables for each in exam.tasks if each.id == task)
    return {each.id: str(submission.deliverables.get(each.id, "")) for each in deliverables}


def _submission_runtime(
    stack: ExitStack,
    submission: Submission,
    exam: Exam,
    options: Options,
    tasks: tuple[Task, ...],
    shared: SharedRuntime | None,
    timeline: Timeline,
) -> SubmissionRuntime | None:
    """What runs candidate code, where that was asked for and some check may need it."""
    if options.isolation == STATIC or not may_run(tasks):
        return None
    from grader.runtime.submission_runtime import SubmissionRuntime

    tools = Tools(options.without)
    runtime = SubmissionRuntime(
        submission,
        exam,
        isolation=options.isolation,
        tools=tools,
        shared=shared,
        timeline=timeline,
    )
    stack.enter_context(runtime)
    if tasks == tuple(exam.tasks):
        runtime.warm_up()
    return runtime


@contextmanager
def shared_runtime_for(
    exam: Exam, tasks: Iterable[Task], options: Options, *, slots: Slots | None = None
) -> Iterator[SharedRuntime | None]:
    """A shared runtime for many grades of these tasks; None where none of them runs anything.

    Args:
        slots: how many runs go on at a time; default: one for each core.
    """
    if options.isolation == STATIC or not may_run(tasks):
        yield None
        return
    from grader.runtime.shared_runtime import SharedRuntime

    hidden = (exam.directory.resolve(),)
    with SharedRuntime(isolation=options.isolation, hidden=hidden, slots=slots) as shared:
        yield shared


def may_run(tasks: Iterable[Task]) -> bool:
    """Whether some check of these tasks runs candidate code."""
    parts = (part for task in tasks for criterion in task.criteria for part in criterion.parts)
    return any(ALL[part.check].needs_runtime for part in parts)


def _environment(runtime: SubmissionRuntime | None) -> dict[str, object]:
    """The environment as the result records it; empty where nothing was prepared."""
    if runtime is None or (environment := runtime.prepared) is None:
        return {}
    return {
        "source": environment.source,
        "reason": environment.reason,
        "key": environment.key,
        "packages": dict(sorted(environment.packages.items())),
    }


def _runtime_remarks(runtime: SubmissionRuntime | None) -> tuple[Finding, ...]:
    return () if runtime is None else runtime.remarks
