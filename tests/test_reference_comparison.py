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
from grader.report.console import console
from grader.report.document import document
from grader.report.formats import Settings
from grader.report.solution import CONTEXT, write_solutions
from grader.report.text import write_text
from grader.results import Comparison, Grade
from grader.schemas import load
from grader.session import STATIC, Options, score_submission
from tests.editing import reference_copy, replaced

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "k8s/deployment.yaml"


def graded(root: Path, *tasks: str) -> Grade:
    return score_submission(str(root), Options(tasks=tasks, isolation=STATIC, solution=True))


def solutions(grade: Grade) -> list[str]:
    stream = io.StringIO()
    write_solutions(grade, console(stream))
    return stream.getvalue().splitlines()[1:]


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
    shown = solutions(graded(root, "6.1"))
    assert shown[1:3] == ["--- not handed in", "+++ alerts.yml"]
    wanted = (REFERENCE_SOLUTION / "alerts.yml").read_text().splitlines()
    assert shown[4:] == [f"+{line}" for line in wanted]


def test_a_difference_has_its_context_and_nothing_else(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    replaced(root, MANIFEST, "replicas: 3", "replicas: 2")
    shown = solutions(graded(root, "4.2"))
    assert shown[0].startswith("4.2  deployment: from this submission to the reference ──")
    changed = shown.index("-  replicas: 2")
    assert shown[1:3] == [f"--- {MANIFEST}", f"+++ {MANIFEST}"]
    assert shown[changed + 1] == "+  replicas: 3"
    assert len(shown[3:]) == 1 + 2 * CONTEXT + 2


def test_the_total_comes_last(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    replaced(root, MANIFEST, "replicas: 3", "replicas: 2")
    stream = io.StringIO()
    write_text(graded(root, "4.2"), stream, Settings())
    assert stream.getvalue().splitlines()[-1].startswith("7 / 8  PASS")


def test_a_candidates_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "s")
    replaced(root, MANIFEST, "replicas: 3", "replicas: 2 # \x1b[2J")
    assert "\x1b" not in "".join(solutions(graded(root, "4.2")))
