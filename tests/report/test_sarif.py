from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from grader.report.losses import losses, place_of
from grader.results import Status
from tests.report.samples import ORDINARY, SAMPLES, complaints, sample, written

KINDS = {
    Status.LOST: ("fail", "error"),
    Status.PARTIAL: ("fail", "warning"),
    Status.BLOCKED: ("fail", "note"),
    Status.UNVERIFIED: ("open", "none"),
    Status.ERROR: ("open", "none"),
}


def log(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written("sarif", name))
    return found


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "crowded"])
def test_the_schema_is_kept(name: str) -> None:
    assert complaints("sarif-2.1.0-rtm.5.json", log(name)) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_every_result_has_its_rule_and_a_place(name: str) -> None:
    (run,) = log(name)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [each["ruleId"] for each in run["results"]] == [
        rules[each["ruleIndex"]]["id"] for each in run["results"]
    ]
    assert all(len(each["locations"]) == 1 for each in run["results"])
    assert not [each for each in run["results"] if "](" in each["message"]["text"]]
    # What GitHub's code scanning refuses to be without.
    assert all(each["shortDescription"]["text"] and each["fullDescription"]["text"] for each in rules)


@pytest.mark.parametrize("name", ORDINARY)
def test_points_status_and_place_come_back_the_dearest_first(name: str) -> None:
    grade = sample(name)
    (run,) = log(name)["runs"]
    assert {each["id"]: each["properties"] for each in run["tool"]["driver"]["rules"]} == {
        row.id: {"points": row.points, "earned": row.earned, "status": row.status} for row in grade.criteria
    }
    rows = losses(grade)
    told = [(each["ruleId"], each["kind"], each["level"]) for each in run["results"]]
    assert told == [(row.id, *KINDS[row.status]) for row in rows]
    for row, result in zip(rows, run["results"], strict=True):
        if place := place_of(row, grade):
            location = result["locations"][0]["physicalLocation"]
            assert unquote(location["artifactLocation"]["uri"]) == place.path
            assert location.get("region", {}).get("startLine") == place.line


def test_the_line_itself_is_in_it() -> None:
    (run,) = log("all-lost")["runs"]
    regions = [each["locations"][0]["physicalLocation"]["region"] for each in run["results"]]
    assert regions == [{"startLine": 7, "snippet": {"text": "here"}}] * 80


@pytest.mark.parametrize(("name", "succeeded"), [("small", False), ("all-lost", True)])
def test_our_faults_are_no_success(name: str, succeeded: bool) -> None:
    (run,) = log(name)["runs"]
    assert run["invocations"] == [{"executionSuccessful": succeeded}]
