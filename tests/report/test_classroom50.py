from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from grader.report.formats import FORMATS, Settings
from grader.results import Status
from tests.report.grades import a_grade
from tests.report.samples import ORDINARY, SAMPLES, changed, complaints, dearness, sample, written

IDENTITY = {
    "classroom": "mlops",
    "assignment": "exam",
    "assignment_type": "individual",
    "owner": "alice",
    "submission": "submit/2026-06-01T14-32-05Z-a1b2c3d",
    "commit": "https://git.example/c",
    "release": "https://git.example/r",
    "review": "https://git.example/v",
    "datetime": "2026-06-01T14:32:01Z",
}
"""What the environment of an `autograder.py` says."""


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written("classroom50", name))
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schema_is_kept_once_the_identity_is_added(name: str) -> None:
    found = result(name)
    assert complaints("classroom50.json", found | IDENTITY) == []
    for each in (found, *found["tests"]):
        assert 0 <= each["score"] <= each["max-score"]


@pytest.mark.parametrize("name", ORDINARY)
def test_points_and_status_come_back_in_hundredths_the_dearest_loss_first(name: str) -> None:
    grade = sample(name)
    found = result(name)
    rows = {row.id: row for row in grade.criteria}
    told = {
        each["test-name"].split(":")[0]: (each["score"] / 100, each["max-score"] / 100, each["status"])
        for each in found["tests"]
    }
    assert told == {row.id: (row.earned, row.points, row.status) for row in grade.criteria}
    assert [each["passed"] for each in found["tests"]] == [
        each["status"] == "earned" for each in found["tests"]
    ]
    order = [dearness(rows[each["test-name"].split(":")[0]]) for each in found["tests"]]
    assert order == sorted(order, reverse=True)
    assert (found["score"], found["max-score"]) == (grade.score.earned * 100, grade.score.possible * 100)


@pytest.mark.parametrize(
    ("points", "units"), [(0.25, 25), (0.4, 40), (0.1 + 0.2, 30), (1 / 3, 33), (92.75, 9275)]
)
def test_fractions_are_hundredths(points: float, units: int) -> None:
    grade = changed(a_grade(), lambda _, part: replace(part, points=points, status=Status.EARNED))
    rows = tuple(replace(row, points=row.earned) for row in grade.criteria)
    (first, *_) = grade.sections
    only = replace(grade, sections=(replace(first, tasks=(replace(first.tasks[0], criteria=rows[:1]),)),))
    stream = io.StringIO()
    FORMATS["classroom50"].write(only, stream, Settings())
    (test,) = json.loads(stream.getvalue())["tests"]
    assert (test["score"], test["max-score"], test["passed"]) == (units, units, True)
