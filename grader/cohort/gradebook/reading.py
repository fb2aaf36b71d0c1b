"""What is known of candidates and of what happened, as plain documents: every text is safe to be shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from grader.cohort.gradebook.results import document_of, rows_of
from grader.cohort.points import points_of, shown
from grader.report.safe import one_line

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.anonymous import Names
    from grader.cohort.gradebook.standing import Standing

Order = Literal["name", "key", "section", "mark", "time"]


def is_found(row: Standing, find: str, names: Names) -> bool:
    """Whether the key, name, e-mail or section has this in it; in anonymous mode the number."""
    texts = [names.of(row.candidate)] if names.anonymous else [row.key, row.name, row.email, row.section]
    return find.casefold() in "\n".join(texts).casefold()


def in_order(rows: Iterable[Standing], order: Order, names: Names, *, reverse: bool) -> list[Standing]:
    """In order; who has nothing to be sorted by comes last, either way."""
    by_name = sorted(rows, key=lambda row: names.order(row.candidate))
    by: dict[Order, Callable[[Standing], Any]] = {
        "name": lambda row: names.order(row.candidate),
        "key": lambda row: names.key(row.candidate),
        "section": lambda row: None if names.anonymous else row.section or None,
        "mark": lambda row: row.points,
        "time": lambda row: row.submitted_at,
    }
    with_value = [row for row in by_name if by[order](row) is not None]
    without = [row for row in by_name if by[order](row) is None]
    return [*sorted(with_value, key=by[order], reverse=reverse), *without]


def fields(row: Standing, names: Names) -> dict[str, Any]:
    """In the order of `COLUMNS`. Nothing of a person's in anonymous mode."""
    known = {"name": "", "email": "", "section": ""}
    if not names.anonymous:
        known = {name: one_line(getattr(row, name)) for name in known}
    return {
        "key": names.key(row.candidate),
        **known,
        "state": row.state,
        "mark": points_of(row.points),
        "highest": points_of(row.highest),
        "possible": points_of(row.possible),
        "passed": row.passed,
        "complete": row.state == "graded",
        "late": row.late,
        "overridden": row.overrides,
        "stale": row.stale,
        "flagged": row.flags,
        "submitted_at": row.submitted_at,
        "reason": names.text(row.reason),
    }


