"""The folder that a candidate starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.starter import write_starter
from tests.editing import grade

if TYPE_CHECKING:
    from pathlib import Path

    from grader.exam.model import Exam

NAMES = (
    "data/baseline.csv",
    "data/current.csv",
    "data/raw/train.csv",
    "data/train.csv",
    "exam.md",
    "submission.yaml",
)


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load_exam(RUBRICS, ALL)


def test_nothing_of_the_candidates_is_overwritten(exam: Exam, tmp_path: Path) -> None:
    (tmp_path / "submission.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"submission\.yaml already exists, so nothing was written"):
        write_starter(exam, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["submission.yaml"]
    assert (tmp_path / "submission.yaml").read_text() == "mine"


def test_a_place_that_is_no_folder_is_a_usage_error(exam: Exam, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        write_starter(exam, tmp_path / "file" / "x")


def test_it_holds_the_exam_and_the_given_data(exam: Exam, tmp_path: Path) -> None:
    assert write_starter(exam, tmp_path / "mine") == NAMES
    found = sorted(
        path.relative_to(tmp_path / "mine").as_posix()
        for path in (tmp_path / "mine").rglob("*")
        if path.is_file()
    )
    assert tuple(found) == NAMES
    for name, path in exam.data.items():
        assert (tmp_path / "mine" / name).read_bytes() == path.read_bytes()


def test_its_manifest_says_nothing_until_somebody_takes_out_a_mark(exam: Exam, tmp_path: Path) -> None:
    write_starter(exam, tmp_path)
    lines = (tmp_path / "submission.yaml").read_text().splitlines()
    assert yaml.safe_load("\n".join(lines)) is None
    open_lines = "\n".join(
        line.removeprefix("#") for line in lines if line.startswith("#") and "# " not in line
    )
    assert list(yaml.safe_load(open_lines)) == ["paths", "commands", "environment"]


def test_as_it_is_it_scores_nothing(exam: Exam, tmp_path: Path) -> None:
    write_starter(exam, tmp_path / "mine")
    score = grade(tmp_path / "mine").score
    assert (score.earned, score.highest, score.complete, score.passed) == (0, 0, True, False)
