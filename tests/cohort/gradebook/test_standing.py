from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from grader.cohort.exports.marks import read_marks
from grader.cohort.gradebook.decisions import flag, override, target
from grader.cohort.gradebook.queue import Key, enqueue, give_back, lease
from grader.cohort.gradebook.standing import ONLY, STATES, Standing, standings
from grader.cohort.gradebook.store import Gradebook, open_gradebook
from grader.cohort.plan import plan
from grader.cohort.sources.model import Cohort, Person
from grader.errors import UsageError
from tests.cohort.gradebook.books import ANNA, grade, hand_in, row, small_book, whose

MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def of(book: Gradebook, key: str) -> Standing:
    return next(each for each in standings(book) if each.key == key)


def told(each: Standing, *names: str) -> tuple[Any, ...]:
    return tuple(getattr(each, name) for name in names)


def give_up(book: Gradebook, digest: str, *, exam: str = "exam") -> None:
    job = enqueue(book, Key(submission=digest, exam=exam, grader="1", options={}), f"/in/{digest}")
    for _ in range(3):
        lease(book, job, "worker", 60)
        give_back(book, job, "the agent died", death=True)


def test_who_has_no_mark_has_a_reason(tmp_path: Path) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        cohort = Cohort(kind="roster", root=Path("/in"), found=(), missing=(Person(key="missing"),))
        plan(book, cohort, {}, exam="e", grader="1", options={})
        with book.transaction():
            hand_in(book, Person(key="broken"), digest="", unreadable="no archive")
            hand_in(book, Person(key="waiting"), digest="w")
            hand_in(book, Person(key="dead"), digest="x")
            give_up(book, "x")
        assert {
            each.key: (each.state, each.reason, each.points, each.passed) for each in standings(book)
        } == {
            "missing": ("missing", "nothing was handed in", None, None),
            "broken": ("unreadable", "cannot be read: no archive", None, None),
            "waiting": ("ungraded", "is not graded yet", None, None),
            "dead": ("ungraded", "was given up: the agent died", None, None),
        }


def test_what_failed_to_come_is_no_fault_of_the_candidate_and_is_forgotten_once_it_came(
    tmp_path: Path,
) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        anna, address = Person(key="anna"), "https://example.org/anna"
        with book.transaction():
            hand_in(book, anna, digest="", source=address, unreadable="no answer", retry=True)
        assert told(of(book, "anna"), "state", "reason") == ("ungraded", "cannot be read: no answer")
        with pytest.raises(UsageError, match="1 candidate is not graded completely: anna"):
            read_marks(book, unreadable="0")
        with book.transaction():
            hand_in(book, anna, digest="a", source="/copy@1", origin=address, at=MOMENT)
            grade(book, "a", [row("1.1.a", "earned")])
        assert told(of(book, "anna"), "state", "reason", "points") == ("graded", "", 40)
        with book.transaction():
            hand_in(book, anna, digest="", source=address, unreadable="no answer", retry=True)
        newer = "a newer submission cannot be read: no answer"
        assert told(of(book, "anna"), "state", "reason", "points") == ("graded", newer, 40)
        with pytest.raises(UsageError, match=f"anna \\({newer}\\)"):
            read_marks(book)


def test_where_the_graded_stand(tmp_path: Path) -> None:
    with open_gradebook(small_book(tmp_path / "book.db"), write=True) as book:
        with book.transaction():
            hand_in(book, Person(key="late"), digest="l", late=True, at=MOMENT)
            grade(book, "l", [row("1.1.a", "lost")])
            flag(book, whose(book, "late"), author="x", reason="y")
            override(book, target(book, whose(book, "ben"), "1.1.b"), 40, author="x", reason="y")
            grade(book, "d", [row("1.1.a", "earned"), row("1.1.b", "lost", said="new")], exam="changed")
        names = (
            "state",
            "points",
            "highest",
            "possible",
            "pass_mark",
            "passed",
            "late",
            "overrides",
            "stale",
            "flags",
        )
        assert told(of(book, "anna"), *names) == ("graded", 40, 40, 80, 80, False, None, 0, 0, 0)
        assert told(of(book, "ben"), *names) == ("graded", 80, 80, 80, 80, True, None, 1, 1, 0)
        assert told(of(book, "late"), *names) == ("graded", 0, 0, 40, 80, False, True, 0, 0, 1)
        assert of(book, "late").submitted_at == "2026-11-01T12:00:00.000Z"


def test_what_came_later_and_does_not_count_is_told(tmp_path: Path) -> None:
    with open_gradebook(small_book(tmp_path / "book.db"), write=True) as book:
        assert told(of(book, "anna"), "state", "passed", "reason") == ("open", None, "")
        with book.transaction():
            hand_in(book, ANNA, digest="newer")
        assert told(of(book, "anna"), "state", "reason") == ("open", "a newer submission is not graded yet")
        with book.transaction():
            hand_in(book, ANNA, digest="", source="/in/broken", unreadable="no archive")
        assert of(book, "anna").reason == "a newer submission cannot be read: no archive"


def test_every_state_can_be_selected() -> None:
    assert set(STATES) <= ONLY.keys()
