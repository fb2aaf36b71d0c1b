"""A candidate's files beside the reference's."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import jsonschema
import pytest

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.bundled import REFERENCE_SOLUTION, RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.report.solution import write_solutions
from grader.results import Comparison, Grade
from grader.schemas import load
from grader.session import STATIC, Options, score_submission
from tests.editing import reference_copy, replaced

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "k8s/deployment.yaml"


def graded(root: Path, *tasks: str) -> Grade:
    return score_submission(str(root), Options(tasks=tasks, isolation=STATIC, solution=True))


def test_an_exam_without_a_reference_has_no_solution_to_show(tmp_path: Path) -> None:
    bare = replace(load_exam(RUBRICS, ALL), reference=None)
    with pytest.raises(UsageError, match="no solution to show"):
        score_submission(str(tmp_path), Options(isolation=STATIC, solution=True), exam=bare)


def test_what_was_earned_is_not_shown(tmp_path: Path) -> None:
    assert graded(reference_copy(tmp_path / "s"), "4.2").comparisons == ()


def test_what_was_lost_stands_beside_the_reference(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    replaced(root, MANIFEST, "replicas: 3", "replicas: 2")
    grade = graded(root, "4.2", "6.1")
    assert grade.comparisons == (
        Comparison(
            task="4.2",
            deliverable="deployment",
            path=MANIFEST,
            text=(root / MANIFEST).read_text().rstrip("\n"),
            reference_path=MANIFEST,
            reference_text=(REFERENCE_SOLUTION / MANIFEST).read_text().rstrip("\n"),
        ),
    )
    jsonschema.validate(document(grade), load("result"))


def test_what_was_not_handed_in_is_said_to_be_so(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    (root / "alerts.yml").unlink()
    stream = io.StringIO()
    write_solutions(graded(root, "6.1"), stream)
    heading = [line.split() for line in stream.getvalue().splitlines()][1:3]
    assert heading[1] == ["not", "handed", "in", "alerts.yml"]


def test_a_candidates_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    replaced(root, MANIFEST, "replicas: 3", "replicas: 2 # \x1b[2J")
    stream = io.StringIO()
    write_solutions(graded(root, "4.2"), stream)
    assert "\x1b" not in stream.getvalue()
