from __future__ import annotations

from dataclasses import replace

import pytest

from grader.report.losses import losses
from grader.report.reasons import MAX_REASONS, headline, left_out, path_of, reasons, total
from grader.results import Finding, Grade, Place, Status
from tests.report.grades import a_grade, part, task
from tests.report.samples import changed


def marked(grade: Grade, pass_mark: float) -> Grade:
    score = replace(grade.score, pass_mark=pass_mark, passed=grade.score.earned >= pass_mark)
    return replace(grade, score=score)


@pytest.mark.parametrize(
    ("grade", "line"),
    [
        (a_grade(complete=True), "3 / 6 points, passed (pass mark 3)"),
        (marked(a_grade(complete=True), 3.5), "3 / 6 points, not passed (pass mark 3.5)"),
        (
            marked(a_grade(), 4),
            "3 / 8 points, undecided (pass mark 4); between 3 and 5 once 2 of 7 criteria are decided",
        ),
        (
            marked(a_grade(), 6),
            "3 / 8 points, not passed (pass mark 6); between 3 and 5 once 2 of 7 criteria are decided",
        ),
    ],
)
def test_the_total(grade: Grade, line: str) -> None:
    assert total(grade) == line


def test_what_each_status_says() -> None:
    found = Finding(message="it is wrong", expected="x", actual="y", where="a.py:1")
    (graded,) = (
        task(
            "1",
            ("1.a", (part(Status.LOST, finding=found),)),
            ("1.b", (part(Status.EARNED, "x"), part(Status.LOST, "y", replace(found, expected="")))),
            ("1.c", (part(Status.BLOCKED, blocked_by="1.a"),)),
            ("1.d", (part(Status.UNVERIFIED, finding=Finding(message="no tool")),)),
            ("1.e", (part(Status.LOST),)),
        ),
    )
    assert [headline(row) for row in graded.criteria] == [
        "0 of 1 point, lost: a.py:1: it is wrong (expected x, found y)",
        "1 of 2 points, partial: a.py:1: it is wrong (found y)",
        "0 of 1 point, blocked: 1.a was lost",
        "0 of 1 point, unverified: no tool",
        "0 of 1 point, lost",
    ]
    assert [reasons(row).split("\n") for row in graded.criteria] == [
        ["a.py:1: it is wrong", "  expected: x", "  found: y", "hint: think of it"],
        ["part y (1 point): lost", "a.py:1: it is wrong", "  found: y", "hint: think of it"],
        ["not earned, because 1.a was lost"],
        ["no tool"],
        ["hint: think of it"],
    ]


def test_what_is_too_much_is_counted() -> None:
    many = tuple(Finding(message=f"wrong {number}") for number in range(25))
    grade = changed(a_grade(), lambda _, part: replace(part, status=Status.LOST, findings=many))
    assert reasons(grade.criteria[0], hint=False).split("\n")[-2:] == ["wrong 19", "and 5 more findings"]


def test_a_long_output_shows_its_end() -> None:
    long = Finding(message="m", detail="\n".join(map(str, range(100_000))))
    grade = changed(a_grade(), lambda _, part: replace(part, status=Status.LOST, findings=(long,)))
    lines = reasons(grade.criteria[0], hint=False).split("\n")
    assert lines == ["m", *(f"  {number}" for number in range(99_990, 100_000))]


def test_all_that_is_said_has_a_bound() -> None:
    wide = tuple(Finding(message=f"{number}" * 500, expected="y" * 500) for number in range(25))
    grade = changed(a_grade(), lambda _, part: replace(part, status=Status.LOST, findings=wide))
    assert MAX_REASONS < len(reasons(grade.criteria[0])) < MAX_REASONS + 100


def test_what_there_is_no_room_for() -> None:
    rows = losses(a_grade())
    assert left_out(rows) == "and 5 more criteria: 3 points lost, 2 points open"
    assert left_out(rows[3:]) == "and 2 more criteria: 2 points open"
    assert left_out(rows[:1]) == "and 1 more criterion: 1 point lost"


def test_a_path_stays_on_one_line() -> None:
    assert path_of(Place(path="a  b/c\nd\x1b.py", line=1)) == "a  b/c\N{REPLACEMENT CHARACTER}d�.py"
