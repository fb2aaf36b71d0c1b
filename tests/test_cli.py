"""The `grader` command as a user types it: real processes, exit codes, one line of complaint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest

from grader.exam.bundled import REFERENCE_SOLUTION
from grader.schemas import load
from tests.editing import reference_copy, without_times

if TYPE_CHECKING:
    from pathlib import Path


def grader(
    *words: str, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    usual = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run(
        [sys.executable, "-m", "grader", *words],
        env={**usual, **(env or {})},
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("score", "no/such/folder"), "grader: there is nothing at no/such/folder\n"),
        (("score", "README.md"), "README.md"),
        (("score", ""), "grader: there is no submission: its path is empty\n"),
        (("score", ".", "--task", "4."), "grader: no task '4.' in this exam; did you mean 4.1 or 4.2?\n"),
        (("score", ".", "--task", "4.2,4.2.req"), "grader: no task '4.2.req' in this exam; did you mean"),
        (("score", ".", "--task", "4.2,"), "grader: no task '' in this exam (it has 1.1, "),
        (("score", ".", "--task", "4.7"), "grader: no task '4.7' in this exam"),
        (("score", ".", "--section", "9"), "grader: no section '9' in this exam"),
        (("score", ".", "--output", "no/such/folder/x"), "grader: cannot write to no/such/folder/x"),
        (("score", ".", "--exam", "nowhere"), "nowhere"),
        (("rubric", "lint", "nowhere"), "nowhere"),
        (("rubric", "show", "9.9"), "grader: no task '9.9' in this exam"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_line_and_status_2(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    (tmp_path / "README.md").write_text("no archive")
    done = grader(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr + done.stdout
    assert len((done.stderr + done.stdout).splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("score",), ("score", ".", "--seed", "x"), ("nonsense",)], ids=" ".join)
def test_a_wrong_command_line_is_status_2(words: tuple[str, ...]) -> None:
    done = grader(*words)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_an_empty_folder_scores_nothing_and_gets_one_line_a_task(tmp_path: Path) -> None:
    done = grader("score", str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.count("nothing was handed in for this task yet") == 16
    assert "\n0 / 110  NOT PASSED" in done.stdout
    assert "complete" in done.stdout


def test_static_grade_of_the_reference_loses_nothing() -> None:
    done = grader("score", str(REFERENCE_SOLUTION), "--static", "--format", "json")
    assert done.returncode == 3
    result = json.loads(done.stdout)
    jsonschema.Draft202012Validator(load("result")).validate(result)
    criteria = [row for part in result["sections"] for task in part["tasks"] for row in task["criteria"]]
    assert {row["status"] for row in criteria} == {"earned", "unverified"}
    assert result["score"]["highest"] == result["score"]["possible"] == 110
    assert result["isolation"] == "static"


@pytest.mark.parametrize(
    ("command", "table"),
    [
        ("score", "grader.report.formats.FORMATS"),
        ("report", "grader.report.formats.FORMATS"),
        ("verify", "grader.corpus.report.WRITERS"),
    ],
)
def test_a_writer_more_is_a_format_more(command: str, table: str) -> None:
    code = (
        f"import sys, pkgutil; pkgutil.resolve_name({table!r})['page'] = None;"
        "from grader.cli import main; main()"
    )
    words = [sys.executable, "-c", code, command, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert re.search(r"--format <(?:\w+\|)+page>", done.stdout)


def test_output_goes_to_a_file_and_the_terminal_still_shows(tmp_path: Path) -> None:
    target = tmp_path / "grade.json"
    done = grader(
        "score", str(REFERENCE_SOLUTION), "--static", "--task", "4.2", "--format", "json", "-o", str(target)
    )
    assert done.returncode == 0
    assert json.loads(target.read_text())["score"]["earned"] == 8
    assert "8 / 8  PASS" in done.stdout


@pytest.mark.parametrize(("mark", "status"), [("8", 0), ("8.5", 1)])
def test_the_pass_mark_can_be_moved(mark: str, status: int) -> None:
    done = grader("score", str(REFERENCE_SOLUTION), "--static", "-q", "--task", "4.2", "--fail-under", mark)
    assert done.returncode == status
    assert done.stdout.startswith("8 / 8  ")


@pytest.mark.parametrize(
    ("tasks", "mark", "words", "status"),
    [
        (("1.3", "4.1"), "5", (), 0),  # 5 of 17 are earned: enough, whatever 4.1 comes to
        (("1.3", "4.1"), "5", ("--strict",), 3),
        (("1.3", "4.1"), "18", (), 1),  # nor could it be enough
        (("1.3", "4.1"), "18", ("--strict",), 3),
        (("1.3", "4.1"), "6", (), 3),
        (("1.3",), "5", ("--strict",), 0),
        (("1.3",), "6", ("--strict",), 1),
    ],
)
def test_a_certain_verdict_is_told_whatever_is_open(
    tasks: tuple[str, ...], mark: str, words: tuple[str, ...], status: int
) -> None:
    chosen = ("--task", ",".join(tasks), "--fail-under", mark)
    done = grader("score", str(REFERENCE_SOLUTION), "--static", "-q", *chosen, *words)
    assert done.returncode == status
    certain = {"5": "PASS", "18": "NOT PASSED", "6": "NOT PASSED" if len(tasks) == 1 else "UNDECIDED"}
    assert f"  {certain[mark]}  " in done.stdout


def test_standard_output_can_be_named(tmp_path: Path) -> None:
    words = ("score", str(REFERENCE_SOLUTION), "--static", "--task", "4.2.replicas,1.3", "--format", "json")
    written, plain = grader(*words, "-o", "-", cwd=tmp_path), grader(*words, cwd=tmp_path)
    assert without_times(json.loads(written.stdout)) == without_times(json.loads(plain.stdout))
    assert list(tmp_path.iterdir()) == []


def test_a_criterion_is_graded_alone_and_its_file_named() -> None:
    done = grader(
        "score", str(REFERENCE_SOLUTION), "--static", "--task", "4.2.replicas,1.3", "--format", "json"
    )
    result = json.loads(done.stdout)
    tasks = [task for section in result["sections"] for task in section["tasks"]]
    assert [(task["id"], len(task["criteria"])) for task in tasks] == [("1.3", 5), ("4.2", 1)]
    assert tasks[1]["files"] == {"deployment": "k8s/deployment.yaml"}
    assert result["score"]["pass_mark"] == 4.2


@pytest.mark.parametrize("words", [("score", str(REFERENCE_SOLUTION), "--static", "-v"), ("rubric", "show")])
def test_a_reader_who_has_seen_enough_is_no_verdict(words: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "grader", *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (3 if words[0] == "score" else 0, b"")


def test_an_output_that_is_not_utf_8() -> None:
    words = ("score", str(REFERENCE_SOLUTION), "--static", "--task", "1.3")
    shown = grader(*words, env={"PYTHONIOENCODING": "ascii"})
    assert (shown.returncode, "+ + + + +" in shown.stdout) == (0, True)
    document = grader(*words, "--format", "json", env={"PYTHONIOENCODING": "ascii"})
    assert without_times(json.loads(document.stdout)) == without_times(
        json.loads(grader(*words, "--format", "json").stdout)
    )


@pytest.mark.parametrize(
    ("words", "variables", "coloured"),
    [
        ((), {}, False),
        ((), {"FORCE_COLOR": "1"}, True),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color=never",), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_asked_for_as_elsewhere(
    words: tuple[str, ...], variables: dict[str, str], coloured: bool
) -> None:
    done = grader("score", str(REFERENCE_SOLUTION), "--static", "--task", "1.3", *words, env=variables)
    assert ("\x1b[" in done.stdout, done.stderr) == (coloured, "")
    assert re.findall(r"\x1b\[[0-9;?]*[^0-9;?m]", done.stdout) == []  # colours, and no cursor


@pytest.mark.parametrize("words", [("score",), ("rubric", "lint"), ("verify",), ("init",)], ids=" ".join)
def test_help_is_a_command_too(words: tuple[str, ...]) -> None:
    helped, asked = grader("help", *words), grader(*words, "--help")
    assert (helped.returncode, helped.stdout) == (0, asked.stdout)
    assert f" grader {' '.join(words)} " in helped.stdout
    assert "<bool>" not in helped.stdout


def test_help_of_nothing_is_status_2() -> None:
    done = grader("help", "nonsense")
    assert (done.returncode, "No such command 'nonsense'" in done.stderr) == (2, True)


def test_a_cache_that_cannot_be_written_is_said_once_and_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = grader("score", str(REFERENCE_SOLUTION), env={"GRADER_CACHE_DIR": f"{tmp_path}/file/cache"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"grader: the cache directory {tmp_path}/file/cache cannot be written: Not a directory; "
        "name another in GRADER_CACHE_DIR\n"
    )


def test_the_same_submission_gives_the_same_document_but_for_times(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "submission")
    documents = []
    for _ in range(3):
        result = json.loads(grader("score", str(root), "--static", "--format", "json").stdout)
        documents.append(without_times(result))
    assert documents[1:] == documents[:1] * 2


def test_doctor_says_what_each_tool_decides() -> None:
    done = grader("doctor")
    assert done.returncode == 0
    assert "promtool" in done.stdout
    assert "statically" in done.stdout


def test_lint_is_clean_and_show_names_every_task() -> None:
    assert grader("rubric", "lint").returncode == 0
    shown = grader("rubric", "show")
    assert shown.returncode == 0
    assert all(f"{number}" in shown.stdout for number in ("1.1", "4.2.replicas", "B2.deploy-dev"))


@pytest.mark.parametrize(
    ("before", "after"),
    [((64, 5000), (5000, 5000)), ((64, 64), (64, 64)), ((900, 900), (900, 900))],
    ids=["low", "at the most", "equal"],
)
def test_as_many_files_may_be_open_as_the_machine_allows(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    code = (
        "import resource\nfrom grader.cli import raise_file_limit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, {before})\nraise_file_limit()\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{after}\n"


def test_version() -> None:
    assert grader("--version").stdout.startswith("grader ")
