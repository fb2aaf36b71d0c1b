"""The `grader` command as a user types it: real processes, exit codes, one line of complaint."""

from __future__ import annotations

import json
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


def grader(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grader", *words],
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
    assert "0.0 / 110  NOT PASSED" in done.stdout
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


def test_output_goes_to_a_file_and_the_terminal_still_shows(tmp_path: Path) -> None:
    target = tmp_path / "grade.json"
    done = grader(
        "score", str(REFERENCE_SOLUTION), "--static", "--task", "4.2", "--format", "json", "-o", str(target)
    )
    assert done.returncode == 0
    assert json.loads(target.read_text())["score"]["earned"] == 8
    assert "8.0 / 8  PASS" in done.stdout


@pytest.mark.parametrize(("mark", "status"), [("8", 0), ("8.5", 1)])
def test_the_pass_mark_can_be_moved(mark: str, status: int) -> None:
    done = grader("score", str(REFERENCE_SOLUTION), "--static", "-q", "--task", "4.2", "--fail-under", mark)
    assert done.returncode == status
    assert done.stdout.startswith("8.0 / 8  ")


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
