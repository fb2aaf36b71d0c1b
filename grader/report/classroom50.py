"""A grade as the part of Classroom 50's `result.json` that a grade knows: the score and the tests.

Scores are whole numbers there. They are in hundredths of a point, so that halves and quarters are not rounded
and the tests add up to the score: 92.75 points are 9275. Classroom, assignment, owner and links are not the
grade's: the `autograder.py` that calls this adds them from its environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from grader.report.document import dump
from grader.report.losses import dearest_first
from grader.report.reasons import headline, label
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade

SCHEMA = "classroom50/result/v1"
UNITS_OF_A_POINT = 100


def write_classroom50(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """The dearest loss first, and what was earned last; what is open has the points that are certain."""
    tests = [_test(row) for row in dearest_first(grade.criteria)]
    data = {
        "schema": SCHEMA,
        "score": sum(test["score"] for test in tests),
        "max-score": sum(test["max-score"] for test in tests),
        "tests": tests,
    }
    dump(data, stream)


def _test(row: CriterionResult) -> dict[str, Any]:
    possible = max(0, round(row.points * UNITS_OF_A_POINT))
    return {
        "test-name": label(row),
        "passed": row.status is Status.EARNED,
        "score": min(max(0, round(row.earned * UNITS_OF_A_POINT)), possible),
        "max-score": possible,
        "status": row.status.value,
        "message": "" if row.status is Status.EARNED else headline(row),
    }
