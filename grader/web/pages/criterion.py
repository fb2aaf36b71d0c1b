"""One criterion across the cohort: who lost it, in groups of equal findings, each to be treated at once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import document_of, rows_of
from grader.web.evidence import outcome
from grader.web.pages.candidate import hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam
    from grader.web.state import Cohort

STATUSES = ("earned", "partial", "lost", "blocked", "unverified", "error")
MAX_GROUPS = 40
MAX_PEOPLE = 60
"""People of a group who are named."""
MAX_LABELS = 20


def overview(book: Gradebook, cohort: Cohort) -> dict[str, Any]:
    """All criteria, with how many have which status."""
    counts: dict[str, Counter[str]] = {}
    overridden: Counter[str] = Counter()
    for row in book.rows(
        "SELECT criterion, status, count(*) AS times FROM chosen JOIN criterion USING (result)"
        " GROUP BY criterion, status"
    ):
        counts.setdefault(row["criterion"], Counter())[row["status"]] = row["times"]
    for row in book.rows(
        "SELECT criterion, count(*) AS times FROM live_override WHERE criterion <> '' GROUP BY criterion"
    ):
        overridden[row["criterion"]] = row["times"]
    shown = {
        task: [(name, counts[name], overridden[name]) for name in names if name in counts]
        for task, names in cohort.tasks.items()
    }
    known = {name for names in cohort.tasks.values() for name in names}
    others = [(name, counts[name], overridden[name]) for name in sorted(counts) if name not in known]
    return {
        "tasks": {task: rows for task, rows in shown.items() if rows},
        "others": others,
        "statuses": STATUSES,
    }


def read(
    book: Gradebook, cohort: Cohort, criterion: str, *, exam: Exam | None = None
) -> dict[str, Any] | None:
    """What the template shows; None where nobody was marked for it."""
    # Not by the view of marks: it would look at all criteria of everybody.
    rows = book.rows(
        "SELECT chosen.candidate, chosen.result, own.status, own.earned, own.possible, own.fingerprint,"
        " coalesce(min(alone.points, own.possible), own.earned) AS points, alone.id AS override,"
        " alone.fingerprint AS of_group, whole.id AS whole"
        " FROM chosen CROSS JOIN criterion AS own ON own.result = chosen.result AND own.criterion = ?"
        " LEFT JOIN live_override AS alone ON alone.candidate = chosen.candidate"
        " AND alone.task = own.task AND alone.criterion = own.criterion"
        " LEFT JOIN live_override AS whole ON whole.candidate = chosen.candidate"
        " AND whole.task = own.task AND whole.criterion = ''",
        criterion,
    )
    if not rows:
        return None
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row["fingerprint"], []).append(row)
    earned = groups.pop("", [])
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    order = {person.standing.candidate: place for place, person in enumerate(cohort.people)}
    return {
        "criterion": criterion,
        "task": next((task for task, names in cohort.tasks.items() if criterion in names), ""),
        "possible": max(row["possible"] for row in rows),
        "counts": Counter(row["status"] for row in rows),
        "statuses": STATUSES,
        "groups": [_group(book, cohort, criterion, *pair, order, exam) for pair in ordered[:MAX_GROUPS]],
        "more_groups": len(ordered) - MAX_GROUPS,
        "earned": _people(cohort, earned, order),
        "labels": labels(book, cohort, criterion),
        "hint": _hint(exam, criterion),
        **_neighbours(cohort, criterion),
    }


def labels(book: Gradebook, cohort: Cohort, criterion: str) -> list[dict[str, Any]]:
    """Reasons with their points that were given for a criterion before, to be used again."""
    return [
        {
            "id": row["id"],
            "points": row["points"],
            "reason": cohort.names.text(row["reason"]),
            "times": row["times"],
        }
        for row in book.rows(
            "SELECT max(id) AS id, points, reason, count(*) AS times FROM override WHERE criterion = ?"
            " GROUP BY points, reason ORDER BY times DESC, id DESC LIMIT ?",
            *(criterion, MAX_LABELS),
        )
    ]


def _group(
    book: Gradebook,
    cohort: Cohort,
    criterion: str,
    fingerprint: str,
    rows: Sequence[Any],
    order: dict[int, int],
    exam: Exam | None,
) -> dict[str, Any]:
    """Those who lost it in one way, with the evidence of one of them."""
    first = min(rows, key=lambda row: order.get(row["candidate"], 0))
    document = hidden(document_of(book, first["result"]), cohort.names, [first["candidate"]])
    found = next((row for _, row in rows_of(document) if row["id"] == criterion), None)
    findings = found["findings"] if found else []
    return {
        "fingerprint": fingerprint,
        "status": first["status"],
        "message": findings[0]["message"] if findings else "",
        "blocked_by": (found or {}).get("blocked_by") or "",
        "evidence": outcome(document, criterion, exam=exam),
        "example": first["candidate"],
        "count": len(rows),
        "points": sorted({row["points"] for row in rows}),
        "overridden": sum(bool(row["override"] or row["whole"]) for row in rows),
        "alone": sum(
            bool(row["whole"] or (row["override"] and row["of_group"] != fingerprint)) for row in rows
        ),
        "people": _people(cohort, rows, order),
    }


def _people(cohort: Cohort, rows: Sequence[Any], order: dict[int, int]) -> dict[str, Any]:
    known = [row for row in rows if row["candidate"] in cohort.by_id]
    known.sort(key=lambda row: order[row["candidate"]])
    return {
        "shown": [
            (cohort.by_id[row["candidate"]], row["points"], row["override"]) for row in known[:MAX_PEOPLE]
        ],
        "more": len(known) - MAX_PEOPLE,
        "count": len(known),
    }


def _hint(exam: Exam | None, criterion: str) -> str:
    rows = (each for task in (exam.tasks if exam else ()) for each in task.criteria)
    return next((each.hint for each in rows if each.id == criterion), "")


def _neighbours(cohort: Cohort, criterion: str) -> dict[str, Any]:
    every = [name for names in cohort.tasks.values() for name in names]
    if criterion not in every:
        return {"before": "", "after": ""}
    place = every.index(criterion)
    return {
        "before": every[place - 1] if place else "",
        "after": every[place + 1] if place + 1 < len(every) else "",
    }
