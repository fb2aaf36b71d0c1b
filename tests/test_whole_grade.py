"""The reference solution, graded whole and for real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from grader.exam.bundled import REFERENCE_SOLUTION
from grader.report.document import document
from tests.editing import grade, losses, still_open, without_times

if TYPE_CHECKING:
    from grader.results import Grade


def everything(graded: Grade) -> str:
    return json.dumps(without_times(document(graded)), indent=1)


@pytest.mark.slow
def test_it_earns_every_point_twice_over_with_the_same_document() -> None:
    first = grade(REFERENCE_SOLUTION)
    assert (losses(first), still_open(first)) == ({}, {})
    assert (first.score.earned, first.score.passed, first.score.complete) == (110, True, True)
    assert everything(grade(REFERENCE_SOLUTION)) == everything(first)


@pytest.mark.slow
def test_the_score_does_not_depend_on_the_seed() -> None:
    graded = grade(REFERENCE_SOLUTION, seed=20261123)
    assert (losses(graded), still_open(graded), graded.score.earned) == ({}, {}, 110)
