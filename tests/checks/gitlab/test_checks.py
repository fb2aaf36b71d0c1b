from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.gitlab import checks
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check
    from grader.results import Outcome


def _decide(check: Check, root: Path, text: str, **given: Any) -> Outcome:
    context = make_context(root, {".gitlab-ci.yml": text}, deliverables={"p": ".gitlab-ci.yml"})
    return decide(check, context, **dict(check.parameters.model_validate({"file": "p", **given})))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a YAML mapping"),
        ("[]", "a YAML mapping"),
        ("a: !python/object:os.system [x]", "not valid YAML"),
        ("a: !reference x", "not valid YAML"),
        ("a: !reference [a]\n", "not a valid pipeline"),
        ("stages: [test]", "there is no job"),
        ("a: {script: x, stagee: test}", "not a valid pipeline"),
        ("a: {stage: test}", "job a has no script"),
        ("a: {script: x, stage: lint}", "in a stage that there is not"),
        ("a: {script: x, needs: [b]}", "needs b, which is not a job"),
        ("a: {script: x, extends: .b}", "extends .b, which is no job"),
        ("a: {script: x, extends: a}", "extends itself"),
        ("a: {script: x, extends: b}\nb: {script: x, extends: a}", "extends itself"),
        ("a: {script: [!reference [.b, script]]}", "which is not there"),
        ("a: {script: [!reference [a, script]]}", "which is not there"),
    ],
)
def test_a_pipeline_that_gitlab_refuses(tmp_path: Path, text: str, said: str) -> None:
    findings = _decide(checks.gitlab_valid, tmp_path, text).findings
    assert any(said in each.message for each in findings), findings
    assert _decide(checks.gitlab_job, tmp_path, text, path="$.nothing").verdict is Verdict.FAILED


PIPELINE = """\
default: {image: {name: python:3.12}}
variables: {A: 1, B: 2}
.base:
  before_script: [pip install .]
  variables: {B: 3}
  rules: [{if: $CI_COMMIT_TAG}]
.lines:
  script: [one, [two, three]]
unit:
  extends: .base
  script: [!reference [.lines, script], pytest]
alone:
  inherit: {default: false, variables: false}
  script: x
pages:
  script: build
"""


@pytest.mark.parametrize(
    ("job", "path", "value"),
    [
        ("unit", "$.image", "python:3.12"),
        ("unit", "$.variables", {"A": 1, "B": 3}),
        ("unit", "$.script", ["one", "two", "three", "pytest"]),
        ("unit", "$.before_script", ["pip install ."]),
        ("unit", "$.rules[0].if", "$CI_COMMIT_TAG"),
        ("unit", "$.stage", "test"),
        ("alone", "$", {"inherit": {"default": False, "variables": False}, "script": ["x"], "stage": "test"}),
        ("", "$.script[*]", "build"),
    ],
)
def test_what_a_job_inherits(tmp_path: Path, job: str, path: str, value: Any) -> None:
    assert _decide(checks.gitlab_valid, tmp_path, PIPELINE).findings == ()
    given: dict[str, Any] = {"job": job, "path": path, "expect": {"equals": value}}
    outcome = _decide(checks.gitlab_job, tmp_path, PIPELINE, **given)
    assert (outcome.verdict, outcome.findings) == (Verdict.PASSED, ())


def test_what_is_not_so_is_told_with_its_line(tmp_path: Path) -> None:
    given: dict[str, Any] = {"path": "$.script[3]", "expect": {"equals": "tox"}}
    (finding,) = _decide(checks.gitlab_job, tmp_path, PIPELINE, job="unit", **given).findings
    assert (finding.actual, finding.where) == ('"pytest"', ".gitlab-ci.yml:11")
    (finding,) = _decide(checks.gitlab_job, tmp_path, PIPELINE, job="lint", **given).findings
    assert (finding.message, finding.actual) == ("there is no job lint", "unit, alone, pages")


def test_references_that_multiply_are_bounded(tmp_path: Path) -> None:
    lines = [
        f".j{n}: {{script: [{', '.join(['!reference [.j' + str(n + 1) + ', script]'] * 9)}]}}"
        for n in range(9)
    ]
    text = "\n".join([*lines, ".j9: {script: [x]}", "a: {script: [!reference [.j0, script]]}"])
    findings = _decide(checks.gitlab_valid, tmp_path, text).findings
    assert any("which is not there" in each.message for each in findings)
