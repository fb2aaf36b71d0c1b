"""What was graded: results are appended, and one of each key counts."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from grader.cohort.gradebook.store import now
from grader.cohort.points import twentieths
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.cohort.gradebook.store import Gradebook

MAX_DOCUMENT = 2**26
"""Bytes of a result document; one of the largest has a tenth of that."""
VARYING = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\S*/\S*|\d+(?:[.,]\d+)*""")
"""What differs between candidates who made the same mistake: quoted words, paths, numbers."""
TIMES = ("seconds", "spans", "thumbnails")
"""Keys of a document that may differ each time: a plot may well have the hour in it."""
REPLACED = "a later result of the same key counts"

Outcome = Literal["first", "same", "differs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What an attempt brought."""

    document: Mapping[str, Any]
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Task -> fingerprint of all that decides it."""
    reused: Mapping[str, int] = field(default_factory=dict)
    """Task -> the earlier result that its rows were taken from."""
    replaces: int = 0
    """The result of the same job that it takes the place of."""


def commit(book: Gradebook, job: int, graded: Graded, worker: str) -> Outcome:
    """Keep a job's result, within a transaction; if it has one already, only compare.

    Returns:
        `first`, or whether a late duplicate is the `same` as what counts or `differs`.
    """
    standing = book.rows("SELECT id, document FROM result WHERE job = ? AND void = ''", job)
    if standing and standing[0]["id"] == graded.replaces:
        book.database.execute("UPDATE result SET void = ? WHERE id = ?", (REPLACED, graded.replaces))
        book.record("void", who=worker, result=graded.replaces, reason=REPLACED)
    elif standing:
        known = unpacked(standing[0]["document"])
        outcome: Outcome = "same" if without_times(known) == without_times(graded.document) else "differs"
        book.record("duplicate", who=worker, job=job, outcome=outcome)
        return outcome
    document = graded.document
    score = document["score"]
    result = book.database.execute(
        "INSERT INTO result (job, score, lowest, highest, possible, pass_mark, complete, seconds, worker, at,"
        " tasks, reused, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            job,
            *(twentieths(score[key]) for key in ("earned", "lowest", "highest", "possible", "pass_mark")),
            *(bool(score["complete"]), document["seconds"], worker, now()),
            *(
                json.dumps(dict(graded.tasks), sort_keys=True),
                json.dumps(dict(graded.reused), sort_keys=True),
            ),
            packed(document),
        ),
    ).fetchone()[0]
    book.database.executemany(
        "INSERT INTO criterion (result, task, criterion, status, earned, highest, possible, seconds,"
        " fingerprint, basis) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(result, task, row["id"], row["status"]),
                *(twentieths(row["earned"]), twentieths(highest(row)), twentieths(row["points"])),
                *(row["seconds"], fingerprint(row), basis(row)),
            )
            for task, row in rows_of(document)
        ],
    )
    book.database.execute(
        "UPDATE job SET state = 'done', lease_until = NULL, reason = '' WHERE id = ?", (job,)
    )
    return "first"


def rows_of(document: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Task and row of each criterion of a document."""
    for section in document["sections"]:
        for task in section["tasks"]:
            for row in task["criteria"]:
                yield task["id"], row


def highest(row: Mapping[str, Any]) -> float:
    """The points that a criterion can still have."""
    if not is_open(row):
        return float(row["earned"])
    if not row["parts"]:
        return float(row["points"])
    still_open = sum(part["points"] for part in row["parts"] if is_open(part))
    return float(row["earned"] + still_open)


def fingerprint(row: Mapping[str, Any]) -> str:
    """The same for all who lost a criterion in the same way; empty where nothing was lost."""
    if row["status"] == "earned":
        return ""
    said = [row["status"], row["blocked_by"] or ""]
    said += [f"{part['id']} {part['status']}" for part in row["parts"]]
    said += [VARYING.sub("…", finding["message"]) for finding in row["findings"]]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


def basis(row: Mapping[str, Any]) -> str:
    """What an override of a criterion is based on: it is stale when this changes."""
    facts = [row["status"], row["earned"], row["points"], row["findings"]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def packed(document: Mapping[str, Any]) -> bytes:
    """A document as the gradebook keeps it."""
    return zlib.compress(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), 3)


def unpacked(blob: bytes) -> dict[str, Any]:
    """A document out of the gradebook.

    Raises:
        ValueError: it is none, or too large for one.
    """
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(blob, MAX_DOCUMENT)
    except zlib.error as error:
        raise ValueError(f"a result document is damaged: {error}") from None
    if stream.unconsumed_tail or not stream.eof:
        raise ValueError("a result document is damaged")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("a result document is damaged")
    return found


def document_of(book: Gradebook, result: int) -> dict[str, Any]:
    """The document of a result.

    Raises:
        ValueError: it is damaged.
    """
    return unpacked(book.rows("SELECT document FROM result WHERE id = ?", result)[0]["document"])


def is_open(row: Mapping[str, Any]) -> bool:
    """Whether a criterion of a document, or a part of one, is undecided."""
    return Status(row["status"]).open


def without_times(data: Any) -> Any:
    """A document but for what differs from run to run."""
    match data:
        case dict():
            return {key: without_times(value) for key, value in data.items() if key not in TIMES}
        case list():
            return [without_times(value) for value in data]
    return data
