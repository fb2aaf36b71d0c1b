"""Marks as check runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.github.check_run import conclusion, post_check
from grader.github.markdown import render
from tests.github.fake import COMMIT, REPOSITORY, GitHub
from tests.report.grades import a_grade


def test_a_mark_is_posted_whole() -> None:
    github = GitHub()
    grade = a_grade(complete=True)
    said = post_check(github.api(), REPOSITORY, COMMIT, "exam", grade, None)
    assert said == f"posted {conclusion(grade)} on {REPOSITORY}@{COMMIT}"
    assert github.checks == [
        {
            "name": "exam",
            "head_sha": COMMIT,
            "status": "completed",
            "conclusion": conclusion(grade),
            "output": {"title": "3 of 6 points", "summary": render(grade, None, feedback=False)},
        }
    ]


@pytest.mark.parametrize(
    ("passed", "highest", "word"),
    [(True, 5.0, "success"), (False, 2.0, "failure"), (False, 4.0, "neutral")],
    ids=["passed", "not passed", "undecided"],
)
def test_the_verdict_in_words_of_github(passed: bool, highest: float, word: str) -> None:
    grade = a_grade()
    score = replace(grade.score, passed=passed, highest=highest, pass_mark=3.0)
    assert conclusion(replace(grade, score=score)) == word
