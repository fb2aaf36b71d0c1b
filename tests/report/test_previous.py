from __future__ import annotations

from dataclasses import replace

from grader.report.previous import changes, comparability, difference, signed, told
from grader.results import Grade, SectionResult, Status
from grader.score import total
from tests.report.grades import a_grade, part, task


def graded(**statuses: Status) -> Grade:
    rows = [(f"1.1.{name}", (part(status),)) for name, status in statuses.items()]
    sections = (SectionResult(id="1", title="First", bonus=False, tasks=(task("1.1", *rows),)),)
    return replace(
        a_grade(), sections=sections, score=total(sections, pass_mark=1), criteria_of_exam=len(rows)
    )


def test_equal_grades_have_no_changes() -> None:
    assert changes(a_grade(), a_grade()) == []


def test_every_way_in_which_a_criterion_can_change() -> None:
    before = graded(
        kept=Status.EARNED,
        up=Status.LOST,
        down=Status.EARNED,
        decided=Status.ERROR,
        undecided=Status.LOST,
        gone=Status.EARNED,
        other=Status.BLOCKED,
    )
    now = graded(
        kept=Status.EARNED,
        up=Status.EARNED,
        down=Status.LOST,
        decided=Status.LOST,
        undecided=Status.UNVERIFIED,
        new=Status.EARNED,
        other=Status.LOST,
    )
    assert [told(change) for change in changes(before, now)] == [
        "+1  1.1.up  lost → earned",
        "-1  1.1.down  earned → lost",
        "+1  1.1.new  not graded → earned",
        "-1  1.1.gone  earned → not graded",
        "±0  1.1.decided  error → lost",
        "±0  1.1.undecided  lost → unverified",
    ]


def test_a_grade_of_some_tasks_is_compared_in_these() -> None:
    before = graded(a=Status.LOST, b=Status.EARNED)
    now = replace(graded(a=Status.EARNED), criteria_of_exam=2)
    assert [told(change) for change in changes(before, now)] == ["+1  1.1.a  lost → earned"]
    assert difference(before, now) == 1


def test_why_two_grades_may_not_be_comparable() -> None:
    grade = a_grade()
    other = replace(grade, exam={**grade.exam, "id": "x", "title": "Another"})
    newer = replace(grade, exam={**grade.exam, "digest": "x"})
    assert [
        comparability(each, grade) for each in (grade, other, newer, replace(grade, isolation="static"))
    ] == [
        "",
        "the earlier grade is of another exam (Another)",
        "the exam's rubrics have changed since the earlier grade",
        "one of the two grades ran nothing",
    ]


def test_signs() -> None:
    assert [signed(value) for value in (1.5, -2.0, 0.0, 0.25)] == ["+1.5", "-2", "±0", "+0.25"]
