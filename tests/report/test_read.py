from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.errors import UsageError
from grader.report.document import document
from grader.report.read import MAX_BYTES, grade_of, read_grade
from grader.results import Comparison, Grade
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def compared() -> Grade:
    shown = Comparison(
        task="1.1", deliverable="a", path="a.py", text="x", reference_path="b.py", reference_text="y"
    )
    return replace(a_grade(), comparisons=(shown,))


@pytest.mark.parametrize("grade", [a_grade(), a_grade(complete=True), compared()])
def test_the_document_of_a_grade_is_that_of_what_is_read_of_it(grade: Grade) -> None:
    written = document(grade)
    assert document(grade_of(written)) == written


def test_what_may_still_be_earned_is_read_too() -> None:
    before, after = a_grade(), grade_of(document(a_grade()))
    assert [row.highest for row in after.criteria] == [row.highest for row in before.criteria]


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grade.json"
    path.write_text("\ufeff" + json.dumps(document(a_grade())), encoding="utf-8")
    assert document(read_grade(path)) == document(a_grade())


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another-version": (lambda data: data.update(version=2), "version: 1 was expected"),
    "no-score": (lambda data: data.pop("score"), "'score' is a required property"),
    "unknown-status": (
        lambda data: data["sections"][0]["tasks"][0]["criteria"][0].update(status="won"),
        "sections/0/tasks/0/criteria/0/status: 'won' is not one of",
    ),
    "endless": (lambda data: data["score"].update(earned=float("inf")), "a number is not finite"),
    "no-number": (lambda data: data["score"].update(lowest=float("nan")), "a number is not finite"),
    "large": (lambda data: data["score"].update(possible=10**400), "a number is not finite, or too large"),
    "far-away": (
        lambda data: data["places"]["src/a.py:3"][0].update(line=10**10),
        "a number is not finite, or too large",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_document_of_a_grade_is_refused_with_the_place(name: str, tmp_path: Path) -> None:
    change, complaint = WRONG[name]
    data = json.loads(json.dumps(document(a_grade())))
    change(data)
    path = tmp_path / "grade.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=complaint):
        read_grade(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[]", "is not of type 'object'"),
        (b" " * (MAX_BYTES + 1), "larger than 64 MiB"),
    ],
)
def test_what_is_no_json_is_refused(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "grade.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        read_grade(path)


@pytest.mark.parametrize("name", ["missing.json", "folder"])
def test_what_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=f"cannot read .*{name}"):
        read_grade(tmp_path / name)
