from __future__ import annotations

import json
from typing import Any

import pytest

from grader.results import Status
from grader.score import add
from tests.report.samples import ORDINARY, SAMPLES, complaints, dearness, sample, written


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written("gradescope", name))
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schema_is_kept(name: str) -> None:
    assert complaints("gradescope.json", results(name)) == []


@pytest.mark.parametrize("name", ORDINARY)
def test_points_and_status_come_back_the_dearest_loss_first(name: str) -> None:
    grade = sample(name)
    found = results(name)
    rows = {row.id: row for row in grade.criteria}
    told = {
        each["number"]: (each["score"], each["max_score"], each["tags"], each["status"])
        for each in found["tests"]
    }
    assert told == {
        row.id: (row.earned, row.points, [row.status], "passed" if row.status is Status.EARNED else "failed")
        for row in grade.criteria
    }
    order = [dearness(rows[each["number"]]) for each in found["tests"]]
    assert order == sorted(order, reverse=True)
    assert found["score"] == grade.score.earned == add(each["score"] for each in found["tests"])


def test_an_incomplete_grade_says_so() -> None:
    found = results("small")
    assert found["output"] == (
        "An exam: 3 / 8 points, passed (pass mark 3); between 3 and 5 once 2 of 7 criteria are decided"
    )
    assert found["extra_data"] == {
        "possible": 8,
        "lowest": 3,
        "highest": 5,
        "passed": True,
        "complete": False,
    }


def test_a_whole_test() -> None:
    assert results("small")["tests"][2] == {
        "name": "1.1.d: title of 1.1.d",
        "number": "1.1.d",
        "score": 0,
        "max_score": 1,
        "status": "failed",
        "output": "0 of 1 point, blocked: 1.1.b was lost\n\nnot earned, because 1.1.b was lost",
        "output_format": "text",
        "name_format": "text",
        "tags": ["blocked"],
    }
