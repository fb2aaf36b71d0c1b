"""`grader gradebook stats` and `similar`: what a cohort's marks and works say together."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from grader.checks import ALL
from grader.cohort import similarity, statistics
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.similarity import Work
from grader.cohort.similarity.comparison import THRESHOLD
from grader.cohort.sources.classrooms import SYSTEM
from grader.cohort.sources.discover import discover
from grader.cohort.statistics.sheets import exam_of, messages_of, sheets_of
from grader.commands.gradebook_decisions import login
from grader.error_handler import PASSED
from grader.errors import GraderFault, UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.starter import write_starter
from grader.report.console import console
from grader.report.safe import counted, one_line
from grader.runtime.temporary import scratch_directory
from grader.submission.collect import collect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam

Form = Literal["text", "json"]
MAX_LISTED = 20


# --- statistics -------------------------------------------------------------------------------------


def stats_command(path: Path, *, seed: int = 0, anonymous: bool = False, form: Form = "text") -> int:
    """Print what the marks say of the exam.

    Raises:
        UsageError: nobody is graded yet.
    """
    with open_gradebook(path) as book:
        names = Names(book, anonymous=anonymous)
        with book.snapshot():
            sheets = sheets_of(book, names)
            if not sheets:
                raise UsageError(f"nobody in {path} has a mark yet: `grader batch` grades")
            pass_mark, bonus, titles = exam_of(book)
        found = statistics.compute(sheets, pass_mark=pass_mark, bonus=bonus, seed=seed)
        messages = messages_of(book, {each for item in found.criteria for each, _ in item.findings[:1]})
    told = {name: names.text(text) for name, text in messages.items()}
    statistics.write(found, sys.stdout, form, titles=titles, messages=told)
    return PASSED


# --- similarity -------------------------------------------------------------------------------------


def similar_command(
    path: Path,
    *,
    exam: Path | None = None,
    against: Sequence[Path] = (),
    tree: Path | None = None,
    threshold: float = THRESHOLD,
    anonymous: bool = False,
    keep: bool = False,
    form: Form = "text",
) -> int:
    """Print the pairs of submissions that somebody should look at.

    Args:
        keep: also keep them in the gradebook, where `grader serve` shows them side by side.
        against: sources of earlier cohorts, as `grader batch` takes them.
        tree: also lay the submissions out for other programs.

    Raises:
        UsageError: no submission is where it was when it was found.
    """
    loaded = load_exam(exam or RUBRICS, ALL)
    with scratch_directory() as scratch:
        subtract = _subtracted(loaded, scratch)
        with open_gradebook(path) as book:
            found = _people(book, Names(book, anonymous=anonymous))
        works, missing = _collected(found, loaded, scratch / "now")
        for number, source in enumerate(against):
            earlier, gone = _earlier(source, loaded, scratch, number)
            works += earlier
            missing += gone
        for line in missing[:MAX_LISTED]:
            console(sys.stderr).print(f"not compared: {line}", markup=False)
        if len(missing) > MAX_LISTED:
            console(sys.stderr).print(f"not compared: {len(missing) - MAX_LISTED} more", markup=False)
        if not any(not work.earlier for work in works):
            raise UsageError(f"no submission of {path} is where it was found: nothing can be compared")
        if tree is not None:
            count = similarity.export_tree(works, tree, subtract=subtract)
            console(sys.stderr).print(f"{counted(count, 'file', 'files')} written to {tree}", markup=False)
        found_pairs = similarity.compute(works, subtract=subtract, threshold=threshold)
        if keep:
            with open_gradebook(path, write=True, beside=True) as book, book.transaction():
                similarity.keep(book, found_pairs, works, _whose(found, works), who=login())
        similarity.write(found_pairs, sys.stdout, form)
    return PASSED


def _subtracted(exam: Exam, scratch: Path) -> list[Path]:
    """What everybody was given, and the reference solution."""
    starter = scratch / "starter"
    write_starter(exam, starter)
    return [starter, *exam.data.values(), *([exam.reference] if exam.reference else [])]


def _whose(handed: Sequence[_Handed], works: Sequence[Work]) -> dict[str, list[int]]:
    """Name of a work -> its candidates, of those that could be collected."""
    by_names = {" and ".join(sorted(each.names)): each.candidates for each in handed}
    return {work.name: by_names[work.name] for work in works if not work.earlier and work.name in by_names}


class _Handed:
    """One work of one or several people."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.names: list[str] = []
        self.candidates: list[int] = []
        self.emails: list[str] = []
        self.logins: list[str] = []

    def work(self, folder: Path, taken: set[str], *, earlier: bool = False) -> Work:
        """With a name that nobody else has."""
        name = plain = " and ".join(sorted(self.names))
        number = 2
        while name in taken:
            name, number = f"{plain} {number}", number + 1
        taken.add(name)
        return Work(
            name=name,
            folder=folder,
            emails=tuple(self.emails),
            logins=tuple(self.logins),
            earlier=earlier,
        )


def _people(book: Gradebook, names: Names) -> list[_Handed]:
    """The newest readable submission of everybody, once for those who handed it in together."""
    handed: dict[str, _Handed] = {}
    with book.snapshot():
        newest = book.rows(
            "SELECT candidate, source FROM (SELECT submission.candidate, submission.source, row_number() OVER"
            " (PARTITION BY submission.candidate ORDER BY chosen.submission IS NOT NULL DESC,"
            " coalesce(submitted_at, found_at) DESC, submission.id DESC) AS place FROM submission"
            " LEFT JOIN chosen ON chosen.submission = submission.id WHERE unreadable = '')"
            " WHERE place = 1 ORDER BY candidate"
        )
        emails = {row["id"]: row["email"] for row in book.rows("SELECT id, email FROM candidate")}
        logins: dict[int, list[str]] = {}
        for known in book.rows("SELECT candidate, value FROM identity WHERE system = ?", SYSTEM):
            logins.setdefault(known["candidate"], []).append(known["value"])
    for row in newest:
        each = handed.setdefault(row["source"], _Handed(row["source"]))
        each.names.append(names.full(row["candidate"]))
        each.candidates.append(row["candidate"])
        each.emails += [address for address in (emails[row["candidate"]],) if address]
        each.logins += logins.get(row["candidate"], ())
    return list(handed.values())


def _earlier(source: Path, exam: Exam, scratch: Path, number: int) -> tuple[list[Work], list[str]]:
    cohort = discover(source, starter=exam.answers, aside=scratch / f"aside-{number}")
    handed = []
    for found in cohort.found:
        if not found.unreadable:
            each = _Handed(found.source)
            each.names = [f"{one_line(source.name)}: {one_line(own.name or own.key)}" for own in found.people]
            handed.append(each)
    return _collected(handed, exam, scratch / f"earlier-{number}", earlier=True)


def _collected(
    handed: Sequence[_Handed], exam: Exam, into: Path, *, earlier: bool = False
) -> tuple[list[Work], list[str]]:
    """A private copy of each, and a line for each that is not where it was."""
    works: list[Work] = []
    missing = []
    taken: set[str] = set()
    for number, each in enumerate(handed):
        folder = into / str(number)
        try:
            collect(each.source, exam=exam, into=folder)
        except (UsageError, GraderFault) as error:
            missing.append(f"{' and '.join(each.names)}: {one_line(str(error))}")
            continue
        works.append(each.work(folder, taken, earlier=earlier))
    return works, missing
