"""The way of one submission: collect, read, prepare, run, score."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.context import Context
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.grading import Observer, grade_tasks, ignore
from grader.reference_comparison import comparisons
from grader.results import Comparison, Finding, Grade, SectionResult
from grader.runtime.temporary import scratch_directory
from grader.score import add, total
from grader.submission.collect import collect
from grader.timeline import Timeline
from grader.tools import KNOWN, Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from grader.exam.model import Exam, Task
    from grader.runtime.shared_runtime import SharedRuntime
    from grader.runtime.submission_runtime import SubmissionRuntime
    from grader.submission.model import Submission

STATIC = "static"
"""The isolation of a grade that ran nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a user may choose for one grade."""

    exam: Path | None = None
    """Directory of another exam than the bundled one."""
    tasks: tuple[str, ...] = ()
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
) -> Grade:
    """Grade one submission: a folder, an archive or a git revision.

    Args:
        exam: loaded already; else the one that the options name.
        shared: shared with other grades; else one of its own.

    Raises:
        UsageError: the source, the exam or an option is unusable.
    """
    started = time.perf_counter()
    exam = exam or load_exam(options.exam or RUBRICS, ALL)
    tasks = chosen_tasks(exam, options.tasks, options.sections)
    if options.solution and exam.reference is None:
        raise UsageError("there is no solution to show: this exam.yaml names no reference")
    tools = Tools(options.without)
    timeline = Timeline()
    with ExitStack() as stack:
        scratch = stack.enter_context(scratch_directory())
        with timeline.span("collect", source):
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
        results = grade_tasks(tasks, context, ALL, observe)
        shown: tuple[Comparison, ...] = ()
        if options.solution:
            shown = comparisons(tasks, results, submission, exam, scratch=scratch, tools=tools)
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
        return Grade(
            exam={"id": exam.id, "title": exam.title, "version": exam.version, "digest": exam.digest},
            submission={"name": submission.name, "digest": submission.digest},
            score=total(sections, pass_mark=_pass_mark(exam, tasks, options.pass_mark)),
            sections=sections,
            environment=_environment(runtime),
            isolation=options.isolation,
            seed=options.seed,
            tools={name: str(tools.version(name)) for name in KNOWN if not tools.lacks(name)},
            remarks=(*submission.remarks, *_runtime_remarks(runtime)),
            comparisons=shown,
            seconds=time.perf_counter() - started,
            spans=timeline.spans,
        )


def _seed(options: Options) -> int:
    """What checks draw from: more than the public seed, where there is anybody to hide it from."""
    if options.isolation == STATIC:
        return options.seed
    from grader.runtime.seed_secret import effective_seed

    return effective_seed(options.seed)


def chosen_tasks(exam: Exam, tasks: Iterable[str], sections: Iterable[str]) -> tuple[Task, ...]:
    """The tasks that `--task` and `--section` name; all where neither is given."""
    known = {task.id: task for task in exam.tasks}
    by_section = {section.id: section for section in exam.sections}
    for name, names in ((task, known) for task in tasks):
        _refuse_unknown("task", name, names)
    for name in sections:
        _refuse_unknown("section", name, by_section)
    wanted = {*tasks, *(task.id for name in sections for task in by_section[name].tasks)}
    return tuple(task for task in known.values() if not wanted or task.id in wanted)


def _refuse_unknown(kind: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UsageError(f"no {kind} {name!r} in this exam (it has {', '.join(known)}){hint}")


def _pass_mark(exam: Exam, tasks: tuple[Task, ...], chosen: float | None) -> float:
    """The exam's own mark, or for some of its tasks the same share of their points."""
    if chosen is not None:
        return chosen
    everything = add(task.points for task in exam.tasks)
    share = add(task.points for task in tasks) / everything if everything else 1
    return round(exam.pass_mark * share, 2)


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
    if len(tasks) == len(tuple(exam.tasks)):
        runtime.warm_up()
    return runtime


@contextmanager
def shared_runtime_for(exam: Exam, tasks: Iterable[Task], options: Options) -> Iterator[SharedRuntime | None]:
    """A shared runtime for many grades of these tasks; None where none of them runs anything."""
    if options.isolation == STATIC or not may_run(tasks):
        yield None
        return
    from grader.runtime.shared_runtime import SharedRuntime

    with SharedRuntime(isolation=options.isolation, hidden=(exam.directory.resolve(),)) as shared:
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
