from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.report.html.view import MAX_FINDINGS, MAX_PLACES, Bar, view
from grader.results import CallRecord, Finding, Grade, Place, Status
from tests.report.grades import a_grade, part, task
from tests.report.html.pages import every_status, graded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.report.html.view import Card
    from grader.results import CriterionResult, PartResult


def grade_of(*rows: tuple[str, tuple[PartResult, ...]]) -> Grade:
    return graded(*task("1.1", *rows).criteria)


def lost(name: str, message: str = "", points: int = 1) -> tuple[str, tuple[PartResult, ...]]:
    finding = Finding(message=message or f"wrong {name}")
    if points == 1:
        return name, (part(Status.LOST, finding=finding),)
    return name, tuple(part(Status.LOST, f"p{number}", finding) for number in range(points))


def blocked(name: str, by: str) -> tuple[str, tuple[PartResult, ...]]:
    return name, (part(Status.BLOCKED, blocked_by=by),)


def unverified(name: str, message: str = "", by: str = "") -> tuple[str, tuple[PartResult, ...]]:
    finding = Finding(message=message) if message else None
    return name, (part(Status.UNVERIFIED, finding=finding, blocked_by=by),)


def told(cards: Iterable[Card]) -> list[tuple[str, list[str], list[str], float]]:
    return [
        (card.row.id, [row.id for row in card.same], [row.id for row in card.blocked], card.lost or card.open)
        for card in cards
    ]


def test_the_dearest_comes_first_and_what_it_took_along_counts() -> None:
    grade = grade_of(
        ("earned", (part(Status.EARNED),)),
        lost("cheap"),
        lost("two", points=2),
        lost("cause"),
        blocked("waits", "cause"),
        blocked("waits-too", "waits/p1"),
        lost("again", "wrong cause"),
    )
    assert told(view(grade).lost) == [
        ("cause", ["again"], ["waits", "waits-too"], 4),
        ("two", [], [], 2),
        ("cheap", [], [], 1),
    ]


def test_what_no_criterion_blocks_is_told_once_for_its_cause() -> None:
    grade = grade_of(blocked("a", "train"), lost("b"), blocked("c", "train"), blocked("d", "other"))
    assert told(view(grade).lost) == [("a", ["c"], [], 2), ("b", [], [], 1), ("d", [], [], 1)]


@pytest.mark.parametrize(
    "rows",
    [
        [blocked("a", "b"), blocked("b", "a")],
        [blocked("a", "a")],
        [blocked("a", "b"), blocked("b", "c"), blocked("c", "b"), lost("d")],
        [lost("a"), lost("a"), blocked("a", "a")],
        [unverified("a", by="b"), unverified("b", by="a")],
    ],
)
def test_a_circle_hides_nothing(rows: list[tuple[str, tuple[PartResult, ...]]]) -> None:
    shown = view(grade_of(*rows))
    assert sorted(names((*shown.lost, *shown.undecided))) == sorted(name for name, _ in rows)


def names(cards: Iterable[Card]) -> list[str]:
    return [row.id for card in cards for row in card.rows]


@pytest.mark.parametrize("status", [None, *Status])
def test_every_criterion_that_is_not_earned_is_told_once(status: Status | None) -> None:
    grade = every_status(status) if status else a_grade()
    shown = view(grade)
    expected = [row.id for row in grade.criteria if row.status is not Status.EARNED]
    assert sorted(names((*shown.lost, *shown.undecided))) == sorted(expected)
    assert set(shown.anchors) == set(expected)


def test_what_is_undecided_has_a_card_for_each_reason() -> None:
    grade = grade_of(
        unverified("waits", by="first"),
        unverified("first", "no network"),
        unverified("too", "no network"),
        unverified("other", "no docker"),
        ("ours", (part(Status.ERROR, finding=Finding(message="no network")),)),
    )
    shown = view(grade)
    assert shown.lost == ()
    assert told(shown.undecided) == [
        ("first", ["too", "waits"], [], 3),
        ("other", [], [], 1),
        ("ours", [], [], 1),
    ]
    assert shown.undecided[0].findings[0].finding.message == "no network"


def test_a_criterion_that_lost_one_part_while_another_is_open_is_a_loss() -> None:
    parts = (part(Status.LOST, "x", Finding(message="no")), part(Status.UNVERIFIED, "y"))
    (card,) = view(grade_of(("a", parts))).lost
    assert (card.lost, card.open) == (1, 1)


def test_a_piece_of_a_file_is_shown_once_and_only_so_many_are() -> None:
    pieces = tuple(Place(path="a", line=n, first=n, lines=("x",)) for n in range(1, MAX_PLACES + 3))
    findings = [Finding(message="a", where="here"), Finding(message="b", where="here")]
    row = task("1.1", ("a", tuple(part(Status.LOST, each.message, each) for each in findings))).criteria
    (card,) = view(replace(graded(*row), places={"here": pieces})).lost
    assert [(each.places, each.more_places) for each in card.findings] == [
        (pieces[:MAX_PLACES], 2),
        (pieces[MAX_PLACES:], 0),
    ]


def test_of_many_findings_only_some_are_told() -> None:
    parts = tuple(part(Status.LOST, f"{n}", Finding(message=f"{n}")) for n in range(MAX_FINDINGS + 5))
    (card,) = view(grade_of(("a", parts))).lost
    assert (len(card.findings), card.more_findings) == (MAX_FINDINGS, 5)


def test_which_file_was_taken_and_how_it_was_called() -> None:
    call = CallRecord(path="src/t.py", command="python src/t.py")
    rows: tuple[CriterionResult, ...] = ()
    grade = a_grade()
    first = replace(grade.tasks[0], criteria=rows, files={"train": "", "lock": "a.txt"})
    second = replace(first, id="1.2", files={"train": "src/t.py", "none": ""})
    section = replace(grade.sections[0], tasks=(first, second))
    grade = replace(grade, sections=(section,), calls={"train": call, "unasked": call})
    assert [(each.name, each.tasks, each.path, each.call) for each in view(grade).deliverables] == [
        ("train", ("1.1", "1.2"), "src/t.py", call),
        ("lock", ("1.1",), "a.txt", None),
        ("none", ("1.2",), "", None),
        ("unasked", (), "src/t.py", call),
    ]


@pytest.mark.parametrize("name", ["a b", 'x"y', "<x>", "x" * 81, "é", "a\nb", ""])
def test_what_is_no_word_is_no_anchor(name: str) -> None:
    assert view(grade_of(lost(name))).anchors == {}


def test_bars() -> None:
    grade = a_grade()
    shown = view(grade)
    assert [(bar.earned_width, bar.open_width, bar.width) for bar in (shown.total, *shown.sections)] == [
        ("37.5%", "25%", "100%"),
        ("28.57%", "28.57%", "100%"),
        ("14.29%", "0%", "14.29%"),
    ]
    dearer = replace(grade, score=replace(grade.score, pass_mark=16))
    assert view(dearer).total.percent(16) == "100%"
    assert view(dearer).total.width == "50%"


@pytest.mark.parametrize(("points", "width"), [(-1, "0%"), (5, "100%"), (0, "0%")])
def test_a_bar_stays_in_its_place(points: float, width: str) -> None:
    assert Bar(section=None, earned=0, open=0, possible=0, scale=2).percent(points) == width
    assert Bar(section=None, earned=0, open=0, possible=0, scale=0).percent(points) == "0%"
