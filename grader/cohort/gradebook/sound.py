"""Whether a gradebook is sound: all that was computed once is computed again from what it was made of."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import (
    basis,
    document_of,
    fingerprint,
    highest,
    is_open,
    rows_of,
    unpacked,
)
from grader.cohort.gradebook.store import written
from grader.cohort.points import twentieths
from grader.errors import UsageError
from grader.report.read import parse_grade

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from grader.cohort.gradebook.store import Gradebook

COLUMNS = ("task", "criterion", "status", "earned", "highest", "possible", "seconds", "fingerprint", "basis")


def complaints(book: Gradebook) -> Iterator[str]:
    """What is wrong, one line each.

    Raises:
        UsageError: the file is so damaged that it cannot be read.
    """
    with book.snapshot():
        damage = [row[0] for row in book.rows("PRAGMA integrity_check") if row[0] != "ok"]
        yield from (f"the file is damaged: {each}" for each in damage)
        if damage:
            return
        for row in book.rows("PRAGMA foreign_key_check"):
            name = row["table"] if row["rowid"] is None else f"{row['table']} {row['rowid']}"
            yield f"{name} refers to a row of {row['parent']} that is not there"
        yield from _results(book)
        yield from _jobs(book)
        yield from _decisions(book)
        yield from _marks(book)


# --- results ----------------------------------------------------------------------------------------


def _results(book: Gradebook) -> Iterator[str]:
    # One after another: all documents together may be larger than the memory.
    for row in book.rows("SELECT id FROM result ORDER BY id"):
        result = book.rows(
            "SELECT result.*, job.submission, job.exam FROM result JOIN job ON job.id = result.job"
            " WHERE result.id = ?",
            row["id"],
        )
        if result:
            for complaint in _result(book, result[0]):
                yield f"result {row['id']}: {complaint}"


def _result(book: Gradebook, result: sqlite3.Row) -> Iterator[str]:
    try:
        document = unpacked(result["document"])
        parse_grade(json.dumps(document).encode(), "its document")
    except (ValueError, UsageError) as error:
        yield str(error)
        return
    for name, known in (("submission", result["submission"]), ("exam", result["exam"])):
        digest = document[name].get("digest")
        if digest and digest != known.partition("+")[0]:  # a key has more of the exam than a document
            yield f"its document is of another {name} than its job"
    rows = list(rows_of(document))
    made = {row["id"]: _criterion(task, row) for task, row in rows}
    kept = {
        row["criterion"]: tuple(row[name] for name in COLUMNS)
        for row in book.rows("SELECT * FROM criterion WHERE result = ?", result["id"])
    }
    for name in sorted(made.keys() | kept.keys()):
        if made.get(name) != kept.get(name):
            yield f"criterion {name} is not what its document says"
    score = document["score"]
    earned = sum(twentieths(row["earned"]) for _, row in rows)
    top = sum(twentieths(highest(row)) for _, row in rows)
    possible = sum(twentieths(row["points"]) for _, row in rows)
    complete = not any(is_open(row) for _, row in rows)
    recomputed = (earned, earned, top, possible, complete)
    said = tuple(twentieths(score[name]) for name in ("earned", "lowest", "highest", "possible"))
    if recomputed != (*said, score["complete"]):
        yield "its document's score is not the sum of its criteria"
    columns = ("score", "lowest", "highest", "possible", "complete")
    if recomputed != tuple(result[name] for name in columns):
        yield "its score is not the sum of its criteria"
    if result["pass_mark"] != twentieths(score["pass_mark"]):
        yield "its pass mark is not that of its document"


def _criterion(task: str, row: Mapping[str, Any]) -> tuple[object, ...]:
    points = (twentieths(row["earned"]), twentieths(highest(row)), twentieths(row["points"]))
    return (task, row["id"], row["status"], *points, row["seconds"], fingerprint(row), basis(row))


# --- the queue --------------------------------------------------------------------------------------


def _jobs(book: Gradebook) -> Iterator[str]:
    for row in book.rows(
        "SELECT id FROM submission WHERE unreadable = '' AND digest NOT IN (SELECT submission FROM job)"
    ):
        yield f"submission {row['id']} was found and has no job: `grader batch` makes one"
    for row in book.rows(
        "SELECT job.id, job.state, count(result.id) AS results FROM job"
        " LEFT JOIN result ON result.job = job.id AND result.void = '' GROUP BY job.id"
        " HAVING results > 1 OR (job.state = 'done' AND results = 0)"
    ):
        yield f"job {row['id']} is {row['state']} and has {row['results']} results that count"
    ran_out = book.rows(
        "SELECT id, lease_until FROM job WHERE state = 'leased' AND coalesce(lease_until, '') < ?",
        written(datetime.now(UTC)),
    )
    for row in ran_out:
        yield (
            f"job {row['id']} should have been done by {row['lease_until']}: its batch ended, or hangs; the"
            " next `grader batch` takes it up"
        )


# --- what people decided ----------------------------------------------------------------------------


def _decisions(book: Gradebook) -> Iterator[str]:
    told: dict[str, set[int]] = {}
    replaced: set[int] = set()
    for row in book.rows("SELECT what, data FROM event WHERE candidate IS NOT NULL"):
        data: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            data = json.loads(row["data"])
        if number := data.get("override", data.get("flag")):
            told.setdefault(row["what"], set()).add(number)
        if number := data.get("replaces"):
            replaced.add(number)
    for row in book.rows("SELECT id, withdrawn_at FROM override"):
        if row["id"] not in told.get("override", ()):
            yield f"override {row['id']} has no event that says who made it"
        if row["withdrawn_at"] and row["id"] not in told.get("withdraw", set()) | replaced:
            yield f"override {row['id']} was withdrawn without an event"
    for row in book.rows("SELECT id, done_at FROM flag"):
        if row["id"] not in told.get("flag", ()):
            yield f"flag {row['id']} has no event that says who set it"
        if row["done_at"] and row["id"] not in told.get("flag done", ()):
            yield f"flag {row['id']} is done without an event"
    for row in book.rows(
        "SELECT override.id, override.points, sum(criterion.possible) AS most FROM override"
        " LEFT JOIN criterion ON criterion.result = override.based_on AND criterion.task = override.task"
        " AND override.criterion IN ('', criterion.criterion) GROUP BY override.id"
        " HAVING most IS NULL OR override.points > most"
    ):
        yield f"override {row['id']} gives more points than there were"


def _marks(book: Gradebook) -> Iterator[str]:
    """Each mark, from its document and the overrides that were not withdrawn."""
    live = {
        (row["candidate"], row["task"], row["criterion"]): row["points"]
        for row in book.rows("SELECT * FROM override WHERE withdrawn_at IS NULL")
    }
    for mark in book.rows("SELECT * FROM mark"):
        try:
            document = document_of(book, mark["result"])
        except ValueError:
            continue  # it is among the complaints about results
        expected = recomputed(document, {key[1:]: value for key, value in live.items() if key[0] == mark[0]})
        if expected != (mark["points"], mark["highest"], bool(mark["complete"])):
            yield f"the mark of candidate {mark['candidate']} is not the sum of its parts"


def recomputed(
    document: Mapping[str, Any], overrides: Mapping[tuple[str, str], int]
) -> tuple[int, int, bool]:
    """Points, what they can become, and whether all is decided, without the database's views.

    Args:
        overrides: (task, criterion or nothing) -> twentieths.
    """
    points = top = 0
    complete = True
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for task, row in rows_of(document):
        tasks.setdefault(task, []).append(row)
    for task, rows in tasks.items():
        if (whole := overrides.get((task, ""))) is not None:
            capped = min(whole, sum(twentieths(row["points"]) for row in rows))
            points, top = points + capped, top + capped
            continue
        for row in rows:
            if (own := overrides.get((task, row["id"]))) is not None:
                capped = min(own, twentieths(row["points"]))
                points, top = points + capped, top + capped
            else:
                points, top = points + twentieths(row["earned"]), top + twentieths(highest(row))
                complete = complete and not is_open(row)
    return points, top, complete
