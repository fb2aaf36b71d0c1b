"""Marks as they are handed out: after overrides, and with open criteria counted as an examiner says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from grader.cohort.gradebook.anonymous import pseudonym
from grader.cohort.gradebook.results import document_of, rows_of
from grader.cohort.gradebook.standing import standings
from grader.cohort.points import twentieths
from grader.errors import UsageError
from grader.report.safe import counted, few, one_line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.standing import State

Incomplete = Literal["refuse", "lowest", "highest", "blank"]
"""How open criteria count: as lost, as earned, or the candidate gets no mark."""
Absent = Literal["blank", "0"]
"""The mark of somebody of whom there is nothing to grade."""
MAX_LISTED = 20
MAX_CRITERIA = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A mark that a person gave, of a criterion or a whole task."""

    task: str
    criterion: str
    """Empty: the whole task."""
    points: int
    author: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionMark:
    """A criterion of the result that counts. Points are in twentieths."""

    task: str
    criterion: str
    status: str
    earned: int
    """By the result."""
    points: int
    """As exported."""
    possible: int
    override: Override | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody, and the mark that is exported. Points are in twentieths."""

    id: int
    key: str
    name: str
    email: str
    section: str
    number: int
    identities: tuple[tuple[str, str], ...]
    """How systems know this person, `("moodle-participant", "4711")`; `key` and `email` are the gradebook's
    own. Also in anonymous mode, to find somebody's row: never to be shown there."""
    state: State
    """Also `ungraded` with an earlier result, while a newer submission has none."""
    reason: str = ""
    """Why a submission is unreadable or was given up; the open criteria."""
    points: int | None = None
    """None: there is none to be handed out."""
    possible: int = 0
    full: int = 0
    """Possible without bonus."""
    pass_mark: int = 0
    earned: int = 0
    """Before overrides."""
    result: int | None = None
    submitted_at: str = ""
    late: bool | None = None
    tasks: tuple[tuple[str, int], ...] = ()
    """The exported points of each task that was graded; their sum is `points`."""
    overrides: tuple[Override, ...] = ()
    stale: bool = False
    """Whether what an override was based on has changed."""
    flagged: bool = False
    anonymous: bool = False

    @property
    def who(self) -> str:
        """What messages call this person."""
        return self.key if self.anonymous else one_line(self.name or self.key, longest=60)

    @property
    def passed(self) -> bool | None:
        """Whether the mark is enough; None without one."""
        return None if self.points is None else self.points >= self.pass_mark


class Marks:
    """Everybody in a gradebook, by key; in anonymous mode by number, which says nothing of the key."""

    def __init__(
        self, book: Gradebook, candidates: Iterable[Candidate], incomplete: Incomplete, *, anonymous: bool
    ) -> None:
        """Take what `read_marks` found."""
        self.book = book
        self.anonymous = anonymous
        self.candidates = tuple(candidates)
        self.incomplete = incomplete

    @property
    def marked(self) -> list[Candidate]:
        """Those who have a mark that is handed out, and a result that it is made of."""
        return [each for each in self.candidates if each.points is not None and each.result is not None]

    @property
    def without(self) -> list[Candidate]:
        """Those for whom there is none, though something was handed in."""
        return [each for each in self.candidates if each.points is None and each.state != "missing"]

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Every task that somebody was graded on, in the exam's order."""
        found: dict[str, None] = {}
        exams = self.book.rows(
            "SELECT max(result.id) AS id FROM chosen JOIN result ON result.id = chosen.result"
            " GROUP BY result.possible, result.tasks ORDER BY id DESC"
        )
        for row in exams:
            found |= dict.fromkeys(task for task, _ in rows_of(self.document(row["id"])))
        return tuple(found)

    def document(self, result: int) -> dict[str, Any]:
        """A whole result document."""
        return document_of(self.book, result)

    def criteria(self, candidate: Candidate) -> list[CriterionMark]:
        """The criteria of the result that counts, in the exam's order."""
        if candidate.result is None:
            return []
        rows = {
            row["criterion"]: row
            for row in self.book.rows(
                "SELECT task, criterion, status, earned, highest, possible FROM criterion WHERE result = ?",
                candidate.result,
            )
        }
        order = [row["id"] for _, row in rows_of(self.document(candidate.result))]
        overrides = {each.criterion: each for each in candidate.overrides if each.criterion}
        return [
            CriterionMark(
                task=row["task"],
                criterion=row["criterion"],
                status=row["status"],
                earned=row["earned"],
                points=override.points
                if override
                else row["highest" if self.incomplete == "highest" else "earned"],
                possible=row["possible"],
                override=override,
            )
            for row, override in ((rows[id_], overrides.get(id_)) for id_ in order if id_ in rows)
        ]


