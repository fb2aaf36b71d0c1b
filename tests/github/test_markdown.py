"""What is above a report, and where."""

from __future__ import annotations

from grader.github.markdown import FEEDBACK, render, written
from tests.report.grades import a_grade


def test_only_feedback_says_that_it_is_no_mark() -> None:
    grade = a_grade()
    assert render(grade, None, feedback=False) == written("markdown", grade)
    assert render(grade, None, feedback=True) == FEEDBACK + written("markdown", grade)
