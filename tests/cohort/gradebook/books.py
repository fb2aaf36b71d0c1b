"""Gradebooks with results of as few criteria as a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.people import record_submission
from grader.cohort.gradebook.queue import Key, enqueue
from grader.cohort.gradebook.results import Graded, commit
from grader.cohort.gradebook.store import open_gradebook
from grader.cohort.sources.model import Found, Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook

ANNA = Person(key="anna", name="Anna Alt", email="Anna@example.org")
BEN = Person(key="ben", name="Ben Bär", identities=(("github", "benb"),))


def row(
    name: str, status: str, *, points: float = 2, earned: float | None = None, said: str = ""
) -> dict[str, Any]:
    """A criterion of a result document."""
    share = {"earned": points, "partial": points / 2}.get(status, 0.0)
    return {
        "id": name,
        "status": status,
        "points": points,
        "earned": share if earned is None else earned,
        "findings": [] if status == "earned" else [{"message": said or f"{name} is wrong"}],
        "parts": [],
        "blocked_by": None,
        "seconds": 0.5,
    }


def result_document(rows: Iterable[Mapping[str, Any]], *, pass_mark: float = 4) -> dict[str, Any]:
    """As much of one as a gradebook reads; criteria `1.2.a` are of task `1.2`."""
    rows = list(rows)
    tasks: dict[str, list[Mapping[str, Any]]] = {}
    for each in rows:
        tasks.setdefault(each["id"].rpartition(".")[0], []).append(each)
    still_open = [each for each in rows if each["status"] in ("unverified", "error")]
    earned = sum(each["earned"] for each in rows)
    return {
        "score": {
            "earned": earned,
            "lowest": earned,
            "highest": earned + sum(each["points"] - each["earned"] for each in still_open),
            "possible": sum(each["points"] for each in rows),
            "pass_mark": pass_mark,
            "complete": not still_open,
            "bonus": {"earned": 0.0, "possible": 0.0},
        },
        "sections": [{"tasks": [{"id": name, "criteria": own} for name, own in tasks.items()]}],
        "seconds": 1.0,
    }


def hand_in(
    book: Gradebook,
    *people: Person,
    digest: str,
    source: str = "",
    unreadable: str = "",
    late: bool | None = None,
    at: datetime | None = None,
    tag: str = "",
    origin: str = "",
    retry: bool = False,
) -> None:
    """Within a transaction."""
    source = source or f"/in/{people[0].key}-{digest}"
    found = Found(people=people, source=source, origin=origin, late=late, submitted_at=at, tag=tag)
    record_submission(book, found, "" if unreadable else digest, unreadable, retry=retry)


def grade(
    book: Gradebook,
    digest: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    exam: str = "exam",
    pass_mark: float = 4,
) -> int:
    """The result, within a transaction."""
    job = enqueue(book, Key(submission=digest, exam=exam, grader="1", options={}), f"/in/{digest}")
    commit(book, job, Graded(document=result_document(rows, pass_mark=pass_mark)), "worker")
    return int(book.rows("SELECT max(id) FROM result WHERE job = ?", job)[0][0])


def small_book(path: Path) -> Path:
    """Anna and Ben handed in one work together, in which 1.1.b is lost and 1.2.a is undecided."""
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        hand_in(book, ANNA, BEN, digest="d")
        grade(book, "d", [row("1.1.a", "earned"), row("1.1.b", "lost"), row("1.2.a", "unverified")])
    return path


def whose(book: Gradebook, key: str) -> int:
    return int(book.rows("SELECT id FROM candidate WHERE key = ?", key)[0]["id"])
