"""A platform's own file: what comes back is that file, but for the marks."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from grader.cohort.exports import marks
from grader.cohort.gradebook import open_gradebook
from grader.commands.gradebook_export import Choices, export_command
from grader.errors import UsageError
from tests.cohort.exports.books import Submitted, add, done, make_book, override, person
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from pathlib import Path

MOODLE = (
    '\ufeffIdentifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",'
    '"Last modified (submission)","Last modified (grade)","Feedback comments"\r\n'
    '"Participant 4711","Jane Doe",jane@x.example,"Submitted for grading",{},70.00,Yes,"Monday, 30 November'
    ' 2026, 9:00 AM",-,"<p>=1+1\r\nline, two</p>"\r\n'
    '"Participant 0012","=Jöhn ""J"" 💡",john@x.example,"Submitted for grading",{},70.00,Yes,1e5,-,\r\n'
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Essay (1),MLOps exam (77),Current Score\r\n"
    ",,,,,Manual Posting,,\r\n"
    "    Points Possible,,,,,10.00,7,(read only)\r\n"
    '"Doe, Jane",501,S1,jane,"A, B",9.00,{},88\r\n'
    '"Smith, John",502,0012,john@x.example,A,,{},\r\n'
    '"Student, Test",999,,,A,,,\r\n'
)


def run(
    form: str, text: str | bytes, folder: Path, choices: Choices, capsys: pytest.CaptureFixture[str]
) -> tuple[int, bytes, list[str]]:
    """Exit status, the file, and what was said."""
    worksheet, output = folder / "in.csv", folder / "out.csv"
    worksheet.write_bytes(text if isinstance(text, bytes) else text.encode())
    code = export_command(
        form, gradebook=folder / "g.db", worksheet=worksheet, output=output, choices=choices
    )
    return code, output.read_bytes(), capsys.readouterr().out.replace(f"{folder}/", "").splitlines()


def test_moodle_gets_one_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(
        tmp_path / "g.db",
        done("4711", "Jane Doe", moodle="4711"),
        done("j", "=Jöhn", email="JOHN@x.example"),
    )
    override(tmp_path / "g.db", "4711", "1.1", "1.1.f", 0.75)
    code, data, said = run("moodle", MOODLE.format("", "12.00"), tmp_path, Choices(), capsys)
    assert data.decode() == MOODLE.format("47.5", "40")
    assert (code, said) == (
        0,
        ["out.csv: column Grade, 7 points are worth 70", "  2 marks: 1 new, 1 changed, 0 as before"],
    )
    table = pd.read_csv(io.BytesIO(data), dtype={"Last modified (submission)": str})
    assert table["Grade"].tolist() == [47.5, 40]
    assert table["Last modified (submission)"].tolist()[1] == "1e5"
    assert table["Feedback comments"].tolist()[0] == "<p>=1+1\r\nline, two</p>"


def test_who_is_in_one_of_both_only_is_named_and_nothing_is_erased(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(
        tmp_path / "g.db",
        Submitted(person("a", "No Zip", moodle="4711"), unreadable="not an archive"),
        done("4713", "Lost", moodle="4713"),
    )
    before = MOODLE.format("50.00", "")
    code, data, said = run("moodle", before, tmp_path, Choices(missing="0"), capsys)
    assert data.decode() == before
    assert (code, said[1:]) == (
        3,
        [
            "  0 marks: 0 new, 0 changed, 0 as before",
            '  1 in the file, not in the gradebook: =Jöhn "J" 💡 (0012)',
            "  1 in the gradebook, not in the file: Lost",
            "  1 without a mark: Jane Doe (4711) (unreadable)",
        ],
    )
    code, _, said = run("moodle", before, tmp_path, Choices(anonymous=True), capsys)
    assert "  1 in the file, not in the gradebook: 0012" in said
    assert not any("Lost" in line or "Jane" in line for line in said)


def test_zeros_for_who_handed_nothing_in_only_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(tmp_path / "g.db", done("4711", moodle="4711"))
    code, data, said = run("moodle", MOODLE.format("", ""), tmp_path, Choices(missing="0"), capsys)
    assert (code, data.decode()) == (0, MOODLE.format("40", "0"))
    assert said[2] == "  1 who handed nothing in: 0"
    code, data, _ = run(
        "moodle", MOODLE.format("", "-5"), tmp_path, Choices(missing="0", column="grade"), capsys
    )
    assert (code, data.decode()) == (3, MOODLE.format("40", "-5"))


def test_other_languages_and_separators(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path / "g.db", done("1", moodle="1"), done("2", moodle="2"))
    sheet = (
        "ID;Vollständiger Name;Status;Bewertung;Bestwertung;Änderbar\n"
        "Teilnehmer/in 1;Ä;Abgegeben;{};10,00;Ja\nTeilnehmer/in 2;B;Abgegeben;;10,00;Ja\n"
    )
    code, data, _ = run("moodle", sheet.format("").encode("cp1252"), tmp_path, Choices(), capsys)
    filled = sheet.format("5,71429").replace("B;Abgegeben;;", "B;Abgegeben;5,71429;")
    assert (code, data.decode("cp1252")) == (0, filled)


def test_marks_above_the_maximum_are_the_maximum_at_moodle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(tmp_path / "g.db", done("4711", moodle="4711"), done("12", moodle="0012"))
    for task, points in (("1.1", 7.0), ("B1", 1.0)):
        override(tmp_path / "g.db", "4711", task, "", points)
    code, data, said = run("moodle", MOODLE.format("", "x"), tmp_path, Choices(), capsys)
    assert (code, data.decode()) == (3, MOODLE.format("70", "x"))
    assert said[2:] == [
        "  1 above the maximum, which they get: Jane Doe (4711)",
        '  1 left as they were: =Jöhn "J" 💡 (0012) (x)',
    ]
    _, data, said = run("moodle", MOODLE.format("", ""), tmp_path, Choices(full=8), capsys)
    assert (data.decode(), said[0]) == (
        MOODLE.format("70", "35"),
        "out.csv: column Grade, 8 points are worth 70",
    )


def test_canvas_gets_one_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path / "g.db", done("501", "Jane", canvas="501"), done("0012", "John"))
    override(tmp_path / "g.db", "501", "1.1", "", 7)
    for column in ("MLOps exam", "77", "mlops exam (77)"):
        code, data, said = run("canvas", CANVAS.format("", "EX"), tmp_path, Choices(column=column), capsys)
        assert (code, data.decode()) == (3, CANVAS.format("8", "EX"))
        assert said == [
            "out.csv: column MLOps exam (77), 7 points are worth 7",
            "  1 mark: 1 new, 0 changed, 0 as before",
            "  1 left as they were: Smith, John (502) (EX)",
        ]
    code, data, _ = run("canvas", CANVAS.format("1", "4.00"), tmp_path, Choices(column="77"), capsys)
    assert (code, data.decode()) == (0, CANVAS.format("8", "4.00"))


def test_two_of_one_identity_get_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(
        tmp_path / "g.db",
        done("a", "Anna", email="jane@x.example"),
        done("b", "Bert", email="jane@x.example"),
        done("4712", "Carl", moodle="0012"),
    )
    code, data, said = run("moodle", MOODLE.format("", ""), tmp_path, Choices(missing="0"), capsys)
    assert (code, data.decode()) == (3, MOODLE.format("", "40"))
    assert said[2:] == [
        "  2 in the gradebook, not in the file: Anna, Bert",
        "  1 in the file, but it is not clear who of the gradebook they are: Jane Doe (4711)",
    ]


@pytest.mark.parametrize(
    ("form", "text", "complaint"),
    [
        ("moodle", "a,b\n", "has no rows"),
        ("moodle", "a,b\n1,2\n", "is not Moodle's grading worksheet"),
        ("moodle", "Identifier,Scale,Grade\nParticipant 1,A,\n", "no column that could be the grade"),
        ("moodle", "Identifier,A,B,C,D\nP 1,,9,,9\nP 2,,9,,9\n", "several columns that could be the grade"),
        ("canvas", MOODLE.format("", ""), "is not Canvas's gradebook"),
        ("canvas", CANVAS.format("", ""), "there are: Essay (1), MLOps exam (77)"),
        ("canvas", "Student,ID,Section,E (1)\nA,1,,\n", "does not say the points possible of E (1)"),
    ],
)
def test_files_that_do_not_say_enough(
    form: str, text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(tmp_path / "g.db", done("1", moodle="1"))
    with pytest.raises(UsageError) as raised:
        run(form, text, tmp_path, Choices(), capsys)
    assert complaint in str(raised.value)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("column", ["nothing", "Current Score", "Student", "ID"])
def test_a_column_that_is_no_assignments(
    column: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(tmp_path / "g.db", done("1", canvas="501"))
    with pytest.raises(UsageError):
        run("canvas", CANVAS.format("", ""), tmp_path, Choices(column=column), capsys)


def test_nothing_is_written_while_something_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(
        tmp_path / "g.db",
        Submitted(person("a", "Anna", moodle="4711"), a_grade()),
        Submitted(person("b", "Bert", moodle="0012")),
    )
    with pytest.raises(UsageError) as raised:
        run("moodle", MOODLE.format("", ""), tmp_path, Choices(), capsys)
    assert "2 candidates are not graded completely: Anna (1.1.e, 1.1.f); Bert (is not graded yet)." in str(
        raised.value
    )
    found = {}
    for choice in ("lowest", "highest", "blank"):
        choices = Choices(incomplete=choice, missing="0")
        code, data, _ = run("moodle", MOODLE.format("9", ""), tmp_path, choices, capsys)
        found[choice] = (code, data.decode())
    assert found == {
        "lowest": (3, MOODLE.format("30", "")),
        "highest": (3, MOODLE.format("50", "")),
        "blank": (3, MOODLE.format("9", "")),
    }


def test_of_many_open_criteria_a_few_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "MAX_CRITERIA", 1)
    make_book(tmp_path / "g.db", Submitted(person("a", "Anna", moodle="4711"), a_grade()))
    with pytest.raises(UsageError, match=r": Anna \(1\.1\.e and 1 more\)\. Grade again"):
        run("moodle", MOODLE.format("", ""), tmp_path, Choices(), capsys)


def test_a_newer_submission_is_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its earlier mark is not handed out as if nothing had been handed in since."""
    make_book(tmp_path / "g.db", done("a", "Anna", moodle="4711"), done("b", "Bert", moodle="0012"))
    with open_gradebook(tmp_path / "g.db", write=True) as book, book.transaction():
        add(book, Submitted(person("a", "Anna")), "digest-of-a-second-one")
        add(book, Submitted(person("b", "Bert"), unreadable="not an archive"), "")
    with pytest.raises(
        UsageError, match=r"1 candidate is .*: Anna \(a newer submission is not graded yet\)\."
    ):
        run("moodle", MOODLE.format("", ""), tmp_path, Choices(), capsys)
    code, data, _ = run("moodle", MOODLE.format("", ""), tmp_path, Choices(incomplete="blank"), capsys)
    assert (code, data.decode()) == (3, MOODLE.format("", "40"))
