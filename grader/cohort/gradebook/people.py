"""Candidates and what they handed in."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from grader.cohort.gradebook.store import now, written

if TYPE_CHECKING:
    from grader.cohort.gradebook.store import Gradebook
    from grader.cohort.sources.model import Found, Person

MAX_NUMBER = 1_000_000
"""Anonymous numbers are drawn below it, so that they say nothing of names or order."""


def record_person(book: Gradebook, person: Person) -> int:
    """The id of a candidate, new or known; what is known now and was not is added. Within a transaction."""
    found = book.rows("SELECT id, name, email, section FROM candidate WHERE key = ?", person.key)
    if found:
        candidate = int(found[0]["id"])
        told = [getattr(person, name) or found[0][name] for name in ("name", "email", "section")]
        book.database.execute(
            "UPDATE candidate SET name = ?, email = ?, section = ? WHERE id = ?", (*told, candidate)
        )
    else:
        candidate = int(
            book.database.execute(
                "INSERT INTO candidate (key, name, email, section, number) VALUES (?, ?, ?, ?, ?)"
                " RETURNING id",
                (person.key, person.name, person.email, person.section, _free_number(book)),
            ).fetchone()[0]
        )
    book.database.executemany(
        "INSERT OR IGNORE INTO identity VALUES (?, ?, ?)",
        [(candidate, system, value) for system, value in person.identities],
    )
    return candidate


def record_submission(
    book: Gradebook, found: Found, digest: str, unreadable: str, *, retry: bool = False
) -> None:
    """Keep what was found, for each of its people, unless it is known. Within a transaction.

    Args:
        digest: of its contents; empty where it cannot be read.
        unreadable: why it cannot.
        retry: for a reason that is not the candidate's and may pass.
    """
    for person in found.people:
        candidate = record_person(book, person)
        if digest:  # what could not be read there before is this one
            book.database.execute(
                "DELETE FROM submission WHERE candidate = ? AND digest = '' AND source IN (?, ?)",
                (candidate, found.source, found.origin),
            )
        book.database.execute(
            "INSERT INTO submission (candidate, digest, source, tag, submitted_at, evidence, found_at,"
            " late, unreadable, retry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (candidate, source, digest)"
            " DO UPDATE SET tag = excluded.tag, submitted_at = excluded.submitted_at,"
            " evidence = excluded.evidence, late = excluded.late, unreadable = excluded.unreadable,"
            " retry = excluded.retry",
            (
                *(candidate, digest, found.source, found.tag),
                written(found.submitted_at) if found.submitted_at else None,
                *(found.evidence, now(), found.late, unreadable, retry),
            ),
        )


def _free_number(book: Gradebook) -> int:
    while True:
        number = secrets.randbelow(MAX_NUMBER)
        if not book.rows("SELECT 1 FROM candidate WHERE number = ?", number):
            return number
