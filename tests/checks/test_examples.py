"""Every example in the reference of checks: it loads as part of an exam, and its submission passes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from grader.checks import ALL
from grader.context import Context
from grader.exam.loader import load_exam
from grader.grading import outcome_of
from grader.results import Verdict
from grader.tools import Tools
from tests.builders import make_submission
from tests.checks.live import plain_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.check import Check

EXAM = {
    "id": "example",
    "title": "Example",
    "version": "1",
    "points": 1,
    "pass_mark": 1,
    "sections": [{"id": "1", "title": "Example", "tasks": ["1.1"]}],
}
STATIC = [each for each in ALL.values() if each.example is not None and not each.needs_runtime]
RUNNING = [each for each in ALL.values() if each.example is not None and each.needs_runtime]


def _exam_of(check: Check, root: Path) -> tuple[Any, Any]:
    assert check.example is not None
    said = yaml.safe_load(inspect.cleandoc(check.example.rubric))
    criterion = {
        "id": "1.1.example",
        "title": "Example",
        "points": 1,
        "hint": "Read the example",
        **{key: said.pop(key) for key in ("check", "with") if key in said},
    }
    root.mkdir()
    (root / "exam.yaml").write_text(yaml.safe_dump(EXAM))
    rubric = {"task": "1.1", "title": "Example", **said, "criteria": [criterion]}
    (root / "1.1.yaml").write_text(yaml.safe_dump(rubric, sort_keys=False))
    exam = load_exam(root, ALL)
    return exam, dict.fromkeys(said.get("deliverables", {}), next(iter(check.example.files)))


@pytest.mark.slow
@pytest.mark.parametrize("check", RUNNING, ids=lambda check: check.name)
def test_an_example_that_runs_passes_and_an_empty_file_does_not(check: Check, tmp_path: Path) -> None:
    assert check.example is not None
    exam, deliverables = _exam_of(check, tmp_path / "exam")
    ((part,),) = [criterion.parts for task in exam.tasks for criterion in task.criteria]
    verdicts = []
    for name, files in (("right", check.example.files), ("empty", dict.fromkeys(check.example.files, ""))):
        with plain_context(tmp_path / name, files, deliverables=deliverables) as context:
            verdicts.append(outcome_of(ALL[part.check], context, part.parameters).verdict)
    assert verdicts == [Verdict.PASSED, Verdict.FAILED]


@pytest.mark.parametrize("check", STATIC, ids=lambda check: check.name)
def test_an_example_passes_and_an_empty_file_does_not(check: Check, tmp_path: Path) -> None:
    assert check.example is not None
    exam, deliverables = _exam_of(check, tmp_path / "exam")
    ((part,),) = [criterion.parts for task in exam.tasks for criterion in task.criteria]
    verdicts = []
    for name, files in (("right", check.example.files), ("empty", dict.fromkeys(check.example.files, ""))):
        submission = make_submission(tmp_path / name, files, deliverables=deliverables)
        context = Context(submission=submission, exam=exam, tools=Tools(), runs=True)
        verdicts.append(outcome_of(ALL[part.check], context, part.parameters).verdict)
    assert verdicts == [Verdict.PASSED, Verdict.FAILED]
