"""The jobs: what is to be graded, who has it at the moment, and how often that went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.store import written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.cohort.gradebook.store import Gradebook

MAX_DEATHS = 3
"""Workers that a job may take along before it is given up; it is alone on the machine from the second on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What names a result."""

    submission: str
    """A digest, as the next one."""
    exam: str
    grader: str
    options: Mapping[str, Any]

    @property
    def words(self) -> tuple[str, str, str, str]:
        """The key as the gradebook keeps it."""
        return self.submission, self.exam, self.grader, json.dumps(dict(self.options), sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One submission to be graded."""

    id: int
    submission: str
    source: str
    deaths: int
    expected: float
    """Seconds that it took last time; 0 where it was never graded."""

    @property
    def alone(self) -> bool:
        """Whether nothing else may be graded beside it."""
        return self.deaths >= MAX_DEATHS - 1


def enqueue(book: Gradebook, key: Key, source: str) -> int:
    """The job of a key, new or known, within a transaction; what was given up waits again."""
    job = book.database.execute(
        "INSERT INTO job (submission, exam, grader, options, source) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (submission, exam, grader, options) DO UPDATE SET source = excluded.source"
        " RETURNING id",
        (*key.words, source),
    ).fetchone()[0]
    book.database.execute(
        "UPDATE job SET state = 'waiting', deaths = 0, reason = '' WHERE id = ? AND state = 'died'", (job,)
    )
    return int(job)


def waiting(book: Gradebook, jobs: set[int]) -> list[Job]:
    """Those of the jobs that wait, the longest expected first, those to be graded alone last."""
    found = [
        Job(
            id=row["id"],
            submission=row["submission"],
            source=row["source"],
            deaths=row["deaths"],
            expected=row["expected"] or 0.0,
        )
        for row in book.rows(
            "SELECT job.*, (SELECT max(seconds) FROM result JOIN job AS other ON other.id = result.job"
            " WHERE other.submission = job.submission) AS expected FROM job WHERE state = 'waiting'"
        )
        if row["id"] in jobs
    ]
    return sorted(found, key=lambda job: (job.alone, -job.expected, job.id))


def lease(book: Gradebook, job: int, worker: str, seconds: float) -> int:
    """Hand a job to a worker, within a transaction; the number of the attempt."""
    until = written(datetime.now(UTC) + timedelta(seconds=seconds))
    return int(
        book.database.execute(
            "UPDATE job SET state = 'leased', attempt = attempt + 1, worker = ?, lease_until = ? WHERE id = ?"
            " RETURNING attempt",
            (worker, until, job),
        ).fetchone()[0]
    )


def give_back(book: Gradebook, job: int, reason: str, *, death: bool = False) -> str:
    """An attempt ended without a result, within a transaction.

    Args:
        death: it took its worker along, or failed by a fault of ours.

    Returns:
        The job's state: `waiting`, or `died` after too many.
    """
    return str(
        book.database.execute(
            "UPDATE job SET deaths = deaths + :death, reason = :reason, lease_until = NULL,"
            " state = CASE WHEN deaths + :death >= :most THEN 'died' ELSE 'waiting' END"
            " WHERE id = :job AND state = 'leased' RETURNING state",
            {"death": int(death), "reason": reason, "most": MAX_DEATHS, "job": job},
        ).fetchone()[0]
    )


def reclaim(book: Gradebook) -> int:
    """Queue again what another dispatcher had when it ended, within a transaction; how many these are.

    Who holds the lock of the gradebook is the only dispatcher: any lease is from one that ended.
    """
    return book.database.execute(
        "UPDATE job SET state = 'waiting', lease_until = NULL, worker = '' WHERE state = 'leased'"
    ).rowcount


def make_void(book: Gradebook, result: int, reason: str, *, who: str) -> None:
    """Let a result count no more and queue its job again, within a transaction."""
    book.database.execute("UPDATE result SET void = ? WHERE id = ?", (reason, result))
    book.database.execute(
        "UPDATE job SET state = 'waiting', deaths = 0 WHERE id = (SELECT job FROM result WHERE id = ?)",
        (result,),
    )
    book.record("void", who=who, result=result, reason=reason)
