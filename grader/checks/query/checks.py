"""What a query for the best runs returns: which runs, in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.check import check
from grader.checks.query import static as query_source
from grader.checks.query.scenarios import Query, Shown, on_few, on_many
from grader.checks.scripts.sequence import in_order, readers_of
from grader.readers.python.module import modules
from grader.results import Evidence, Finding, Outcome, Verdict, failed, passed
from grader.runtime.services.mlflow import RunInfo

if TYPE_CHECKING:
    from grader.context import Context
    from grader.documents import SourceFile

MAX_FILES = 3
MAX_GUESSES = 2
"""Values of the metric that no run has, in an answer that names runs by them."""
_RUNNABLE = (".py", ".sh", ".bash", ".zsh", ".ipynb")

Judge = Callable[[Shown, Sequence[RunInfo], Query], Finding | None]
"""What is wrong with the runs that were shown, if anything."""


@check("query.experiment", evidence=Evidence.RUNS, falls_back=True)
def experiment(context: Context, *, scenario: Query) -> Outcome:
    """The query shows no run of another experiment."""

    def read() -> Outcome:
        return query_source.experiment.function(context, file=scenario.script, experiment=scenario.experiment)

    return _decided(context, scenario, judge_experiment, read)


@check("query.filter", evidence=Evidence.RUNS, falls_back=True)
def filtered(context: Context, *, scenario: Query) -> Outcome:
    """The query shows no run at or below the limit, even if few qualify."""

    def read() -> Outcome:
        return query_source.filtered.function(
            context, file=scenario.script, metric=scenario.metric, above=scenario.above
        )

    if context.runtime is not None and (source := _first(context, scenario.script)) is not None:
        # Beside the other one, which other checks wait for at the same time.
        on_few(context, (source,), scenario)
    return _decided(context, scenario, judge_filter, read, few=True)


@check("query.order", evidence=Evidence.RUNS, falls_back=True)
def ordered(context: Context, *, scenario: Query) -> Outcome:
    """The query shows the best run first."""

    def read() -> Outcome:
        return query_source.ordered.function(context, file=scenario.script, metric=scenario.metric)

    return _decided(context, scenario, judge_order, read)


@check("query.top", evidence=Evidence.RUNS, falls_back=True)
def top(context: Context, *, scenario: Query) -> Outcome:
    """The query shows exactly the best runs."""

    def read() -> Outcome:
        return query_source.top.function(
            context, file=scenario.script, count=scenario.count, metric=scenario.metric, above=scenario.above
        )

    return _decided(context, scenario, judge_top, read)


# --- from runs of the query to an outcome ----------------------------------------------------------


def _decided(
    context: Context,
    scenario: Query,
    judge: Judge,
    read: Callable[[], Outcome],
    *,
    few: bool = False,
) -> Outcome:
    """The judge's word on what the query shows.

    Args:
        few: also where few runs qualify.
    """
    if context.runtime is None or (source := _first(context, scenario.script)) is None:
        return read()
    shown = _shown(context, source, scenario)
    context.record_call(scenario.script, shown.called.record(PurePosixPath(shown.file)))
    if not is_answer(shown, scenario):
        why = shows_nothing(shown, scenario)
        return failed(why, cause="the query printed, returned and wrote nothing")
    if not shown.mentions.runs:
        return _by_request(shown, scenario, judge, read)
    files = (shown.file, *shown.further)
    said = f"the answer comes from {' and then '.join(files)}"
    remarks = () if files == (source.name,) else (Finding(message=said),)
    finding = judge(shown, shown.mentions.runs, scenario)
    if finding is None and few:
        found = (context.submission.file(name) for name in files)
        again = on_few(context, tuple(file for file in found if file is not None), scenario)
        finding = judge_few(again, scenario)
    return passed(*remarks) if finding is None else failed(finding, *remarks)


def _by_request(shown: Shown, scenario: Query, judge: Judge, read: Callable[[], Outcome]) -> Outcome:
    """What it asked the server for decides, if that is right as it is; else what the code does with it."""
    seen = Finding(message="the query shows no run, so its request to the tracking server was judged")
    finding = judge(shown, shown.asked, scenario)
    if finding is None:
        return passed(seen)
    outcome = read()
    return failed(finding, seen) if outcome.verdict is Verdict.UNVERIFIED else outcome


def _first(context: Context, script: str) -> SourceFile | None:
    """The likeliest file, if it can be run."""
    source = context.submission.deliverable(script)
    return source if source is not None and source.path.suffix in _RUNNABLE else None


def _shown(context: Context, source: SourceFile, scenario: Query) -> Shown:
    """The best answer of one file, or of several one after another; the first file's where none answers."""
    first = on_many(context, (source,), scenario)
    if is_answer(first, scenario) and not _mistakes(first, scenario):
        return first
    others = _others(context, source, scenario, registering=not is_answer(first, scenario))
    seen = [first]
    for other in islice(others, MAX_FILES):
        seen.append(on_many(context, (other,), scenario))
        if is_answer(seen[-1], scenario) and not _mistakes(seen[-1], scenario):
            return seen[-1]
    seen += (on_many(context, files, scenario) for files in _in_steps(context, seen, scenario))
    answers = [shown for shown in seen if is_answer(shown, scenario)]
    return min(answers, key=lambda shown: _mistakes(shown, scenario), default=first)


