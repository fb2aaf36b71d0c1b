"""What a batch has to do: which submissions there are, and which of them are graded already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.cohort.gradebook.people import record_person, record_submission
from grader.cohort.gradebook.queue import Key, enqueue, reclaim, waiting
from grader.cohort.sources.deadlines import LATEST, POLICIES
from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    which: str = "",
    who: str = "",
    settle: Callable[[Iterable[int]], None] = lambda _: None,
    keep: bool = True,
) -> Plan:
    """Record what was found and queue what is not graded yet.

    Args:
        seen: source -> what became of looking at it.
        exam: the exam's digest.
        grader: the grader's version.
        which: which submission of a candidate counts from now on, see `choose`; empty: as before.
        settle: finds out which jobs earlier results answer.
        keep: else the gradebook stays as it is.

    Raises:
        UsageError: no submission has the tag that is to count.
    """
    unreadable: list[tuple[Found, str]] = []
    jobs: dict[str, int] = {}
    same = 0
    with book.transaction(keep=keep):
        reclaim(book)
        for person in cohort.missing:
            record_person(book, person)
        for found in cohort.found:
            look = seen.get(found.source)
            reason = found.unreadable or (look.unreadable if look else "")
            digest = look.digest if look and not reason else ""
            if not digest and not reason:
                continue  # it was interrupted: the next batch looks again
            retry = found.retry if found.unreadable else look is not None and look.retry
            record_submission(book, found, digest, reason, retry=retry)
            if reason:
                unreadable.append((found, reason))
                continue
            key = Key(submission=digest, exam=exam, grader=grader, options=options)
            if digest in jobs:
                same += 1
            else:
                jobs[digest] = enqueue(book, key, found.source)
        if which:
            choose(book, which, who)
        ids = frozenset(jobs.values())
        settle(sorted(ids))
        todo = tuple(waiting(book, set(ids)))
    return Plan(
        jobs=todo,
        known=len(ids) - len(todo),
        same=same,
        unreadable=tuple(unreadable),
        ids=ids,
    )


def choose(book: Gradebook, which: str, who: str) -> None:
    """Say which submission of a candidate counts, within a transaction.

    Args:
        which: `latest` in time, `best`, or a tag: who has no submission of that tag keeps the policy.

    Raises:
        UsageError: no submission has the tag.
    """
    if which in POLICIES:
        policy, tag = which, ""
    else:
        policy, tag = book.setting("which", LATEST), which
        known = [row["tag"] for row in book.rows("SELECT DISTINCT tag FROM submission ORDER BY tag")]
        if tag not in known:
            named = ", ".join(each for each in known if each) or "no submission has one"
            policies = " nor ".join(POLICIES)
            raise UsageError(f"--which {tag}: neither {policies}, nor a submission's tag ({named})")
    before = {"which": book.setting("which", LATEST), "tag": book.setting("tag")}
    if before != {"which": policy, "tag": tag}:
        book.set("which", policy)
        if tag:
            book.set("tag", tag)
        else:  # an empty one would be that of every submission without
            book.database.execute("DELETE FROM setting WHERE name = 'tag'")
        book.record("which", who=who, before=before, policy=policy, tag=tag)
