from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from grader.checks import ALL
from grader.exam.bundled import RUBRICS
from grader.exam.check_reference import check_references, declarations
from grader.exam.loader import load_exam
from tests.test_cli import grader

TASKS = sorted(path.stem for path in RUBRICS.glob("*.yaml") if path.stem != "exam")


def rubric(task: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((RUBRICS / f"{task}.yaml").read_text("utf-8"))
    return data


@pytest.fixture(scope="module")
def editor() -> Draft202012Validator:
    schema = json.loads((RUBRICS / "rubric.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_what_is_generated_is_current() -> None:
    page = grader("rubric", "checks", "--format", "markdown").stdout
    assert (RUBRICS / "CHECKS.md").read_text("utf-8") == page, "run `make generated`"
    schema = grader("schema", "rubric").stdout
    assert (RUBRICS / "rubric.schema.json").read_text("utf-8") == schema, "run `make generated`"


def test_everything_that_an_author_may_write_has_a_meaning() -> None:
    references = check_references(ALL, load_exam(RUBRICS, ALL))
    without = [
        f"{each.name} {field.name}" for each in references for field in each.parameters if not field.meaning
    ]
    without += [
        f"{each.kind} {field.name}"
        for each in declarations(ALL)
        for field in each.fields
        if not field.meaning
    ]
    assert without == []
    assert [each.name for each in references if not each.passes] == []
    assert [each.kind for each in declarations(ALL) if not each.meaning] == []


def test_every_check_has_an_example_that_its_rubric_could_have() -> None:
    for each in check_references(ALL, load_exam(RUBRICS, ALL)):
        assert yaml.safe_load(each.example)["check"] == each.name


@pytest.mark.parametrize("task", TASKS)
def test_an_editor_accepts_the_bundled_rubrics(editor: Draft202012Validator, task: str) -> None:
    assert [error.message for error in editor.iter_errors(rubric(task))] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("with: {status: 0}", "with: {staus: 0}"),
        ("with: {status: 0}", "with: {}"),
        ("with: {status: 1}", "with: {status: 256}"),
        ("cpu_seconds: 120", "cpu_seconds: long"),
        ("cpu_seconds: 120", "cpu_secs: 120"),
    ],
)
def test_an_editor_sees_what_loading_would_refuse(editor: Draft202012Validator, old: str, new: str) -> None:
    text = (RUBRICS / "6.2.yaml").read_text("utf-8")
    assert old in text
    assert list(editor.iter_errors(yaml.safe_load(text.replace(old, new)))) != []


def test_one_check_as_json() -> None:
    told = json.loads(grader("rubric", "checks", "drift.quiet", "--format", "json").stdout)
    (check,) = told["checks"]
    assert {key: check[key] for key in ("name", "evidence", "scenario", "reads", "tools", "example")} == {
        "name": "drift.quiet",
        "evidence": "runs",
        "scenario": "drift",
        "reads": [],
        "tools": [],
        "example": "check: drift.quiet\nwith: {scenario: drift, status: 0}\n",
    }
    assert check["parameters"][1] == {
        "name": "status",
        "type": "a whole number, at least 0, at most 255",
        "required": True,
        "default": None,
        "meaning": "The exit status.",
    }
    assert [each["kind"] for each in told["declarations"]] == ["drift"]


def test_a_family_for_people_and_a_name_that_there_is_not() -> None:
    shown = grader("rubric", "checks", "gitignore")
    assert (shown.returncode, shown.stdout.count("evidence: runs")) == (0, 3)
    wrong = grader("rubric", "checks", "drift.quite")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "grader: unknown check 'drift.quite'; did you mean 'drift.quiet'?\n",
    )
