"""The second exam: proven by its corpus, and unknown to the grader's own code."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from grader.checks import ALL
from grader.cohort.regrade.fingerprints import fingerprints
from grader.corpus.cases import load_cases
from grader.exam.bundled import FIXTURES
from grader.exam.describe import render
from grader.exam.lint import lint
from grader.exam.loader import load_exam
from grader.exam.new_exam import TEMPLATE
from tests.test_cli import grader

if TYPE_CHECKING:
    from pathlib import Path

    from grader.exam.model import Exam

EXAMS = FIXTURES / "exams"
PLATFORM = EXAMS / "platform"
CODE = FIXTURES.parent / "grader"
CANDIDATES = {"reference", "submissions", "people"}
"""Folders of an exam that hold submissions."""


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load_exam(PLATFORM, ALL)


def test_nothing_is_wrong_with_it() -> None:
    assert lint(PLATFORM, ALL) == ()


def test_it_is_large_enough_to_prove_something(exam: Exam) -> None:
    cases = load_cases(exam)
    criteria = {row.id for task in exam.tasks for row in task.criteria}
    losing = {name: sum(name in case.loses for case in cases) for name in criteria}
    assert {name: count for name, count in losing.items() if count < 2} == {}
    assert len(tuple(exam.tasks)) >= 9
    assert len(criteria) >= 40
    assert sum(case.kind == "variant" for case in cases) >= 30


def test_an_exam_is_yaml_and_data() -> None:
    own = [path for exam in sorted(EXAMS.iterdir()) for path in _files(exam)]
    assert own
    assert [path for path in own if path.suffix not in {".yaml", ".md", ".csv", ".txt", ".json"}] == []
    assert [
        path for path in own if re.search(r"(?m)^\s*(import \w|from \w+ import|def \w+\()", _text(path))
    ] == []


def _files(exam: Path) -> list[Path]:
    """All files of an exam but those of submissions."""
    return [
        path
        for path in sorted(exam.rglob("*"))
        if path.is_file() and path.relative_to(exam).parts[0] not in CANDIDATES
    ]


def _text(path: Path) -> str:
    """A file without what its edits write into submissions."""
    return "" if {"defects", "variants"} & set(path.parts) else path.read_text("utf-8")


def test_the_code_knows_nothing_of_it(exam: Exam) -> None:
    words = {
        exam.id,
        exam.title,
        "parcel-tracker",
        "parcel_scan",
        "DiskAlmostFull",
        "ScansFail",
        "MAX_CARRIERS",
    }
    words |= {row.title for task in exam.tasks for row in task.criteria}
    words |= {row.hint for task in exam.tasks for row in task.criteria}
    code = {path: path.read_text("utf-8") for path in CODE.rglob("*.py")}
    assert code
    assert [(path, word) for path, text in code.items() for word in words if word in text] == []


def test_it_is_described_as_it_is_written(exam: Exam) -> None:
    output = io.StringIO()
    Console(file=output, width=10_000, highlight=False).print(render(exam, tuple(exam.tasks), ALL))
    assert "expect={'near': 85.0}" in output.getvalue()
    assert "one_of=()" not in output.getvalue()


@pytest.mark.parametrize("folder", [PLATFORM, TEMPLATE], ids=["platform", "without an environment"])
def test_a_change_of_it_is_noticed_by_task(folder: Path) -> None:
    exam = load_exam(folder, ALL)
    assert list(fingerprints(exam).tasks) == [task.id for task in exam.tasks]


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_its_corpus_proves_it(request: pytest.FixtureRequest, seed: str) -> None:
    if not request.config.getoption("--scheduled"):
        pytest.skip("takes long: only with --scheduled; `make test` verifies what is only read")
    done = grader("verify", "--exam", str(PLATFORM), "--seed", seed)
    assert (done.returncode, done.stderr) == (0, "")
    assert "every one lost exactly what it must" in done.stdout
