"""`grader batch`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from grader import __version__
from grader.checks import ALL
from grader.cohort.batch import Batch
from grader.cohort.canaries import canaries_of
from grader.cohort.executor.local import Pool, slots_of_machine
from grader.cohort.executor.messages import Hello
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.store import now
from grader.cohort.plan import plan
from grader.cohort.progress import BatchProgress
from grader.cohort.regrade.deltas import deltas
from grader.cohort.regrade.fingerprints import fingerprints
from grader.cohort.regrade.report import MAX_CANDIDATES, told
from grader.cohort.regrade.reuse import Regrade
from grader.cohort.sources.deadlines import LATEST, POLICIES, select
from grader.cohort.sources.discover import discover
from grader.commands.gradebook_decisions import login
from grader.error_handler import INCOMPLETE, INTERRUPTED, PASSED, discard_output, interrupt
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.console import console
from grader.report.safe import counted, few, one_line
from grader.runtime.temporary import scratch_directory
from grader.session import STATIC
from grader.tools import KNOWN, Tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import FrameType

    from grader.cohort.executor.cluster import ClusterPool
    from grader.cohort.executor.messages import Seen
    from grader.cohort.gradebook import Gradebook
    from grader.cohort.plan import Plan
    from grader.cohort.sources.model import Cohort, Found, Person
    from grader.exam.model import Exam
    from grader.session import Options

CANARY_SANG = 4
MAX_LISTED = 20
MAX_NAMED = 5


def batch_command(
    source: Path,
    options: Options,
    *,
    gradebook: Path,
    jobs: int = 0,
    mapping: str = "",
    deadline: str = "",
    only: str = "",
    dry_run: bool = False,
    canaries: bool = True,
    which: str = "",
    again: bool = False,
    quiet: bool = False,
    on: str = "",
    keys: Path | None = None,
    mixed: bool = False,
) -> int:
    """Grade what is not graded yet, and say by the exit code how it went."""
    exam = load_exam(options.exam or RUBRICS, ALL)
    address = _address(on) if on else ""
    latest = _moment(deadline) if deadline else None
    slots = slots_of_machine(jobs)
    names: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        # Before the source is read: what is unpacked beside the gradebook is for its only writer to change.
        book = stack.enter_context(_opened(gradebook))
        cohort = discover(
            source,
            starter=exam.answers,
            aside=gradebook.with_name(f"{gradebook.name}.files"),
            mapping=mapping,
            deadline=latest,
            revision="" if which in POLICIES else which,
        )
        _announce_source(source, cohort)
        scratch = stack.enter_context(scratch_directory())
        # Submissions are read here in any case: a cluster's machines get them from this one.
        reading = replace(options, isolation=STATIC) if address else options
        pool = stack.enter_context(Pool(_hello(reading, slots, scratch), slots))
        progress = stack.enter_context(BatchProgress(names, quiet=quiet))
        batch = Batch(book, pool, _user(), watch=progress.watch)
        since = now()
        cohort = _matching(cohort, only)
        cohort = _counting(cohort, which or _kept_choice(book, cohort))
        with _interruptible(batch, progress):
            seen = batch.look(found.source for found in cohort.found if not found.unreadable)
            if batch.stopping:
                return _stopped_early(progress)
            names.update(_names(cohort, seen))
            prints = fingerprints(exam)
            regrade = Regrade(
                book,
                exam,
                prints,
                again=again,
                runs=options.isolation != STATIC,
                tools=lambda: _tools(options),
            )
            batch.request, batch.complete = regrade.request, regrade.complete
            todo = plan(
                book,
                cohort,
                seen,
                exam=prints.exam,
                grader=prints.grader,
                options={"seed": options.seed, "isolation": options.isolation},
                which=which,
                who=batch.who,
                settle=regrade.settle,
                keep=not dry_run,
            )
            for remark in book.remarks:
                progress.say(one_line(remark))
            progress.say(_announced(todo))
            for line in regrade.announced():
                progress.say(f"  {line}")
            for found, reason in todo.unreadable[:MAX_LISTED]:
                progress.say(f"  {_whose(found)} cannot be read: {one_line(reason)}")
            if len(todo.unreadable) > MAX_LISTED:
                progress.say(f"  and {len(todo.unreadable) - MAX_LISTED} more cannot be read")
            if dry_run:
                return PASSED
            batch.canaries = canaries_of(exam, scratch) if canaries else ()
            if address:
                pool.end_agents()
                batch.pool = cluster = stack.enter_context(
                    _cluster(address, options, exam, keys, mixed=mixed)
                )
            with book.transaction():
                book.record(
                    "batch",
                    who=batch.who,
                    source=str(source),
                    kind=cohort.kind,
                    jobs=len(todo.jobs),
                    since=since,
                    facts=batch.pool.facts,
                )
            began = time.monotonic()
            batch.grade(todo.jobs)
            wall = time.monotonic() - began
            if address:
                slots = max(1, len(cluster.agents))
                with book.transaction():
                    book.record("cluster", who=batch.who, workers=cluster.facts, refused=cluster.refused)
                for line in cluster.refused[:MAX_LISTED]:
                    progress.say(f"  a worker was of no use: {line}")
        code = _report(batch, todo, wall, slots)
        if code != CANARY_SANG:
            for line in told(deltas(book, since), Names(book), longest=MAX_CANDIDATES):
                _print(line)
        return code


def _address(on: str) -> str:
    from grader.cohort.executor.dask import address_of

    return address_of(on)


@contextlib.contextmanager
def _cluster(
    address: str, options: Options, exam: Exam, keys: Path | None, *, mixed: bool
) -> Iterator[ClusterPool]:
    """The slots of a cluster."""
    from grader.cohort.executor.cluster import ClusterPool
    from grader.cohort.executor.dask import DaskCluster

    hello = replace(_hello(options, 1), slots=1)  # a worker's threads are its slots
    here = {"grader": __version__, "exam": exam.digest, "isolation": options.isolation}
    with DaskCluster(address, keys) as cluster, ClusterPool(cluster, hello, here, mixed=mixed) as pool:
        yield pool


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Gradebook]:
    """A gradebook to write to. One that was made only now is removed where the source is of no use."""
    existed = os.path.lexists(path)
    with open_gradebook(path, write=True, create=True) as book:
        try:
            yield book
        except UsageError:
            if not existed and not book.rows("SELECT 1 FROM candidate LIMIT 1"):
                book.remove()
            raise


def _user() -> str:
    """Who is said to have graded: also where a container gave its user no name."""
    try:
        return login()
    except UsageError:
        return f"user {os.getuid()}"


def _print(line: object) -> None:
    """A line on standard output, whose reader may have gone, as `head` does: the marks are wanted still."""
    try:
        console(sys.stdout).print(line, markup=False)
    except BrokenPipeError:
        discard_output()


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--deadline {text}: write it like 2026-02-01T18:00+01:00") from None


def _matching(cohort: Cohort, only: str) -> Cohort:
    """The cohort without candidates whom `--only` does not mean: a part of the key, name or e-mail, or with
    wildcards the whole of it."""
    if not only:
        return cohort

    def is_meant(person: Person) -> bool:
        words = (person.key, person.name, person.email)
        part = only.casefold()
        return any(part in word.casefold() or fnmatch(word.casefold(), part) for word in words)

    found = tuple(each for each in cohort.found if any(map(is_meant, each.people)))
    if not found:
        raise UsageError(f"--only {only}: no candidate is named like that")
    return replace(cohort, found=found, missing=tuple(filter(is_meant, cohort.missing)))


def _kept_choice(book: Gradebook, cohort: Cohort) -> str:
    """What an earlier `--which` said."""
    tag = book.setting("tag")
    if tag and any(found.tag == tag for found in cohort.found):
        return tag
    return book.setting("which", LATEST)


def _counting(cohort: Cohort, which: str) -> Cohort:
    """The cohort without submissions that another one of the same candidate makes unnecessary."""
    chosen = select(cohort.found, which).found
    left = len(cohort.found) - len(chosen)
    if not left:
        return cohort
    _print(f"  {counted(left, 'submission is', 'submissions are')} left out, because others count ({which})")
    return replace(cohort, found=chosen)


def _stopped_early(progress: BatchProgress) -> int:
    """What nobody looked at is not missing: of half a cohort nothing is planned."""
    progress.say("stopped while it read submissions: nothing was graded")
    return INTERRUPTED


def _tools(options: Options) -> set[str]:
    tools = Tools(options.without)
    return {name for name in KNOWN if not tools.lacks(name)}


def _hello(options: Options, slots: int, scratch: Path | None = None) -> Hello:
    neighbours = ""
    if scratch is not None:
        (scratch / "neighbours").mkdir()
        neighbours = str(scratch / "neighbours")
    return Hello(
        exam=str(options.exam.resolve()) if options.exam else "",
        seed=options.seed,
        isolation=options.isolation,
        slots=max(1, (os.cpu_count() or 1) // slots),
        neighbours=neighbours,
    )


def _announce_source(source: Path, cohort: Cohort) -> None:
    people = {person.key for found in cohort.found for person in found.people}
    told = [counted(len(cohort.found), "submission", "submissions"), "of"]
    told += [counted(len(people), "candidate", "candidates")]
    _print(f"{source}: {cohort.kind}, {' '.join(told)}")
    for remark in cohort.remarks:
        _print(f"  {one_line(remark)}")


def _names(cohort: Cohort, seen: Mapping[str, Seen]) -> dict[str, str]:
    return {seen[found.source].digest: _whose(found) for found in cohort.found if found.source in seen}


def _whose(found: Found) -> str:
    return one_line(" and ".join(person.name or person.key for person in found.people), longest=60)


def _announced(todo: Plan) -> str:
    told = [f"{len(todo.jobs)} to grade", f"{todo.known} graded already"]
    told += [f"{todo.same} equal to another's"] if todo.same else []
    told += [f"{len(todo.unreadable)} unreadable"] if todo.unreadable else []
    return ", ".join(told)


@contextlib.contextmanager
def _interruptible(batch: Batch, progress: BatchProgress) -> Iterator[None]:
    """Ctrl-C once: finish what runs; twice, or a signal to end: stop now."""

    def stop(number: int, frame: FrameType | None) -> None:
        if batch.stopping:
            interrupt(number, frame)
        batch.stopping = True
        batch.interrupted = True
        progress.say("finishing what runs; Ctrl-C again stops now, and nothing is lost either way")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _report(batch: Batch, todo: Plan, wall: float, slots: int) -> int:
    """What came of it, on standard output, and the exit code."""
    tally = batch.tally
    _print(f"{tally.done + tally.open} graded, {todo.known} before")
    if wall > 0 and tally.total:
        share = min(1.0, tally.busy / (slots * wall))
        _print(f"  {wall:.0f} s, {counted(slots, 'slot', 'slots')} busy {share:.0%} of the time")
    left = _open(batch.book, todo)
    for line in left[:MAX_LISTED]:
        _print(f"  {line}")
    if len(left) > MAX_LISTED:
        _print(f"  and {len(left) - MAX_LISTED} more")
    if tally.singing:
        _print(
            f"a canary was graded wrongly, {tally.singing}: this machine's results since the last right one"
            f" are void ({tally.voided}) and queued again. If the exam was changed, look there first:"
            f" `grader verify` grades its reference solution"
        )
        return CANARY_SANG
    if batch.interrupted and tally.left:
        return INTERRUPTED
    return INCOMPLETE if left or todo.unreadable else PASSED


def _open(book: Gradebook, todo: Plan) -> list[str]:
    """What is not decided, by candidate: criteria, and submissions that were given up."""
    names = Names(book)
    called = names.apart(names.candidates)
    people: dict[int, list[str]] = {}
    for row in book.rows(
        "SELECT DISTINCT job.id AS job, submission.candidate AS candidate FROM job JOIN submission ON"
        " submission.digest = job.submission"
    ):
        people.setdefault(row["job"], []).append(called[row["candidate"]])
    whose = {job: few(sorted(several), MAX_NAMED) for job, several in people.items()}
    told = [
        f"{whose.get(row['id'], '')}: given up: {one_line(row['reason'])}"
        for row in book.rows("SELECT id, reason FROM job WHERE state = 'died'")
        if row["id"] in todo.ids
    ]
    told += [
        f"{whose.get(row['job'], '')}: {few(row['criteria'].split(', '), MAX_NAMED)} undecided"
        for row in book.rows(
            "SELECT result.job AS job, group_concat(criterion.criterion, ', ') AS criteria FROM result"
            " JOIN criterion ON criterion.result = result.id"
            " WHERE result.void = '' AND criterion.status IN ('unverified', 'error') GROUP BY result.id"
        )
        if row["job"] in todo.ids
    ]
    return told