def _mistakes(shown: Shown, scenario: Query) -> int:
    """How much is wrong with what it shows."""
    runs = shown.mentions.runs
    judges = (judge_experiment, judge_filter, judge_order, judge_top)
    return sum(not runs or judge(shown, runs, scenario) is not None for judge in judges)


def _in_steps(context: Context, seen: Sequence[Shown], scenario: Query) -> Iterator[tuple[SourceFile, ...]]:
    """One answer in several files: a search, and programs that go on from a file that it wrote."""
    submission = context.submission
    taken = {path for name, path in submission.deliverables.items() if name != scenario.script}
    for shown in islice((each for each in seen if each.contacted and each.called.run.ok), MAX_FILES):
        source = submission.file(shown.file)
        if source is None or shown.registered:
            continue
        own = {source.path, *(module.file.path for module in modules(submission, source))}
        further = tuple(islice(readers_of(submission, shown.wrote, own | taken, _RUNNABLE), MAX_FILES))
        if further:
            yield in_order(submission, (source, *further), scenario.calls)[0]


def _others(
    context: Context, source: SourceFile, scenario: Query, *, registering: bool
) -> Iterator[SourceFile]:
    """Other files that may be the query, but none that the exam has another job for.

    Those that register come last: a program may do both, and one that looks up its best run is no answer.

    Args:
        registering: whether there may be one that registers.
    """
    submission = context.submission
    taken = {path for name, path in submission.deliverables.items() if name != scenario.script}
    last: list[SourceFile] = []
    for path in submission.alternatives.get(scenario.script, ()):
        other = submission.file(path)
        if path == source.path or path.suffix not in _RUNNABLE or other is None:
            continue
        calls = (
            call.name.rpartition(".")[2] for module in modules(submission, other) for call in module.calls()
        )
        if set(scenario.registers) & set(calls):
            last.append(other)
        elif path not in taken:
            yield other
    yield from last if registering else ()


# --- judgements: pure -----------------------------------------------------------------------------


def right_runs(shown: Shown, scenario: Query) -> list[RunInfo]:
    """What the answer should be."""
    qualified = [run for run in shown.there if _belongs(run, scenario) and _above(run, scenario)]
    return sorted(qualified, key=lambda run: -run.metrics[scenario.metric])[: scenario.count]


def _belongs(run: RunInfo, scenario: Query) -> bool:
    return run.active and run.experiment == scenario.experiment


def _above(run: RunInfo, scenario: Query) -> bool:
    return run.metrics.get(scenario.metric, 0) > scenario.above


def is_answer(shown: Shown, scenario: Query) -> bool:
    """It shows one of the right runs at least, or asked for one; looking up what to register is no answer."""
    if not shown.contacted:
        return False
    if shown.mentions.guesses > MAX_GUESSES:
        return False
    runs = shown.mentions.runs or (shown.asked if shown.called.run.ok else ())
    right = {run.id for run in right_runs(shown, scenario)}
    if shown.registered and len(runs) < 2:
        return False
    return any(run.id in right for run in runs)


