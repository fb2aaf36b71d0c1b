"""The exam that an author starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.lint import lint
from grader.exam.new_exam import write_exam
from tests.test_cli import grader

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "exam.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is not an empty folder, so nothing was written"):
        write_exam(tmp_path, ALL)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        write_exam(tmp_path / "file" / "x", ALL)


@pytest.mark.parametrize(
    ("name", "id_", "title"),
    [
        ("platform", "platform", "Platform"),
        ("My exam: 2027", "my-exam-2027", "My Exam 2027"),
        ("42", "42", "42"),
        ("...", "new-exam", "New Exam"),
    ],
)
def test_it_is_named_after_its_folder(tmp_path: Path, name: str, id_: str, title: str) -> None:
    write_exam(tmp_path / name, ALL)
    exam = yaml.safe_load((tmp_path / name / "exam.yaml").read_text())
    assert (exam["id"], exam["title"]) == (id_, title)


def test_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    names = write_exam(tmp_path / "mine", ALL)
    assert lint(tmp_path / "mine", ALL) == ()
    assert {"exam.yaml", "exam.md", "1.1.yaml", "1.2.yaml", "schemas/rubric.schema.json"} <= set(names)


@pytest.mark.slow
def test_its_own_corpus_proves_it(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    made = grader("exam", "new", str(folder))
    assert (made.returncode, made.stderr) == (0, "")
    done = grader("verify", "--exam", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "7 cases" in done.stdout
    assert "every one lost exactly what it must" in done.stdout
