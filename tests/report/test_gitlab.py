from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from grader.report.gitlab import fingerprint
from grader.report.losses import losses, place_of, points_lost
from grader.results import Status
from tests.report.grades import a_grade
from tests.report.samples import ORDINARY, SAMPLES, complaints, sample, written


def issues(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(written("gitlab", name))
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schema_is_kept(name: str) -> None:
    assert complaints("gitlab.json", issues(name)) == []


@pytest.mark.parametrize("name", ORDINARY)
def test_losses_come_back_with_their_places_the_dearest_first(name: str) -> None:
    grade = sample(name)
    rows = losses(grade)
    files = {
        row.id: [*filter(None, task.files.values()), "."][0] for task in grade.tasks for row in task.criteria
    }
    places = [
        (place.path, place.line or 1) if (place := place_of(row, grade)) else (files[row.id], 1)
        for row in rows
    ]
    told = [
        (each["check_name"], (each["location"]["path"], each["location"]["lines"]["begin"]))
        for each in issues(name)
    ]
    assert told == [(row.id, place) for row, place in zip(rows, places, strict=True)]


def severity(status: Status, lost: float) -> str:
    if status in (Status.BLOCKED, Status.UNVERIFIED, Status.ERROR):
        return "info"
    return "critical" if lost >= 2 else "major" if lost >= 1 else "minor"


@pytest.mark.parametrize("name", ORDINARY)
def test_what_is_dear_is_severe(name: str) -> None:
    expected = [severity(row.status, points_lost(row)) for row in losses(sample(name))]
    assert [each["severity"] for each in issues(name)] == expected


def test_fingerprints_are_of_the_criterion_alone() -> None:
    grade = a_grade()
    found = [fingerprint(row, grade) for row in grade.criteria]
    assert len(set(found)) == len(found)
    moved = replace(grade, places={}, submission={"name": "x", "digest": "y"}, seed=7)
    changed = [replace(row, parts=(), earned=0, status=Status.LOST, title="t") for row in grade.criteria]
    assert [fingerprint(row, moved) for row in changed] == found
    other = replace(grade, exam={**grade.exam, "id": "other"})
    assert set(found).isdisjoint(fingerprint(row, other) for row in grade.criteria)


def test_a_whole_issue() -> None:
    assert issues("small")[3] == {
        "description": "1.1.e: title of 1.1.e: 0 of 1 point, unverified: no tool here",
        "check_name": "1.1.e",
        "fingerprint": "e941cf4972a8b922fe4edaec927080464507aeb9ef16d92c60709aff20997050",
        "severity": "info",
        "location": {"path": ".", "lines": {"begin": 1}},
    }
