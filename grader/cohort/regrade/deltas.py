"""What moved between the results that counted at some moment and those that count now, and why.

Overrides are no part of it: they stand above whatever was graded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import unpacked
from grader.cohort.points import points_of
from grader.cohort.regrade.fingerprints import WORDS, difference
from grader.errors import UsageError
from grader.report.previous import Direction, changes
from grader.report.read import grade_of
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.cohort.gradebook import Gradebook
    from grader.results import CriterionResult, Finding, Grade

COUNTED = """
WITH voided AS (
    SELECT CAST(json_extract(data, '$.result') AS INTEGER) AS result, max(at) AS at
    FROM event WHERE what = 'void' GROUP BY 1
), graded AS (
    SELECT submission.id AS submission, submission.candidate, max(result.id) AS result
    FROM submission
    JOIN job ON job.submission = submission.digest AND submission.digest <> ''
    JOIN result ON result.job = job.id AND result.at < :moment
    LEFT JOIN voided ON voided.result = result.id
    WHERE submission.found_at < :moment AND (result.void = '' OR voided.at >= :moment)
    GROUP BY submission.id
)
SELECT candidate, submission, result FROM (
    SELECT graded.candidate, graded.submission, graded.result, row_number() OVER (
        PARTITION BY graded.candidate
        ORDER BY
            submission.tag = :tag AND :tag <> '' DESC,
            coalesce(submission.late, 0),
            CASE WHEN :which = 'best' THEN result.score END DESC,
            coalesce(submission.submitted_at, submission.found_at) DESC,
            submission.id DESC
    ) AS place
    FROM graded
    JOIN submission ON submission.id = graded.submission
    JOIN result ON result.id = graded.result
) WHERE place = 1
"""
"""The view `chosen` at a moment."""
GRADED_AGAIN = "it was graded again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One criterion of one candidate."""

    task: str
    criterion: str
    title: str
    direction: Direction | None
    """None where only its findings changed."""
    before: float
    """Points, as the next."""
    now: float
    status_before: str
    """Empty where it was not graded."""
    status_now: str
    gone: tuple[str, ...]
    """Findings that were there before and are not now."""
    found: tuple[str, ...]
    """Findings that are there now and were not."""
    reason: str

    @property
    def delta(self) -> float:
        """Points more than before."""
        return round(self.now - self.before, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One candidate, of whom another result counts than did."""

    candidate: int
    before: float
    """Points, as the next."""
    now: float
    moved: tuple[Moved, ...]

    @property
    def delta(self) -> float:
        """Points more than before."""
        return round(self.now - self.before, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deltas:
    """What moved since a moment."""

    since: str
    candidates: tuple[Delta, ...] = field(default_factory=tuple)
    """Those of whom something moved, the largest change first."""
    compared: int = 0
    """Candidates of whom results counted both times."""
    new: int = 0
    """Candidates of whom none did before."""

    @property
    def up(self) -> int:
        """How many candidates have more points than before."""
        return sum(each.delta > 0 for each in self.candidates)

    @property
    def down(self) -> int:
        """How many have fewer."""
        return sum(each.delta < 0 for each in self.candidates)


def last_batch(book: Gradebook) -> str:
    """When the last batch began that brought a result.

    Raises:
        UsageError: there was none.
    """
    newest = book.rows("SELECT max(at) FROM result")[0][0] or ""
    for row in book.rows("SELECT data FROM event WHERE what = 'batch' ORDER BY id DESC"):
        since = str(json.loads(row["data"]).get("since", ""))
        if since and since <= newest:
            return since
    raise UsageError(f"{book.path}: no batch has brought a result yet: there is nothing to compare")


def counted_at(book: Gradebook, moment: str) -> dict[int, tuple[int, int]]:
    """Candidate -> submission and result that counted then."""
    which, tag = _policy_at(book, moment)
    found = book.database.execute(COUNTED, {"moment": moment, "tag": tag, "which": which}).fetchall()
    return {row["candidate"]: (row["submission"], row["result"]) for row in found}


def deltas(book: Gradebook, since: str) -> Deltas:
    """What moved since a moment, as the gradebook writes it."""
    before = counted_at(book, since)
    now = {
        row["candidate"]: (row["submission"], row["result"])
        for row in book.rows("SELECT candidate, submission, result FROM chosen")
    }
    both = [candidate for candidate in now if candidate in before]
    found = []
    for candidate in both:
        if before[candidate][1] != now[candidate][1]:
            delta = _delta(book, candidate, before[candidate], now[candidate])
            found += [delta] if delta.moved or delta.delta else []
    return Deltas(
        since=since,
        candidates=tuple(sorted(found, key=lambda each: (-abs(each.delta), each.candidate))),
        compared=len(both),
        new=len(now) - len(both),
    )


def _policy_at(book: Gradebook, moment: str) -> tuple[str, str]:
    """Which submission counted then: what the next change of it says was there before."""
    later = book.rows("SELECT data FROM event WHERE what = 'which' AND at >= ? ORDER BY id LIMIT 1", moment)
    if later:
        then = json.loads(later[0]["data"])["before"]
        return str(then["which"]), str(then["tag"])
    return book.setting("which"), book.setting("tag")


def _delta(book: Gradebook, candidate: int, before: tuple[int, int], now: tuple[int, int]) -> Delta:
    old, new = (book.rows("SELECT * FROM result WHERE id = ?", result)[0] for _, result in (before, now))
    reused = json.loads(new["reused"])
    prints = json.loads(old["tasks"]), json.loads(new["tasks"])
    other = ""
    if before[0] != now[0]:
        source = book.rows("SELECT source FROM submission WHERE id = ?", now[0])[0]["source"]
        other = f"another submission counts: {source}"
    moved: tuple[Moved, ...] = ()
    if other or any(reused.get(task) != old["id"] for task in (*prints[0], *prints[1])) or not prints[1]:
        grades = grade_of(unpacked(old["document"])), grade_of(unpacked(new["document"]))
        moved = tuple(_moved(*grades, prints, other))
    return Delta(
        candidate=candidate,
        before=points_of(old["score"]),
        now=points_of(new["score"]),
        moved=moved,
    )


def _moved(
    before: Grade, now: Grade, prints: tuple[Mapping[str, str], Mapping[str, str]], other: str
) -> Iterator[Moved]:
    task_of = {row.id: task.id for grade in (before, now) for task in grade.tasks for row in task.criteria}
    ways = {change.row.id: change.direction for change in changes(before, now)}
    rows = {row.id: row for row in before.criteria}, {row.id: row for row in now.criteria}
    for name in dict.fromkeys((*rows[1], *rows[0])):
        old, new = rows[0].get(name), rows[1].get(name)
        gone, found = _unlike(_said(old), _said(new)), _unlike(_said(new), _said(old))
        if name not in ways and not gone and not found:
            continue
        row = new or old
        assert row is not None  # noqa: S101
        yield Moved(
            task=task_of[name],
            criterion=name,
            title=row.title,
            direction=ways.get(name),
            before=old.earned if old else 0.0,
            now=new.earned if new else 0.0,
            status_before=old.status.value if old else "",
            status_now=new.status.value if new else "",
            gone=gone,
            found=found,
            reason=other or _reason(task_of[name], prints, old),
        )


def _reason(
    task: str, prints: tuple[Mapping[str, str], Mapping[str, str]], before: CriterionResult | None
) -> str:
    old, new = (each.get(task, "") for each in prints)
    if old and new and (differs := difference(old, new)):
        return "; ".join(WORDS.get(name, name) for name in differs)
    if before is not None and before.status.open:
        return "it could not be decided before"
    return GRADED_AGAIN


def _said(row: CriterionResult | None) -> tuple[Finding, ...]:
    return row.findings if row is not None and row.status is not Status.EARNED else ()


def _unlike(these: tuple[Finding, ...], those: tuple[Finding, ...]) -> tuple[str, ...]:
    """The messages of findings that are not among others."""
    known: set[Any] = {finding.message for finding in those}
    return tuple(dict.fromkeys(finding.message for finding in these if finding.message not in known))
