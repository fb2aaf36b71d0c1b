"""The commands as users type them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grader.cli import app
from grader.cohort.exports.forms import FORMS
from grader.error_handler import exit_code_of
from tests.cohort.exports.books import Submitted, done, make_book, person
from tests.cohort.exports.test_round_trips import MOODLE
from tests.report.grades import a_grade

README = Path(__file__).parents[3] / "README.md"


def grader(*words: str | Path) -> int:
    return exit_code_of(lambda: app(["gradebook", *map(str, words)], standalone_mode=False))


def test_from_a_worksheet_to_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_book(
        Path("gradebook.db"),
        done("4711", moodle="4711"),
        Submitted(person("j", "John", moodle="0012"), a_grade()),
    )
    Path("in.csv").write_text(MOODLE.format("", ""), "utf-8", newline="")
    Path("o.csv").write_text("key,criterion,points,reason\nj,1.1.e,1,seen\nj,1.1.f,0,seen\n")
    moodle = ("export", "moodle", "in.csv", "-o", "out.csv", "--full", "8", "--maximum", "80")
    assert grader(*moodle) == 2
    assert "John (1.1.e, 1.1.f)" in capsys.readouterr().err
    assert grader("import", "roster", "in.csv", "--dry-run") == 0
    assert grader("import", "overrides", "o.csv", "--author", "me") == 0
    assert grader(*moodle, "--column", "GRADE", "--incomplete", "blank", "--missing", "0") == 0
    assert Path("out.csv").read_bytes().decode() == MOODLE.format("40", "40")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("export", "csv", "-g", "none.db"), "there is no gradebook none.db"),
        (("export", "pdf"), "pdf"),
        (("export", "moodle"), "name the file of the platform"),
        (("export", "moodle", "none.csv", "-o", "o.csv"), "cannot read none.csv: No such file"),
        (("export", "moodle", "in.csv", "-o", "o.csv", "--full", "-1"), "--full -1 must be more than 0"),
        (("export", "html", "-o", "g.db/x"), "cannot write"),
        (("export", "all", "-o", "no/x.zip"), "cannot write to no/x.zip"),
        (("import", "roster", "none.csv"), "none.csv cannot be read"),
        (("import", "overrides", "in.csv"), "has no column key"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_book(Path("g.db"), done("4711", moodle="4711"))
    Path("in.csv").write_text(MOODLE.format("", ""), "utf-8", newline="")
    given = words if "-g" in words else (*words, "-g", "g.db")
    assert grader(*given) == 2
    said = capsys.readouterr().err
    assert complaint in " ".join(said.split())
    assert not Path("o.csv").exists()


def test_the_docs_have_every_form() -> None:
    table = README.read_text("utf-8").partition("| form | what it writes |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z0-9-]+)(?: FILE)?`(?=[^|]*\|[^|]*\|\n?)", table)) >= set(FORMS)
