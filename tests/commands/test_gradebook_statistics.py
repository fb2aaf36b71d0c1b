from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.gradebook.anonymous import Names
from grader.cohort.gradebook.decisions import override, target
from grader.cohort.gradebook.store import open_gradebook
from grader.cohort.sources.model import Person
from grader.cohort.statistics import Row
from grader.commands.gradebook_statistics import sheets_of, similar_command, spread, stats_command
from grader.errors import UsageError
from grader.exam.bundled import REFERENCE_SOLUTION
from grader.results import Status
from tests.cohort.gradebook.books import hand_in, whose
from tests.commands.gradebooks import NAMES, full_book

if TYPE_CHECKING:
    from pathlib import Path


def marked(earned: int, possible: int = 20) -> Row:
    return Row(task="t", status=Status.LOST, earned=earned, possible=possible)


@pytest.mark.parametrize(
    ("points", "spread_out"),
    [
        (25, [10, 5, 10]),
        (24, [9, 5, 10]),
        (0, [0, 0, 0]),
        (30, [15, 5, 10]),
        (50, [20, 20, 10]),
        (60, [20, 20, 20]),
    ],
)
def test_a_task_that_was_overridden_as_a_whole_is_spread(points: int, spread_out: list[int]) -> None:
    found = spread({"a": marked(10), "b": marked(5), "c": marked(10)}, points)
    assert [row.earned for row in found.values()] == spread_out
    assert all(row.overridden for row in found.values())


def test_sheets_are_the_marks(tmp_path: Path) -> None:
    with open_gradebook(full_book(tmp_path / "book.db"), write=True) as book:
        with book.transaction():
            override(book, target(book, whose(book, "i-1"), "1.1"), 100, author="x", reason="y")
        sheets = {sheet.candidate: sheet for sheet in sheets_of(book, Names(book))}
        marks = {Names(book).full(row["candidate"]): row["points"] for row in book.rows("SELECT * FROM mark")}
    assert {name: sum(row.earned for row in sheet.rows.values()) for name, sheet in sheets.items()} == marks
    gia = sheets["Gia Große (g-1)"].rows["1.1.b"]
    assert (gia.task, gia.status, gia.earned, gia.possible, gia.overridden) == (
        "1.1",
        Status.LOST,
        20,
        20,
        True,
    )
    assert gia.seconds == 0.25
    assert len(gia.fingerprint) == 16


def test_statistics_in_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = full_book(tmp_path / "book.db")
    assert stats_command(path) == 0
    assert capsys.readouterr().out.startswith("3 candidates, 0 with every criterion decided\n")
    stats_command(path, form="json", anonymous=True)
    said = capsys.readouterr().out
    assert json.loads(said)["exam"]["pass_mark"] == 3
    assert [name for name in NAMES if name in said] == []


def test_without_marks_there_are_no_statistics(tmp_path: Path) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True):
        pass
    with pytest.raises(UsageError, match="has a mark yet: `grader batch` grades"):
        stats_command(tmp_path / "book.db")


SCRIPT = "\n".join(
    f"def part_{number}(frame, limit={number}):\n    chosen = frame[frame['x{number}'] > limit]\n"
    f"    return chosen.groupby('k{number}').agg(sum_{number}=('v', 'sum')).reset_index()\n"
    for number in range(12)
)
"""What nobody else writes."""


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    """Two with the same script, one with the reference solution's, a group, and one whose folder is gone."""
    works = {"ann": SCRIPT, "bob": SCRIPT.replace("frame", "table"), "group": "print(1)\n"}
    for name, text in works.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "job.py").write_text(text)
    (tmp_path / "in" / "ref").mkdir()
    (tmp_path / "in" / "ref" / "train.py").write_bytes((REFERENCE_SOLUTION / "src" / "train.py").read_bytes())
    path = tmp_path / "book.db"
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        for name in ("ann", "bob", "ref"):
            hand_in(book, Person(key=name), digest=name, source=str(tmp_path / "in" / name))
        pair = (Person(key="one"), Person(key="two"))
        hand_in(book, *pair, digest="group", source=str(tmp_path / "in" / "group"))
        hand_in(book, Person(key="gone"), digest="gone", source=str(tmp_path / "in" / "gone"))
    return path


def found(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def test_similar_works_are_found_where_they_were(handed_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert similar_command(handed_in, form="json") == 0
    result, said = found(capsys)
    assert [(pair["left"], pair["right"]) for pair in result["pairs"]] == [("ann", "bob")]
    assert said.startswith("not compared: gone: there is nothing at ")
    similar_command(handed_in, form="json", anonymous=True)
    result, said = found(capsys)
    assert {each[:10] for pair in result["pairs"] for each in (pair["left"], pair["right"])} == {"candidate-"}
    assert "not compared: candidate-" in said


def test_earlier_cohorts_and_other_programs(
    handed_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("old", SCRIPT), ("other", "x = 1\n")):
        (tmp_path / "before" / name).mkdir(parents=True)
        (tmp_path / "before" / name / "job.py").write_text(text)
    similar_command(handed_in, form="json", against=[tmp_path / "before"], tree=tmp_path / "tree")
    result, _ = found(capsys)
    pairs = {(pair["left"], pair["right"]) for pair in result["pairs"]}
    assert pairs == {("ann", "bob"), ("ann", "before: old"), ("bob", "before: old")}
    names = sorted(each.name for each in (tmp_path / "tree" / "submissions").iterdir())
    assert names[:2] == ["ann", "before-old"]
    assert "one-and-two" in names


def test_nothing_to_compare_is_a_complaint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is where it was found: nothing can be compared"):
        similar_command(full_book(tmp_path / "book.db"))
