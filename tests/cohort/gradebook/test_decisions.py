"""What people decide: what is refused, what it does to marks, and that each change has its event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.gradebook.decisions import (
    fingerprint_of,
    flag,
    group,
    override,
    same_group,
    settle,
    target,
    twentieths_of,
    withdraw,
)
from grader.cohort.gradebook.store import Gradebook, open_gradebook
from grader.cohort.sources.model import Person
from grader.errors import UsageError
from tests.cohort.gradebook.books import ANNA, grade, hand_in, row, small_book, whose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with open_gradebook(small_book(tmp_path / "book.db"), write=True) as opened:
        yield opened


def decide(book: Gradebook, key: str, name: str, points: int, **more: str) -> int:
    with book.transaction():
        what = target(book, whose(book, key), name)
        return override(book, what, points, **{"author": "me", "reason": "why", **more})


def mark(book: Gradebook, key: str) -> tuple[int, int]:
    found = book.rows("SELECT points, highest FROM mark WHERE candidate = ?", whose(book, key))[0]
    return found["points"], found["highest"]


def stale(book: Gradebook) -> list[int]:
    return [each["id"] for each in book.rows("SELECT id FROM stale_override ORDER BY id")]


def events(book: Gradebook) -> list[tuple[str, dict[str, Any]]]:
    return [(each["what"], json.loads(each["data"])) for each in book.rows("SELECT * FROM event ORDER BY id")]


@pytest.mark.parametrize(
    ("text", "points"), [("0", 0), ("2", 40), ("1.5", 30), ("0.05", 1), (" 2.10 ", 42), ("1e1", 200)]
)
def test_points_are_exact(text: str, points: int) -> None:
    assert twentieths_of(text) == points


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "-0.05", "0.01", "1.33", "nan", "inf", "1e999999999", "1e9", "½"]
)
def test_what_are_no_points(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"are no points: such as|points cannot be: from 0 on, in steps of 0.05"
    ):
        twentieths_of(text)


@pytest.mark.parametrize(
    ("name", "points", "words", "complaint"),
    [
        ("1.1.z", 1, {}, "unknown task or criterion '1.1.z'; did you mean '1.1.b'?"),
        ("1.1.b", 41, {}, "1.1.b has 2 points: 2.05 are too many"),
        ("1.1", 81, {}, "1.1 has 4 points: 4.05 are too many"),
        ("1.1.b", 1, {"reason": " \n"}, "say why, by --reason: candidates and colleagues will ask"),
        ("1.1.b", 1, {"author": ""}, "say who decides this, by --author"),
        ("1.1.b", 1, {"reason": "x" * 5000}, "the reason is longer than 4000 characters"),
    ],
)
def test_what_is_refused_leaves_nothing(
    book: Gradebook, name: str, points: int, words: dict[str, str], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        decide(book, "anna", name, points, **words)
    assert str(error.value) == complaint
    assert book.rows("SELECT * FROM override") == events(book) == []


def test_without_a_result_there_is_nothing_to_override(book: Gradebook) -> None:
    with book.transaction():
        hand_in(book, Person(key="new"), digest="other")
    with pytest.raises(UsageError, match="there is no result yet that could be overridden: grade first"):
        decide(book, "new", "1.1.b", 1)


def test_an_override_is_one_persons_and_replaces_the_one_before(book: Gradebook) -> None:
    first = decide(book, "anna", "1.1.b", 30)
    assert (mark(book, "anna"), mark(book, "ben")) == ((70, 110), (40, 80))
    second = decide(book, "anna", "1.1.b", 10, reason="\ud800 and\0 so on")
    assert mark(book, "anna") == (50, 90)
    with book.transaction():
        withdraw(book, second, author="you")
    assert mark(book, "anna") == (40, 80)  # what was replaced does not come back
    rows = book.rows("SELECT id, author, reason, withdrawn_by FROM override")
    assert [tuple(each) for each in rows] == [
        (first, "me", "why", "me"),
        (second, "me", "? and so on", "you"),
    ]
    assert events(book) == [
        ("override", {"override": 1, "target": "1.1.b", "before": "0", "points": "1.5", "reason": "why"}),
        (
            "override",
            {
                "override": 2,
                "target": "1.1.b",
                "before": "1.5",
                "points": "0.5",
                "reason": "? and so on",
                "replaces": 1,
            },
        ),
        ("withdraw", {"override": 2, "target": "1.1.b"}),
    ]


def test_what_is_undecided_can_be_decided(book: Gradebook) -> None:
    decide(book, "anna", "1.2.a", 20)
    assert mark(book, "anna") == (60, 60)
    assert book.rows("SELECT complete FROM mark WHERE candidate = ?", whose(book, "anna"))[0][0] == 1


def test_a_whole_task_comes_before_its_criteria(book: Gradebook) -> None:
    decide(book, "anna", "1.1.b", 40)
    whole = decide(book, "anna", "1.1", 10)
    assert mark(book, "anna") == (10, 50)
    with pytest.raises(
        UsageError, match=r"task 1.1 is overridden as a whole \(number 2\): withdraw that first"
    ):
        decide(book, "anna", "1.1.b", 5)
    with book.transaction():
        withdraw(book, whole, author="me")
    assert mark(book, "anna") == (80, 120)


@pytest.mark.parametrize("name", ["1.1.b", "1.1"])
@pytest.mark.parametrize(
    ("rows", "is_stale", "points"),
    [
        ([row("1.1.a", "earned"), row("1.1.b", "lost")], False, 30),
        ([row("1.1.b", "lost"), row("1.1.a", "earned"), row("9.9.z", "lost")], False, 30),
        ([row("1.1.a", "earned"), row("1.1.b", "lost", said="another")], True, 30),
        ([row("1.1.a", "earned"), row("1.1.b", "blocked")], True, 30),
        ([row("1.1.a", "earned"), row("1.1.b", "lost", points=3)], True, 30),
        ([row("1.1.a", "earned", points=0.25), row("1.1.b", "lost", points=1)], True, 20),
        ([row("2.2.a", "earned")], True, 0),
    ],
)
def test_an_override_survives_a_regrade_and_says_when_it_is_stale(
    book: Gradebook, name: str, rows: list[dict[str, Any]], is_stale: bool, points: int
) -> None:
    number = decide(book, "anna", name, 30)
    assert stale(book) == []
    with book.transaction():
        grade(book, "d", rows, exam="changed")
    assert stale(book) == ([number] if is_stale else [])
    criterion = book.rows(
        "SELECT points FROM task_mark WHERE task = '1.1' AND candidate = ?", whose(book, "anna")
    )
    of_a = {"1.1": 0}.get(name, sum(int(each["earned"] * 20) for each in rows if each["id"] == "1.1.a"))
    limit = 25 if name == "1.1" and points == 20 else 30 if name == "1.1" else points
    assert [each["points"] for each in criterion] == ([of_a + limit] if points else [])


def test_a_criterion_more_makes_a_whole_task_stale(book: Gradebook) -> None:
    decide(book, "anna", "1.1.b", 30)
    whole = decide(book, "ben", "1.1", 30)
    with book.transaction():
        grade(book, "d", [row("1.1.a", "earned"), row("1.1.b", "lost"), row("1.1.c", "lost")], exam="changed")
    assert stale(book) == [whole]


def test_a_newer_submission_with_the_same_loss_is_not_stale(book: Gradebook) -> None:
    decide(book, "anna", "1.1.b", 30)
    with book.transaction():
        hand_in(book, ANNA, digest="newer")
        grade(book, "newer", [row("1.1.b", "lost")])
    assert (stale(book), mark(book, "anna")) == ([], (30, 30))


def test_equal_findings_are_overridden_together(book: Gradebook) -> None:
    people = {name: Person(key=name) for name in ("same", "other", "alone", "whole")}
    with book.transaction():
        for name, person in people.items():
            hand_in(book, person, digest=name)
            said = "in another way" if name == "other" else "1.1.b is wrong"
            grade(book, name, [row("1.1.a", "earned"), row("1.1.b", "lost", said=said)])
    alone, whole = decide(book, "alone", "1.1.b", 5), decide(book, "whole", "1.1", 5)
    fingerprint = fingerprint_of(book, whose(book, "anna"), "1.1.b")

    def apply(points: int) -> tuple[list[str], list[str], list[str]]:
        keys = {each["id"]: each["key"] for each in book.rows("SELECT id, key FROM candidate")}
        found = group(book, "1.1.b", fingerprint, points)
        with book.transaction():
            for each in found.targets:
                override(book, each, points, author="me", reason="why", fingerprint=fingerprint)
        people = ([each.candidate for each in found.targets], found.kept, found.done)
        return (
            [keys[each] for each in people[0]],
            [keys[each] for each in people[1]],
            [keys[each] for each in people[2]],
        )

    assert apply(20) == (["anna", "ben", "same"], ["alone", "whole"], [])
    assert apply(20) == ([], ["alone", "whole"], ["anna", "ben", "same"])
    assert apply(40) == (["anna", "ben", "same"], ["alone", "whole"], [])
    assert [mark(book, name)[0] for name in ("anna", "same", "other", "alone", "whole")] == [
        80,
        80,
        40,
        45,
        5,
    ]
    assert stale(book) == []
    one = book.rows("SELECT id FROM live_override WHERE fingerprint <> ''")[0]["id"]
    assert len(same_group(book, [one])) == 3
    assert same_group(book, [alone, whole]) == [alone, whole]


def test_what_was_not_lost_has_no_group(book: Gradebook) -> None:
    anna = whose(book, "anna")
    for name, complaint in (
        ("1.1.a", "nothing of 1.1.a was lost there"),
        ("1.1", "1.1 is a whole task: name one of its criteria"),
        ("7.7", "unknown task or criterion '7.7'"),
    ):
        with pytest.raises(UsageError, match=complaint):
            fingerprint_of(book, anna, name)
    with pytest.raises(UsageError, match=r"nobody lost 1.1.a in that way"):
        group(book, "1.1.a", "", 1)


def test_what_does_not_count_cannot_be_withdrawn(book: Gradebook) -> None:
    number = decide(book, "anna", "1.1.b", 30)
    with book.transaction():
        withdraw(book, number, author="me", reason="a mistake")
    assert events(book)[-1] == ("withdraw", {"override": 1, "target": "1.1.b", "reason": "a mistake"})
    for wrong, complaint in (
        (number, "override 1 was withdrawn before, by me"),
        (9, "there is no override 9"),
    ):
        with pytest.raises(UsageError, match=complaint), book.transaction():
            withdraw(book, wrong, author="me")


def test_a_flag_is_set_and_done_once(book: Gradebook) -> None:
    with book.transaction():
        number = flag(book, whose(book, "ben"), author="me", reason="look at it")
        settle(book, number, author="you", reason="fine")
    assert events(book) == [
        ("flag", {"flag": 1, "reason": "look at it"}),
        ("flag done", {"flag": 1, "reason": "fine"}),
    ]
    for wrong, complaint in ((number, "flag 1 was done before, by you"), (7, "there is no flag 7")):
        with pytest.raises(UsageError, match=complaint), book.transaction():
            settle(book, wrong, author="me")
    with pytest.raises(UsageError, match="say why"), book.transaction():
        flag(book, whose(book, "ben"), author="me", reason="")
    assert len(events(book)) == 2
