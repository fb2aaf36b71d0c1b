"""`grader gradebook import`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grader.cohort.exports.overrides import decide, read_overrides
from grader.cohort.exports.people import apply, merge, read_people
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names
from grader.cohort.points import shown
from grader.commands.gradebook_decisions import login
from grader.commands.lines import MAX_LISTED, named, say
from grader.error_handler import INCOMPLETE, PASSED
from grader.report.safe import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from grader.cohort.exports.overrides import Decided
    from grader.cohort.sources.model import Person


def roster_command(file: Path, *, gradebook: Path, author: str, dry_run: bool, anonymous: bool) -> int:
    """Read in a roster; exit with 3 if somebody in either is not somebody in the other."""
    people = read_people(file)
    with open_gradebook(gradebook, write=not dry_run) as book:
        names = Names(book, anonymous=anonymous)
        found = merge(book, people)
        if not dry_run:
            with book.transaction():
                apply(book, found, who=author or login(), source=file.name)
    met = len(found.known) + len(found.by_name)
    lines = [
        f"{file}: {counted(len(people), 'person', 'people')}, {met} of them in the gradebook",
        *named(
            "known by the name alone",
            [f"{_who(person)} is {names.key(each)}" for person, each in found.by_name],
        ),
        *named("new", list(map(_who, found.new))),
    ]
    open_ends = [
        *named("unclear, and left out", list(map(_who, found.unclear))),
        *named("in the gradebook, not in the roster", [names.full(each) for each in found.left]),
    ]
    _say([*lines, *open_ends], dry_run=dry_run)
    return INCOMPLETE if open_ends else PASSED


def overrides_command(file: Path, *, gradebook: Path, author: str, dry_run: bool, anonymous: bool) -> int:
    """Make the overrides of a table, all or none."""
    lines = read_overrides(file)
    with open_gradebook(gradebook, write=True) as book:
        names = Names(book, anonymous=anonymous)
        with book.transaction(keep=not dry_run):
            decided = decide(book, lines, author=author or login())
    made = [each for each in decided if not each.same]
    told = [_decided(each, names) for each in made[:MAX_LISTED]]
    if len(made) > MAX_LISTED:
        told.append(f"  and {len(made) - MAX_LISTED} more")
    head = f"{file}: {counted(len(made), 'override', 'overrides')}"
    _say([f"{head}, {len(decided) - len(made)} made before", *told], dry_run=dry_run)
    return PASSED


def _decided(each: Decided, names: Names) -> str:
    what = each.target
    before, now, possible = map(shown, (what.points, each.points, what.possible))
    return f"  {what.criterion or what.task} of {names.of(what.candidate)}: {before} -> {now} of {possible}"


def _who(person: Person) -> str:
    name, key = one_line(person.name, longest=60), one_line(person.key, longest=60)
    return f"{name} ({key})" if name and name != key else key


def _say(lines: Sequence[str], *, dry_run: bool) -> None:
    say([*lines, *(["nothing was changed"] if dry_run else [])], sys.stdout)
