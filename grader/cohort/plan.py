"""What a batch has to do: which submissions there are, and which of them are graded already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.cohort.gradebook.people import record_person, record_submission
from grader.cohort.gradebook.queue import Key, enqueue, reclaim, waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.cohort.executor.messages import Seen
    from grader.cohort.gradebook.queue import Job
    from grader.cohort.gradebook.store import Gradebook
    from grader.cohort.sources.model import Cohort, Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be graded, and what is not."""

    jobs: tuple[Job, ...]
    """To be graded."""
    known: int
    """Submissions whose result is there already."""
    same: int
    """Submissions with the contents of another one: one grade serves both."""
    unreadable: tuple[tuple[Found, str], ...]
    """Submissions that nobody can grade, and why."""
    ids: frozenset[int] = field(default_factory=frozenset)
    """All jobs of the cohort, done or not."""


def plan(
    book: Gradebook,
    cohort: Cohort,
    seen: Mapping[str, Seen],
    *,
    exam: str,
    grader: str,
    options: Mapping[str, object],
    which: Sequence[str] = (),
) -> Plan:
    """Record what was found and queue what is not graded yet.

    Args:
        seen: source -> what became of looking at it.
        exam: the exam's digest.
        grader: the grader's version.
    """
    del which
    unreadable: list[tuple[Found, str]] = []
    jobs: dict[str, int] = {}
    same = 0
    with book.transaction():
        reclaim(book)
        for person in cohort.missing:
            record_person(book, person)
        for found in cohort.found:
            look = seen.get(found.source)
            reason = found.unreadable or (look.unreadable if look else "")
            digest = look.digest if look and not reason else ""
            if not digest and not reason:
                continue  # it was interrupted: the next batch looks again
            record_submission(book, found, digest, reason)
            if reason:
                unreadable.append((found, reason))
                continue
            key = Key(submission=digest, exam=exam, grader=grader, options=options)
            if digest in jobs:
                same += 1
            else:
                jobs[digest] = enqueue(book, key, found.source)
    ids = frozenset(jobs.values())
    todo = tuple(waiting(book, set(ids)))
    return Plan(
        jobs=todo,
        known=len(ids) - len(todo),
        same=same,
        unreadable=tuple(unreadable),
        ids=ids,
    )
