"""`grader score --watch`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.text import Text

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.console import Colour, console
from grader.report.formats import FORMATS, Settings
from grader.report.previous import changes, signed
from grader.report.progress import Progress
from grader.report.safe import few, one_line, points
from grader.report.text import CHANGE_STYLES
from grader.session import Options, merged, score_submission, select, shared_runtime_for
from grader.submission.copy_tree import in_junk
from grader.submission.manifest import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grader.exam.model import Exam
    from grader.results import Grade
    from grader.timeline import Timeline

MAX_NAMES = 3
"""Files and criteria that one line names."""
SETTLE_MS = 150
"""Milliseconds without a further save after which a burst of them is over."""
WAKE_MS = 200


def watch_command(source: str, options: Options, *, quiet: bool, verbose: bool, colour: Colour) -> None:
    """Grade, and grade again what a saved file can change, until interrupted.

    Raises:
        UsageError: the source is no folder, or an option is unusable.
    """
    folder = Path(source)
    if not folder.is_dir():
        raise UsageError(f"--watch needs a folder to look at, and {source} is none")
    exam = load_exam(options.exam or RUBRICS, ALL)
    selection = select(exam, options.tasks, options.sections)
    with shared_runtime_for(exam, selection.graded, options) as shared:

        def graded(chosen: Options) -> Grade:
            with Progress(quiet=quiet) as progress:
                timeline: Timeline = progress.timeline
                return score_submission(
                    source, chosen, progress.observe, exam=exam, shared=shared, timeline=timeline
                )

        out = console(sys.stdout, colour)
        bursts = saves(folder)
        next(bursts)  # what is saved while the first grade is made counts too
        grade = graded(options)
        FORMATS["text"].write(grade, sys.stdout, Settings(verbose=verbose, colour=colour))
        out.print(Text(f"watching {one_line(source)}; Ctrl-C ends", style="dim"))
        for saved in bursts:
            wanted = selection.criteria & changeable(saved, exam)
            if not wanted:
                continue
            before = grade
            try:
                again = graded(replace(options, tasks=tuple(sorted(wanted)), sections=()))
            except UsageError as error:  # half a save: the next one is looked at again
                out.print(Text(f"not graded: {one_line(str(error))}", style="yellow"))
                continue
            grade = merged(before, again)
            out.print(line(saved, before, grade, [task.id for task in again.tasks]))


def saves(folder: Path) -> Iterator[tuple[str, ...]]:
    """Nothing as soon as the folder is watched, then the paths of what was saved or removed, burst by burst.

    Without what tools and editors leave or make for a moment.
    """
    from watchfiles import Change, DefaultFilter, watch

    bursts = watch(
        folder,
        debounce=10 * SETTLE_MS,
        step=SETTLE_MS,
        raise_interrupt=True,
        rust_timeout=WAKE_MS,
        yield_on_timeout=True,
        watch_filter=DefaultFilter(),
    )
    for number, burst in enumerate(bursts):
        if number == 0:
            yield ()
        made = {path for change, path in burst if change is Change.added}
        paths = {
            PurePosixPath(path).relative_to(folder.absolute())
            for _, path in burst
            if path not in made or Path(path).exists()
        }
        if kept := sorted(str(path) for path in paths if not in_junk(path)):
            yield tuple(kept)


def changeable(saved: Iterable[str], exam: Exam) -> frozenset[str]:
    """Criteria whose marks these files can change: all, where no task alone is known to read one of them."""
    every = frozenset(row.id for task in exam.tasks for row in task.criteria)
    found: set[str] = set()
    for path in saved:
        tasks = [task for task in exam.tasks if task.concerns(path)]
        if not tasks or path in {*NAMES, exam.environment.lock}:
            return every
        found |= {row.id for task in tasks for row in task.criteria}
    return frozenset(found)


def line(saved: tuple[str, ...], before: Grade, now: Grade, tasks: list[str]) -> Text:
    """`k8s/deployment.yaml: 4.2 graded again, 109 / 110 (-1)  4.2.replicas lost`."""
    found = changes(before, now)
    delta = now.score.earned - before.score.earned
    text = Text(f"{few(list(map(one_line, saved)), MAX_NAMES)}: ", style="dim")
    again = "all" if len(tasks) == len(now.tasks) else ", ".join(tasks)
    text.append(f"{again} graded again, ")
    text.append(f"{points(now.score.earned)} / {points(now.score.possible)} ({signed(delta)})", style="bold")
    for change in found[:MAX_NAMES]:
        text.append(
            f"  {change.row.id} {change.row.status.value}", style=CHANGE_STYLES.get(change.direction, "")
        )
    if len(found) > MAX_NAMES:
        text.append(f"  and {len(found) - MAX_NAMES} more")
    return text
