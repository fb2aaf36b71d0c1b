"""Tables and files of candidates: every one says the mark that counts."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from grader.cohort.exports.forms import FORMS
from grader.commands.gradebook_export import Choices, export_command
from grader.errors import UsageError
from grader.report.read import parse_grade
from tests.cohort.exports.books import LOWEST, Submitted, done, make_book, override, person
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '../<img src=x>_\u202e"\n=1'


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_book(
        tmp_path_factory.mktemp("book") / "g.db",
        done("007", HOSTILE, email="@x", moodle="4711"),
        done("1e5", "Jane Doe"),
        Submitted(person("open", "Jane Doe"), a_grade()),
        Submitted(person("zip", "Zip", section="2026-01-02"), unreadable="not an archive"),
        Submitted(person("waits", "Late Comer")),
    )
    override(path, "007", "1.1", "1.1.b", 0.35, "=right\nin part")
    override(path, "007", "1.1", "1.1.f", 1, "our machine was slow")
    override(path, "1e5", "1.1", "1.1.f", 1, "hidden by the next one")
    override(path, "1e5", "1.1", "", 0.5, "copied")
    return path


def export(form: str, book: Path, output: Path, **choices: object) -> bytes:
    made = Choices(**{"incomplete": "lowest", **choices})  # type: ignore[arg-type]
    code = export_command(form, gradebook=book, worksheet=None, output=output, choices=made)
    assert code == 3  # one is unreadable, one waits
    return output.read_bytes() if output.is_file() else b""


def test_a_row_for_each_candidate(book: Path, tmp_path: Path) -> None:
    data = export("csv", book, tmp_path / "m.csv")
    table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    assert table[
        ["key", "name", "email", "section", "state", "points", "passed", "1.1", "B1"]
    ].values.tolist() == [
        ["007", '../<img src=x>_\ufffd" =1', "'@x", "", "graded", "5.35", "yes", "4.35", "1"],
        ["1e5", "Jane Doe", "", "", "graded", "1.5", "no", "0.5", "1"],
        ["open", "Jane Doe", "", "", "open", str(LOWEST), "yes", "2", "1"],
        ["waits", "Late Comer", "", "", "ungraded", "", "", "", ""],
        ["zip", "Zip", "", "2026-01-02", "unreadable", "", "", "", ""],
    ]
    assert table["remark"].tolist() == [
        "",
        "",
        "1.1.e, 1.1.f",
        "is not graded yet",
        "cannot be read: not an archive",
    ]


def test_a_row_for_each_criterion_adds_up(book: Path, tmp_path: Path) -> None:
    data = export("criteria", book, tmp_path / "c.csv")
    table = pd.read_csv(io.BytesIO(data), dtype={"key": str}, keep_default_na=False)
    assert table.groupby("key")["points"].sum().round(6).to_dict() == {"007": 5.35, "1e5": 1.5, "open": 3}
    given = table[table["overridden"] == "yes"][["key", "criterion", "points", "earned", "reason"]]
    assert given.values.tolist() == [
        ["007", "1.1.b", 0.35, 0, "'=right in part"],
        ["007", "1.1.f", 1, 0, "our machine was slow"],
        ["1e5", "", -2.5, 0, "copied"],
    ]


def test_lines_of_json(book: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in export("jsonl", book, tmp_path / "m.jsonl").splitlines()]
    assert [(line["key"], line["points"], line["before_overrides"]) for line in lines] == [
        *(("007", 5.35, 4), ("1e5", 1.5, 4), ("open", 3, 3), ("waits", None, None), ("zip", None, None))
    ]
    assert [round(sum(row["points"] for row in line["criteria"]), 6) for line in lines] == [
        5.35,
        1.5,
        3,
        0,
        0,
    ]
    assert lines[0]["identities"] == [{"system": "moodle-participant", "value": "4711"}]


def test_everything_in_one_archive_is_the_same_each_time(book: Path, tmp_path: Path) -> None:
    first = export("all", book, tmp_path / "a.zip")
    assert first == export("all", book, tmp_path / "b.zip")
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    folders = {name.split("/")[1] for name in files if name.startswith("candidates/")}
    assert folders == {"img src-x-_-1 007", "Jane Doe 1e5", "Jane Doe open"}
    assert {name for name in files if "/" not in name} == {
        *("marks.csv", "criteria.csv", "marks.jsonl", "overrides.csv", "events.jsonl")
    }
    own = {name.rpartition("/")[2]: text for name, text in files.items() if "/Jane Doe 1e5/" in name}
    assert set(own) == {
        *("feedback.html", "feedback.md", "grade.json", "grade.xml", "results.json", "result.json")
    }
    assert parse_grade(own["grade.json"].encode(), "grade.json").score.earned == 1.5
    assert (json.loads(own["results.json"])["score"], json.loads(own["result.json"])["score"]) == (1.5, 150)
    for page in (own["feedback.html"], own["feedback.md"]):
        plain = re.sub(r"[\\`]", "", page)
        assert "1.1: 0.5 of 7 points by decision of an examiner, instead of 3: copied" in plain
        assert "hidden by the next one" not in plain
    assert "our machine was slow" in files["candidates/img src-x-_-1 007/feedback.md"]
    assert [row["points"] for row in csv.DictReader(io.StringIO(files["overrides.csv"]))] == [
        "0.35",
        "1",
        "0.5",
    ]


def test_names_are_told_by_nothing_that_is_anonymous(book: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(export("all", book, tmp_path / "a.zip", anonymous=True))) as archive:
        texts = "\n".join(
            [*archive.namelist(), *(archive.read(name).decode() for name in archive.namelist())]
        )
    for told in (
        "007",
        "1e5",
        "Jane",
        "img src=x>_",
        "img src-x",
        "Late Comer",
        "not an archive",
        'examiner"',
    ):
        assert told not in texts, told
    assert len(set(re.findall(r"candidate-\d{6}", texts))) == 5


@pytest.mark.parametrize("incomplete", ["lowest", "highest"])
def test_what_is_open_is_settled_in_each_file(incomplete: str, book: Path, tmp_path: Path) -> None:
    output = tmp_path / "reports"
    export("json", book, output, incomplete=incomplete)
    score = parse_grade((output / "Jane Doe open.json").read_bytes(), "x").score
    points = {"lowest": 3, "highest": 5}[incomplete]
    assert (score.earned, score.highest, score.complete) == (points, points, True)
    with pytest.raises(UsageError, match="is not empty"):
        export("json", book, output)


def test_without_a_choice_nobody_open_gets_a_file(book: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.zip"
    with pytest.raises(UsageError, match="not graded"):
        export("html", book, output, incomplete="refuse")
    assert not output.exists()
    export("markdown", book, output, incomplete="blank")
    assert zipfile.ZipFile(output).namelist() == ["img src-x-_-1 007.md", "Jane Doe 1e5.md"]


def test_feedback_for_moodle(book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "feedback.zip"
    export("moodle-feedback", book, output)
    names = zipfile.ZipFile(output).namelist()
    assert names == ["img src-x- -1_4711_assignfeedback_file_feedback.html"]
    assert names[0].split("_", 4)[1:] == ["4711", "assignfeedback", "file", "feedback.html"]
    assert "2 without a file, as Moodle's number is not known: Jane Doe, Jane Doe" in capsys.readouterr().out


def test_a_table_goes_to_standard_output(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choices = Choices(incomplete="highest", unreadable="0")
    code = export_command("csv", gradebook=book, worksheet=None, output=None, choices=choices)
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert (code, told.err) == (3, "  1 without a mark: Late Comer (ungraded)\n")
    assert [(row["key"], row["points"]) for row in rows] == [
        *(("007", "5.35"), ("1e5", "1.5"), ("open", "5"), ("waits", ""), ("zip", "0"))
    ]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_needs_its_place(form: str, book: Path, tmp_path: Path) -> None:
    wrong = {
        "round trip": (None, tmp_path / "x"),
        "table": (tmp_path / "w.csv", None),
        "files": (None, None),
        "zip": (None, tmp_path / "no" / "x.zip"),
    }
    worksheet, output = wrong[FORMS[form].kind]
    with pytest.raises(UsageError):
        export_command(form, gradebook=book, worksheet=worksheet, output=output, choices=Choices())
