"""What `grader rubric lint` adds to what loading refuses."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from grader.errors import UsageError
from grader.exam.lint import lint
from tests.exam.test_loader import BROKEN, CHECKS, RESOURCES

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = "    check: nothing\n"


def warnings_of(folder: Path) -> list[str]:
    complaints = lint(folder, CHECKS)
    assert all(complaint.warning for complaint in complaints)
    return [complaint.message for complaint in complaints]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the valid exam with a reference solution, so that nothing is left to say of it."""
    shutil.copy(RESOURCES / "lock.txt", tmp_path)
    shutil.copytree(RESOURCES / "rubrics_valid", tmp_path / "exam")
    with (tmp_path / "exam" / "exam.yaml").open("a") as file:
        file.write("reference: .\n")
    return tmp_path / "exam"


def edit(folder: Path, old: str, new: str) -> None:
    rubric = folder / "1.1.yaml"
    assert old in rubric.read_text()
    rubric.write_text(rubric.read_text().replace(old, new))


@pytest.mark.parametrize("name", BROKEN)
def test_lint_says_what_loading_refuses(name: str) -> None:
    complaints = lint(RESOURCES / f"rubrics_{name}", CHECKS)
    assert [complaint.warning for complaint in complaints] == [False] * len(BROKEN[name])


def test_no_exam_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        lint(tmp_path, CHECKS)


def test_a_clean_exam_has_no_complaints(folder: Path) -> None:
    assert lint(folder, CHECKS) == ()


def test_a_criterion_without_files_hides_the_cause(folder: Path) -> None:
    edit(
        folder,
        "    check: text.words\n    with: {file: notes, words: [hello]}\n",
        NOTHING,
    )
    assert warnings_of(folder) == [
        "1.1.there: names no deliverable, so a missing file is not reported as the cause"
    ]


def test_a_deliverable_that_nothing_uses(folder: Path) -> None:
    edit(folder, "  notes: {path: notes.txt}\n", "  notes: {path: notes.txt}\n  more: {path: more.txt}\n")
    assert warnings_of(folder) == ["no criterion uses the deliverable 'more'"]


def test_titles_and_hints(folder: Path) -> None:
    edit(folder, "title: The notes say hello", "title: The notes say hello.")
    edit(folder, "hint: Once is not enough.", "hint: the notes say it twice")
    assert warnings_of(folder) == [
        "1.1.there: a title must not end with a full stop",
        "1.1.twice: the hint only repeats the title",
    ]


def test_a_warning_says_that_it_is_one() -> None:
    (complaint,) = lint(RESOURCES / "rubrics_valid", CHECKS)
    assert ": warning: no reference solution" in str(complaint)
