"""A grade as Gradescope's `results.json`: a test for each criterion.

Gradescope knows no points that are open. An incomplete grade has the points that are earned for certain, and
says at the top that it is incomplete; whoever uploads it decides whether to run again first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from grader.report.document import dump
from grader.report.losses import dearest_first
from grader.report.reasons import headline, label, reasons, total
from grader.report.safe import one_line
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade


def write_gradescope(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """The dearest loss first, and what was earned last."""
    score = grade.score
    data = {
        "score": score.earned,
        "output": one_line(f"{grade.exam['title']}: {total(grade)}", longest=600),
        "output_format": "text",
        "tests": [_test(row) for row in dearest_first(grade.criteria)],
        "extra_data": {
            "possible": score.possible,
            "lowest": score.lowest,
            "highest": score.highest,
            "passed": score.passed,
            "complete": score.complete,
        },
    }
    dump(data, stream)


def _test(row: CriterionResult) -> dict[str, Any]:
    return {
        "name": label(row),
        "number": one_line(row.id),
        "score": row.earned,
        "max_score": row.points,
        "status": "passed" if row.status is Status.EARNED else "failed",
        "output": "" if row.status is Status.EARNED else f"{headline(row)}\n\n{reasons(row)}".strip(),
        "output_format": "text",
        "name_format": "text",
        "tags": [row.status.value],
    }