def read_marks(
    book: Gradebook,
    *,
    incomplete: Incomplete = "refuse",
    missing: Absent = "blank",
    unreadable: Absent = "blank",
    anonymous: bool = False,
) -> Marks:
    """What is handed out.

    Args:
        missing: the mark of those who handed nothing in.
        unreadable: of those whose submission cannot be read.

    Raises:
        UsageError: criteria or submissions are undecided, and nobody said how they count.
    """
    candidates = _candidates(book, incomplete, anonymous=anonymous)
    if not candidates:
        raise UsageError(f"the gradebook {book.path} has no candidates yet: `grader batch` finds them")
    if incomplete == "refuse":
        _refuse_open(candidates)
    absent = {"missing": missing, "unreadable": unreadable}
    whole = max(candidates, key=lambda each: each.possible)
    return Marks(
        book,
        (_zero(each, whole) if absent.get(each.state) == "0" else each for each in candidates),
        incomplete,
        anonymous=anonymous,
    )


def _zero(each: Candidate, whole: Candidate) -> Candidate:
    return replace(each, points=0, possible=whole.possible, full=whole.full, pass_mark=whole.pass_mark)


def _refuse_open(candidates: Sequence[Candidate]) -> None:
    undecided = [each for each in candidates if each.state in ("open", "ungraded")]
    if not undecided:
        return
    told = [f"{each.who} ({_few(each)})" for each in undecided[:MAX_LISTED]]
    if len(undecided) > MAX_LISTED:
        told.append(f"{len(undecided) - MAX_LISTED} more")
    raise UsageError(
        f"nothing is exported while {counted(len(undecided), 'candidate is', 'candidates are')} not graded"
        f" completely: {'; '.join(told)}. Grade again (`grader batch`), or say by --incomplete lowest,"
        " highest or blank how they count"
    )


def _few(each: Candidate) -> str:
    """Why there is no mark; of many open criteria the first, since all of them would fill a screen."""
    if each.state != "open":
        return each.reason
    return few(each.reason.split(", "), MAX_CRITERIA)


def _candidates(book: Gradebook, incomplete: Incomplete, *, anonymous: bool) -> list[Candidate]:
    facts = _facts(book)
    tasks = _grouped(book.rows("SELECT candidate, task, points, highest, earned FROM task_mark"))
    open_criteria = _open_criteria(book)
    waiting = _waiting(book)
    overrides = _overrides(book)
    identities = _grouped(book.rows("SELECT * FROM identity ORDER BY system, value"))
    counted_as = "highest" if incomplete == "highest" else "points"
    found = []
    for row in standings(book):
        own = tasks.get(row.candidate, [])
        is_open = row.state == "open" or row.candidate in waiting
        counts = row.points is not None and not (incomplete == "blank" and is_open)
        person = Candidate(
            id=row.candidate,
            **{name: getattr(row, name) for name in ("key", "name", "email", "section", "number", "result")},
            identities=(
                *((each["system"], each["value"]) for each in identities.get(row.candidate, [])),
                *([("email", row.email.casefold())] if row.email else []),
                ("key", row.key.casefold()),
            ),
            state="ungraded" if row.candidate in waiting else row.state,
            reason=", ".join(open_criteria.get(row.candidate, ())) or one_line(row.reason),
            points=getattr(row, counted_as) if counts else None,
            earned=sum(each["earned"] for each in own),
            submitted_at=row.submitted_at or "",
            late=row.late,
            tasks=tuple((each["task"], each[counted_as]) for each in own) if counts else (),
            overrides=tuple(overrides.get(row.candidate, ())) if row.result is not None else (),
            stale=row.stale > 0,
            flagged=row.flags > 0,
            **(facts[row.result] if row.result is not None else {}),
        )
        found.append(_nameless(person) if anonymous else person)
    return sorted(found, key=lambda each: each.number) if anonymous else found


