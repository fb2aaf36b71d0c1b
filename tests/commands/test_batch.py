"""`grader batch` as a user gives it, with stand-ins for agents; one batch is real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from grader.cli import app
from grader.cohort.batch import Batch
from grader.cohort.executor import local
from grader.cohort.gradebook import open_gradebook
from grader.error_handler import exit_code_of
from grader.exam.bundled import REFERENCE_SOLUTION
from grader.report.document import document
from grader.session import STATIC, Options, score_submission
from tests.cohort.dispatcher import STAND_IN


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document that stand-ins answer with: of a grade that is complete."""
    path = tmp_path_factory.mktemp("answer") / "grade.json"
    grade = score_submission(str(REFERENCE_SOLUTION), Options(isolation=STATIC, tasks=("4.2", "6.1")))
    path.write_text(json.dumps(document(grade)))
    return path


@pytest.fixture(autouse=True)
def _stand_ins(answer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "COMMAND", STAND_IN)
    monkeypatch.setattr(local, "PATIENCE", 2.0)
    monkeypatch.setenv("STAND_IN_DOCUMENT", str(answer))
    monkeypatch.chdir(tmp_path)


def given(*names: str, what: str = "answer") -> None:
    for name in names:
        Path("all", name).mkdir(parents=True)
        Path("all", name, what).touch()


def batch(*words: str) -> int:
    return exit_code_of(lambda: app(["batch", "all", "--no-canaries", *words], standalone_mode=False))


def rows(query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect("gradebook.db")) as database:
        return database.execute(query).fetchall()


