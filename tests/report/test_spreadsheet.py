from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from grader.report.formats import FORMATS, Settings, write_file
from grader.report.losses import place_of
from grader.report.spreadsheet import COLUMNS
from grader.results import Status
from tests.report.grades import a_grade
from tests.report.samples import ORDINARY, SAMPLES, changed, dearness, sample, written

if TYPE_CHECKING:
    from pathlib import Path


def rows(name: str) -> list[dict[str, str]]:
    lines = written("csv", name).splitlines(keepends=True)
    return list(csv.DictReader(lines, strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_a_criterion_and_no_formula(name: str) -> None:
    table = list(csv.reader(written("csv", name).splitlines(keepends=True), strict=True))
    assert tuple(table[0]) == COLUMNS
    assert [len(row) for row in table] == [len(COLUMNS)] * (1 + len(sample(name).criteria))
    numbers = {COLUMNS.index(each) for each in ("points", "earned", "lost", "open")}
    for row in table:
        for number, cell in enumerate(row):
            assert number in numbers or not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("name", ORDINARY)
def test_points_status_and_place_come_back_the_dearest_loss_first(name: str) -> None:
    grade = sample(name)
    found = {row["criterion"]: row for row in rows(name)}
    for row in grade.criteria:
        told = found[row.id]
        lost, still_open = dearness(row)
        numbers = [float(told[each]) for each in ("points", "earned", "lost", "open")]
        assert numbers == [row.points, row.earned, lost, still_open]
        place = place_of(row, grade) if row.status is not Status.EARNED else None
        assert (told["status"], told["file"]) == (row.status, place.path if place else "")
        assert told["line"] == (str(place.line) if place and place.line else "")
    by_id = {row.id: row for row in grade.criteria}
    order = [dearness(by_id[row["criterion"]]) for row in rows(name)]
    assert order == sorted(order, reverse=True)


def test_a_whole_row() -> None:
    assert rows("small")[2] == {
        "section": "1",
        "task": "1.1",
        "criterion": "1.1.d",
        "title": "title of 1.1.d",
        "status": "blocked",
        "points": "1",
        "earned": "0",
        "lost": "1",
        "open": "0",
        "evidence": "runs",
        "blocked_by": "1.1.b",
        "file": "",
        "line": "",
        "reason": "0 of 1 point, blocked: 1.1.b was lost",
    }


def test_pandas_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "grade.csv"
    write_file("csv", path, a_grade(), Settings())
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == 8
    table = pd.read_csv(path)
    assert float(table["earned"].sum()) == a_grade().score.earned
    assert list(table["status"]) == [
        *("lost", "partial", "blocked", "unverified", "error", "earned", "earned")
    ]


@pytest.mark.parametrize("begin", [*"=+-@", *"\uff1d\uff0b\uff0d\uff20", " =", "\n="])
def test_what_begins_like_a_formula_is_text(begin: str) -> None:
    grade = changed(a_grade(), lambda _, part: replace(part, blocked_by=f"{begin}1", status=Status.BLOCKED))
    stream = io.StringIO()
    FORMATS["csv"].write(grade, stream, Settings())
    found = csv.DictReader(stream.getvalue().splitlines(keepends=True))
    assert {row["blocked_by"] for row in found} == {f"'{begin.strip()}1"}
