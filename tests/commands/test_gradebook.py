"""What is shown of a gradebook, in each form, with and without names."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.gradebook.store import open_gradebook
from grader.commands.gradebook import COLUMNS, candidate_command, history_command, show_command
from grader.errors import UsageError
from tests.cohort.gradebook.books import grade, row
from tests.commands.gradebooks import NAMES, full_book

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 60
DASH = "\N{EN DASH}"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    return full_book(tmp_path / "book.db")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed; no line is too wide, and none steers a terminal."""
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= WIDTH
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)
    return [line.rstrip() for line in said.splitlines()]


def test_the_cohort_as_a_table(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_command(path) == 0
    assert lines(capsys) == [
        "5 candidates: 1 graded, 2 open, 1 unreadable, 1 missing",
        "candidate       mark",
        "=cmd|x           3/6  ✔  late, flagged",
        f"Gia Große      4{DASH}6/8  ✔  undecided, 1 overridden",
        f"Moe                {DASH}     nothing was handed in",
        f"Uma Unterwegs      {DASH}     cannot be read: Uma Unterwegs.rar",
        "                         is no archive",
        f"�[31mHui� =1   3{DASH}5/8  ✔  undecided",
    ]


def test_one_scale_is_said_once(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_command(path, only=("graded",)) == 0
    assert lines(capsys) == [
        "1 candidate of 5: 1 graded",
        "marks of 6, 3 to pass",
        "candidate   mark",
        "=cmd|x         3  ✔  late, flagged",
    ]
    assert show_command(path, find="nobody") == 0
    assert lines(capsys) == ["0 candidates of 5"]


def test_two_of_one_name_are_told_apart(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_gradebook(path, write=True) as book, book.transaction():
        book.database.execute("UPDATE candidate SET name = 'Moe' WHERE key = 'u-1'")
    show_command(path, find="moe")
    assert [line.split("  ")[0] for line in lines(capsys)[2:4]] == ["Moe (m-1)", "Moe (u-1)"]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ({}, ["i-1", "g-1", "m-1", "u-1", "h-1"]),
        ({"order": "key"}, ["g-1", "h-1", "i-1", "m-1", "u-1"]),
        ({"order": "mark"}, ["i-1", "h-1", "g-1", "m-1", "u-1"]),
        ({"order": "mark", "reverse": True}, ["g-1", "i-1", "h-1", "m-1", "u-1"]),
        ({"order": "section", "reverse": True}, ["i-1", "g-1", "m-1", "u-1", "h-1"]),
        ({"only": ["late", "unreadable"]}, ["i-1", "u-1"]),
        ({"only": ["overridden"]}, ["g-1"]),
        ({"only": ["flagged"]}, ["i-1"]),
        ({"only": ["stale"]}, []),
        ({"only": ["passed"]}, ["i-1", "g-1", "h-1"]),
        ({"find": "GROSSE"}, ["g-1"]),
        ({"find": "Groß x"}, []),
        ({"find": "example.org"}, ["g-1"]),
    ],
    ids=str,
)
def test_rows_are_selected_and_ordered(
    path: Path, capsys: pytest.CaptureFixture[str], words: dict[str, Any], keys: list[str]
) -> None:
    show_command(path, form="json", **words)
    assert [each["key"] for each in json.loads(capsys.readouterr().out)] == keys


def test_an_unknown_selection_is_a_complaint(path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^unknown selection 'lat'; did you mean 'late'\?; there are graded, "
    ):
        show_command(path, only=["lat"])


def test_the_cohort_as_json_and_csv(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_command(path, find="Große", form="json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found == {
        "key": "g-1",
        "name": "Gia Große",
        "email": "gia@example.org",
        "section": "A",
        "state": "open",
        "mark": 4.0,
        "highest": 6.0,
        "possible": 8.0,
        "passed": True,
        "complete": False,
        "late": None,
        "overridden": 1,
        "stale": 0,
        "flagged": 0,
        "submitted_at": "2026-11-01T12:00:00.000Z",
        "reason": "",
    }
    assert tuple(found) == COLUMNS
    show_command(path, form="csv", only=["flagged", "missing"])
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    time = "2026-11-01T12:00:00.000Z"
    assert rows == [
        list(COLUMNS),
        ["i-1", "'=cmd|x", "", "B", "graded", "3", "3", "6", "yes", "yes", "yes", "0", "0", "1", time, ""],
        [
            "m-1",
            "Moe",
            "",
            "",
            "missing",
            "",
            "",
            "",
            "",
            "no",
            "",
            "0",
            "0",
            "0",
            "",
            "nothing was handed in",
        ],
    ]


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_no_name_is_seen_in_anonymous_mode(path: Path, capsys: pytest.CaptureFixture[str], form: Any) -> None:
    show_command(path, anonymous=True, form=form)
    history_command(path, anonymous=True, form=form)
    for number in range(1, 6):
        if form != "csv":
            candidate_command(path, f"candidate-{number:06}", anonymous=True, form=form)
        history_command(path, f"candidate-{number:06}", anonymous=True, form=form)
    said = capsys.readouterr().out
    assert [name for name in NAMES if name in said] == []
    assert "candidate-000001" in said


def test_order_says_nothing_of_names(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for order in ("name", "key", "section"):
        show_command(path, anonymous=True, form="json", order=order)
        found = [each["key"] for each in json.loads(capsys.readouterr().out)]
        assert found == [f"candidate-00000{number}" for number in range(1, 6)]


def test_one_candidate(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert candidate_command(path, "gia") == 0
    said = [re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d", "NOW", line) for line in lines(capsys)]
    assert said == [
        "Gia Große (g-1)",
        "gia@example.org, A",
        f"4{DASH}6 of 8, passed ✔",
        "  undecided, 1 overridden",
        "  submission 1: handed in NOW, counts, /in/Gia",
        "  Große",
        "    result 1, NOW: 3",
        "",
        "1.1      3/7",
        "  1.1.b  1/1  ✘  override 1, graded 0",
        "  1.1.c  1/2  ◐",
        "  1.1.d  0/1  ⊘",
        "  1.1.e  0/1  ?",
        "  1.1.f  0/1  !",
        "B1       1/1",
        "override 1: 1.1.b 1, Gia is right (me, NOW)",
    ]
    candidate_command(path, "gia", verbose=True)
    assert "  1.1.a  1/1  ✔" in lines(capsys)
    candidate_command(path, "uma")
    said = lines(capsys)
    assert said[:4] == [
        "Uma Unterwegs (u-1)",
        "no mark",
        "  cannot be read: Uma Unterwegs.rar is no archive",
        said[3],
    ]


def test_one_candidate_after_a_regrade(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_gradebook(path, write=True) as book, book.transaction():
        grade(book, "s", [row("1.1.b", "lost", said="something else")], exam="changed")
    candidate_command(path, "gia")
    said = "\n".join(lines(capsys))
    assert "stale: what it was based on has" in said
    candidate_command(path, "gia", form="json")
    found = json.loads(capsys.readouterr().out)
    assert [each["stale"] for each in found["overrides"]] == [True]
    assert [[each["score"] for each in one["results"]] for one in found["submissions"]] == [[3.0, 0.0]]
    assert [(each["id"], each["points"], each["earned"]) for each in found["criteria"]] == [
        ("1.1.b", 1.0, 0.0)
    ]


def test_the_whole_report_of_a_candidate(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate_command(path, "i-1", report=True)
    assert "An exam" in capsys.readouterr().out


def test_history_is_in_order(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history_command(path, form="json")
    found = json.loads(capsys.readouterr().out)
    assert [(each["what"], each["candidate"], each["who"]) for each in found] == [
        ("override", "g-1", "me"),
        ("flag", "i-1", "me"),
    ]
    history_command(path, last=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d  me  flag i-1  flag 1, reason look", lines(capsys)[0])
    history_command(path, "hui", form="json")
    assert [(each["what"], each["data"]["score"]) for each in json.loads(capsys.readouterr().out)] == [
        ("graded", "3")
    ]
    history_command(path, "moe")
    assert lines(capsys) == ["nothing happened yet"]


def test_who_reads_needs_no_lock_and_waits_for_nobody(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_gradebook(path, write=True) as book, book.transaction():
        book.record("x", who="y")
        assert show_command(path) == candidate_command(path, "gia") == history_command(path) == 0
    assert "Gia" in capsys.readouterr().out