def _nameless(person: Candidate) -> Candidate:
    return replace(
        person,
        key=pseudonym(person.number),
        name="",
        email="",
        section="",
        overrides=tuple(replace(each, author="") for each in person.overrides),
        # A complaint about an archive names the archive, and that is often called by its owner.
        reason=person.reason if person.state == "open" else "",
        anonymous=True,
    )


def _open_criteria(book: Gradebook) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in book.rows(
        "SELECT row.candidate, row.criterion FROM criterion_mark AS row"
        " JOIN task_mark ON task_mark.candidate = row.candidate AND task_mark.task = row.task"
        " WHERE task_mark.open AND row.override IS NULL AND row.status IN ('unverified', 'error')"
    ):
        found.setdefault(row["candidate"], []).append(row["criterion"])
    return found


def _waiting(book: Gradebook) -> set[int]:
    """Those whose mark is of an earlier submission than the one that would count, were it graded."""
    return {
        row["candidate"]
        for row in book.rows(
            "SELECT newer.candidate FROM chosen JOIN submission AS own ON own.id = chosen.submission"
            " JOIN submission AS newer ON newer.candidate = own.candidate"
            " AND (newer.unreadable = '' OR newer.retry)"
            " AND coalesce(newer.late, 0) <= coalesce(own.late, 0)"
            " AND (coalesce(newer.submitted_at, newer.found_at), newer.id)"
            " > (coalesce(own.submitted_at, own.found_at), own.id)"
            " WHERE NOT EXISTS (SELECT 1 FROM graded WHERE graded.submission = newer.id)"
        )
    }


def _facts(book: Gradebook) -> dict[int, dict[str, Any]]:
    """Of each result that counts: points with and without bonus, and to pass."""
    bonus: dict[tuple[str, int], int] = {}
    facts: dict[int, dict[str, Any]] = {}
    for row in book.rows(
        "SELECT result.id, result.possible, result.pass_mark, job.exam FROM chosen"
        " JOIN result ON result.id = chosen.result JOIN job ON job.id = result.job"
    ):
        key = (row["exam"], row["possible"])
        if key not in bonus:
            bonus[key] = twentieths(document_of(book, row["id"])["score"]["bonus"]["possible"])
        facts[row["id"]] = {
            "possible": row["possible"],
            "full": row["possible"] - bonus[key],
            "pass_mark": row["pass_mark"],
        }
    return facts


def _overrides(book: Gradebook) -> dict[int, list[Override]]:
    """Of each candidate the overrides that count: that of a whole task hides others."""
    rows = book.rows("SELECT * FROM live_override ORDER BY task, criterion")
    whole = {(row["candidate"], row["task"]) for row in rows if not row["criterion"]}
    found: dict[int, list[Override]] = {}
    for row in rows:
        if not row["criterion"] or (row["candidate"], row["task"]) not in whole:
            found.setdefault(row["candidate"], []).append(
                Override(**{name: row[name] for name in Override.__dataclass_fields__})
            )
    return found


def _grouped(rows: Iterable[sqlite3.Row]) -> dict[int, list[sqlite3.Row]]:
    found: dict[int, list[sqlite3.Row]] = {}
    for row in rows:
        found.setdefault(row["candidate"], []).append(row)
    return found