def shows_nothing(shown: Shown, scenario: Query) -> Finding:
    """Why there is no answer to judge."""
    called = shown.called
    expected = (
        f"the best {scenario.count} runs of {scenario.experiment} with {scenario.metric} > {scenario.above:g}"
    )
    if not called.run.ok:
        return called.finding(expected=expected)
    if shown.registered:
        message = f"{shown.file} registers a model and shows no other run, so it is not a query"
    elif shown.mentions.guesses > MAX_GUESSES:
        message = f"the query shows values of {scenario.metric} that no run has"
    elif shown.mentions.runs:
        message = "the query shows none of the right runs"
    elif not shown.contacted:
        message = "the query never sends a request to the tracking server"
    else:
        message = "the query neither prints nor returns any of the right runs"
    return Finding(
        message=message,
        expected=expected,
        actual=_listed(shown.mentions.runs, scenario) if shown.mentions.runs else "",
        where=called.shown,
        detail=called.run.tail(15),
    )


def judge_experiment(shown: Shown, runs: Sequence[RunInfo], scenario: Query) -> Finding | None:
    """None of another experiment."""
    foreign = [run for run in runs if run.experiment != scenario.experiment]
    if not foreign:
        return None
    return Finding(
        message="the answer includes runs of other experiments",
        expected=f"only runs of {scenario.experiment}",
        actual=", ".join(f"{run.name} of {run.experiment}" for run in foreign[:8]),
        where=shown.called.shown,
        detail=shown.called.run.tail(15),
    )


def judge_filter(shown: Shown, runs: Sequence[RunInfo], scenario: Query) -> Finding | None:
    """None at the limit or under it."""
    low = [run for run in runs if not _above(run, scenario)]
    if not low:
        return None
    return Finding(
        message=f"the answer includes runs with {scenario.metric} {scenario.above:g} or less",
        expected=f"{scenario.metric} > {scenario.above:g}",
        actual=_listed(low, scenario),
        where=shown.called.shown,
        detail=shown.called.run.tail(15),
    )


def judge_few(shown: Shown, scenario: Query) -> Finding | None:
    """The same where fewer qualify than are wanted."""
    if shown.mentions.runs:
        return judge_filter(shown, shown.mentions.runs, scenario)
    right = len(right_runs(shown, scenario))
    message = f"when only {right} runs qualify, the query shows none"
    return shown.called.finding(message, expected=f"the {right} runs that qualify")


def judge_order(shown: Shown, runs: Sequence[RunInfo], scenario: Query) -> Finding | None:
    """The best of what is shown comes first, and the best of all before the others of its experiment."""
    values = [run.metrics.get(scenario.metric, 0) for run in runs]
    own = [run.id for run in runs if _belongs(run, scenario)]
    if values[0] == max(values) and own[:1] == [right_runs(shown, scenario)[0].id]:
        return None
    return Finding(
        message="the best run does not come first",
        expected=f"the highest {scenario.metric} first: {_listed(right_runs(shown, scenario), scenario)}",
        actual=_listed(runs, scenario),
        where=shown.called.shown,
    )


def judge_top(shown: Shown, runs: Sequence[RunInfo], scenario: Query) -> Finding | None:
    """The right ones, all of them and no others, in whatever order."""
    right = right_runs(shown, scenario)
    if {run.id for run in runs} == {run.id for run in right}:
        return None
    return Finding(
        message=f"the answer is not the best {scenario.count} runs",
        expected=_listed(right, scenario),
        actual=_listed(runs, scenario),
        where=shown.called.shown,
    )


def _listed(runs: Sequence[RunInfo], scenario: Query) -> str:
    metric = scenario.metric
    shown = [f"{run.name} ({metric} {run.metrics.get(metric, 0):.4g})" for run in runs[:8]]
    return ", ".join(shown) + (f" and {len(runs) - 8} more" if len(runs) > 8 else "")


CHECKS = (experiment, filtered, ordered, top)