def test_what_is_found_is_said_first_and_what_came_of_it_last(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann", "bob")
    assert batch() == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "all: folder of submissions, 2 submissions of 2 candidates"
    assert "2 graded, 0 before" in said.out.splitlines()
    assert said.err.splitlines() == ["grader: 2 to grade, 0 graded already"]
    assert rows("SELECT key, complete FROM mark JOIN candidate ON candidate = id ORDER BY key") == [
        ("ann", 1),
        ("bob", 1),
    ]


def test_unreadable_and_given_up_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann")
    given("bob", what="die")
    Path("all/carl.zip").write_text("no archive")
    given("dora", what="unreadable")
    assert batch("-j", "1") == 3
    said = capsys.readouterr()
    assert "grader:   dora cannot be read: it is no submission" in said.err.splitlines()
    assert [line for line in said.out.splitlines() if "given up" in line] == [
        "  bob: given up: the agent died: killed by SIGABRT"
    ]
    assert rows("SELECT count(*) FROM mark") == [(1,)]


def test_a_dry_run_grades_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann")
    assert batch("--dry-run") == 0
    assert "grader: 1 to grade, 0 graded already" in capsys.readouterr().err
    assert rows("SELECT count(*) FROM result") == [(0,)]


def test_only_some_candidates(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann", "anna", "bob")
    assert batch("--only", "ANN") == 0
    assert "2 graded, 0 before" in capsys.readouterr().out
    assert batch() == 0
    assert "1 graded, 2 before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--only", "zoe"), "--only zoe: no candidate is named like that"),
        (("--deadline", "noon"), "--deadline noon: write it like 2026-02-01T18:00+01:00"),
        (("--deadline", "2026-02-01"), "the deadline does not say its zone: write 2026-02-01T18:00+01:00"),
        (("--exam", "nowhere"), "nowhere"),
    ],
)
def test_what_is_of_no_use(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given("ann")
    assert batch(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_one_submission_is_no_cohort(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(REFERENCE_SOLUTION, "all")
    assert batch() == 2
    assert "all is one submission, not many: use `grader score " in capsys.readouterr().err


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given("ann")

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert batch() == 0
    assert rows("SELECT who FROM event WHERE what = 'batch'") == [(f"user {os.getuid()}",)]


def test_two_batches_on_one_gradebook(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann")
    with open_gradebook(Path("gradebook.db"), write=True, create=True):
        assert batch() == 2
    assert "is being written by another grader (process" in capsys.readouterr().err


def test_a_second_batch_leaves_alone_what_the_first_one_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """What is put together is removed and made anew, and the first batch may be grading just that."""
    Path("all").mkdir()
    for name in ("doe_501_9001_answer", "doe_501_9002_notes.md", "roe_502_9003_answer", "roe_502_9004_a.md"):
        Path("all", name).touch()
    assert batch() == 0
    made = sorted(Path("gradebook.db.files/together").glob("*/*"))
    for path in made:
        path.write_text("being read")
    with open_gradebook(Path("gradebook.db"), write=True):
        assert batch() == 2
    assert [path.read_text() for path in made] == ["being read"] * 4
    assert "is being written by another grader (process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gradebook", "complaint"),
    [
        ("", "is a folder, and a gradebook is a file: name one in it"),
        ("all", "all is a folder, and a gradebook is a file: name one in it"),
        ("garbage", "garbage is no gradebook: it is not a database"),
        ("nowhere/g.db", "there is no folder nowhere for a gradebook: make it first"),
        ("/proc/g.db", "the gradebook /proc/g.db cannot be written there (No such file or directory)"),
        ("a" * 300, "cannot be read: File name too long"),
    ],
)
def test_a_gradebook_that_can_be_none_is_told_before_the_source_is_read(
    gradebook: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given("ann")
    Path("garbage").write_text("garbage")
    before = sorted(Path().iterdir())
    assert batch("--gradebook", gradebook) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert complaint in line
    assert (said.out, [path.name for path in before]) == (
        "",
        [path.name for path in sorted(Path().iterdir()) if path.suffix != ".lock"],
    )


def test_a_source_of_no_use_leaves_no_gradebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert batch() == 2
    assert "there is nothing at " in capsys.readouterr().err
    assert not Path("gradebook.db").exists()


def test_a_gradebook_among_the_submissions_is_none_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann")
    for _ in range(2):
        assert batch("--gradebook", "all/g.db") == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[2] for line in said if "skipped" in line] == ["log"]  # of the stand-in


def test_who_reads_the_output_may_go() -> None:
    """As in `grader batch … | head`: the marks are wanted all the same, and the exit status is of them."""
    given("ann")
    given("bob", what="die")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert batch("-j", "1") == 3
    assert rows("SELECT count(*) FROM mark") == [(1,)]


def test_people_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    Path("all").mkdir()
    for name in ("doe_501_9001_die", "doe_502_9002_die", "anon_503_9003_die"):
        Path("all", name).touch()
    assert batch("-j", "1") == 3
    said = [line for line in capsys.readouterr().out.splitlines() if "given up" in line]
    assert sorted(line.partition(":")[0] for line in said) == ["  anon_503", "  doe (501)", "  doe (502)"]


def test_what_is_not_listed_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann")
    for number in range(23):
        Path(f"all/{number}.zip").write_text("no archive")
    assert batch("--dry-run") == 0
    assert capsys.readouterr().err.splitlines()[-1] == "grader:   and 3 more cannot be read"


def test_a_pattern_with_wildcards_is_of_whole_names(capsys: pytest.CaptureFixture[str]) -> None:
    given("ann", "joanna", "[x]")
    for pattern, expected in (("ann*", 1), ("*ann*", 2), ("ann", 2), ("[x]", 1), ("[", 1), ("?x?", 1)):
        assert batch("--only", pattern, "--dry-run") == 0
        assert f"grader: {expected} to grade, 0 graded already" in capsys.readouterr().err


def test_ctrl_c_while_it_reads_plans_nothing_of_half_a_cohort(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given("ann", "bob")

    def look(*_: object) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGINT)
        return {}

    monkeypatch.setattr(Batch, "look", look)
    assert batch() == 130
    assert "stopped while it read submissions: nothing was graded" in capsys.readouterr().err
    assert rows("SELECT * FROM job") == []