def everything_of(book: Gradebook, standing: Standing, names: Names) -> dict[str, Any]:
    """One candidate: submissions with their results, tasks, criteria, overrides and flags."""
    own = standing.candidate
    identities = book.rows("SELECT system, value FROM identity WHERE candidate = ? ORDER BY 1, 2", own)
    submissions = book.rows("SELECT * FROM submission WHERE candidate = ? ORDER BY id", own)
    results = book.rows(
        "SELECT result.*, submission.id AS submission, job.grader, job.exam FROM submission JOIN job"
        " ON job.submission = submission.digest JOIN result ON result.job = job.id"
        " WHERE submission.candidate = ? ORDER BY result.id",
        own,
    )
    stale = {row["id"] for row in book.rows("SELECT id FROM stale_override WHERE candidate = ?", own)}
    marks = {
        row["criterion"]: row for row in book.rows("SELECT * FROM criterion_mark WHERE candidate = ?", own)
    }
    tasks = book.rows("SELECT * FROM task_mark WHERE candidate = ?", own)
    order: dict[str, int] = {}
    if standing.result is not None:
        document = document_of(book, standing.result)
        order = {row["id"]: place for place, (_, row) in enumerate(rows_of(document))}
    rows = sorted(marks.values(), key=lambda row: order.get(row["criterion"], 0))
    named = list(dict.fromkeys(row["task"] for row in rows))
    return {
        **fields(standing, names),
        "identities": {}
        if names.anonymous
        else {row["system"]: one_line(row["value"]) for row in identities},
        "submissions": [
            {
                "id": row["id"],
                "counts": row["id"] == standing.submission,
                "source": names.text(row["source"]),
                "tag": names.text(row["tag"]),
                "submitted_at": row["submitted_at"],
                "evidence": one_line(row["evidence"]),
                "found_at": row["found_at"],
                "late": None if row["late"] is None else bool(row["late"]),
                "digest": row["digest"],
                "unreadable": names.text(row["unreadable"]),
                "results": [_result(each) for each in results if each["submission"] == row["id"]],
            }
            for row in submissions
        ],
        "tasks": [
            {
                "id": row["task"],
                "points": points_of(row["points"]),
                "highest": points_of(row["highest"]),
                "earned": points_of(row["earned"]),
                "possible": points_of(row["possible"]),
                "overridden": bool(row["overridden"]),
            }
            for row in sorted(tasks, key=lambda row: named.index(row["task"]))
        ],
        "criteria": [
            {
                "id": row["criterion"],
                "task": row["task"],
                "status": row["status"],
                "points": points_of(row["points"]),
                "earned": points_of(row["earned"]),
                "possible": points_of(row["possible"]),
                "override": row["override"],
                "fingerprint": row["fingerprint"],
            }
            for row in rows
        ],
        "overrides": [
            {
                "id": row["id"],
                "target": row["criterion"] or row["task"],
                "points": points_of(row["points"]),
                "author": one_line(row["author"]),
                "reason": names.text(row["reason"]),
                "at": row["at"],
                "based_on": row["based_on"],
                "group": row["fingerprint"],
                "stale": row["id"] in stale,
                "withdrawn_at": row["withdrawn_at"],
                "withdrawn_by": one_line(row["withdrawn_by"]),
            }
            for row in book.rows("SELECT * FROM override WHERE candidate = ? ORDER BY id", own)
        ],
        "flags": [
            {
                "id": row["id"],
                "author": one_line(row["author"]),
                "reason": names.text(row["reason"]),
                "at": row["at"],
                "done_at": row["done_at"],
                "done_by": one_line(row["done_by"]),
            }
            for row in book.rows("SELECT * FROM flag WHERE candidate = ? ORDER BY id", own)
        ],
    }


def _result(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "at": row["at"],
        "score": points_of(row["score"]),
        "highest": points_of(row["highest"]),
        "possible": points_of(row["possible"]),
        "grader": row["grader"],
        "exam": row["exam"],
        "void": one_line(row["void"]),
    }


def events(book: Gradebook, candidate: int | None, names: Names) -> list[dict[str, Any]]:
    """What happened, oldest first; of one candidate with the results of all submissions."""
    with book.snapshot():
        # By number: a clock may have jumped.
        found = book.rows("SELECT * FROM event WHERE ?1 IS NULL OR candidate = ?1 ORDER BY id", candidate)
        results = book.rows(
            "SELECT DISTINCT result.id, result.at, result.worker, result.score, result.possible, result.void"
            " FROM submission JOIN job ON job.submission = submission.digest"
            " JOIN result ON result.job = job.id WHERE submission.candidate = ? ORDER BY result.id",
            candidate,
        )
    told = [
        {
            "at": row["at"],
            "who": one_line(row["who"]),
            "what": one_line(row["what"]),
            "candidate": names.key(row["candidate"]) if row["candidate"] is not None else None,
            "data": {
                one_line(name): names.text(value) if isinstance(value, str) else value
                for name, value in json.loads(row["data"]).items()
            },
        }
        for row in found
    ]
    graded = [
        {
            "at": row["at"],
            "who": one_line(row["worker"]),
            "what": "graded",
            "candidate": names.key(candidate) if candidate is not None else None,
            "data": {
                "result": row["id"],
                "score": shown(row["score"]),
                "possible": shown(row["possible"]),
                **({"void": names.text(row["void"])} if row["void"] else {}),
            },
        }
        for row in results
    ]
    return sorted([*told, *graded], key=lambda row: row["at"]) if graded else told
