"""What candidates get: everything that grades, and nothing that answers."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from grader.checks import ALL
from grader.corpus.cases import load_cases
from grader.errors import UsageError
from grader.exam.bundled import FIXTURES, REFERENCE_SOLUTION, RUBRICS
from grader.exam.candidate_edition import write_candidate_edition
from grader.exam.loader import load_exam

PLATFORM = FIXTURES / "exams" / "platform"
MIN_TELLING = 30
"""Characters of a line that nobody writes by chance."""

IMPORT = re.compile(r"(from \S+ )?import ")


@pytest.fixture(scope="module", params=[RUBRICS, PLATFORM], ids=["bundled", "platform"])
def edition(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of an exam, and its edition for candidates."""
    folder = tmp_path_factory.mktemp("edition") / "practice"
    write_candidate_edition(load_exam(request.param, ALL), folder, ALL)
    return request.param, folder


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not an empty folder, so nothing was written"):
        write_candidate_edition(load_exam(PLATFORM, ALL), tmp_path, ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        write_candidate_edition(load_exam(PLATFORM, ALL), tmp_path / "file" / "x", ALL)


def test_it_grades_the_same_criteria(edition: tuple[Path, Path]) -> None:
    source, folder = edition
    whole = load_exam(source, ALL)
    exam = load_exam(folder / "grader/_data/rubrics", ALL)
    assert [task.criteria for task in exam.tasks] == [task.criteria for task in whole.tasks]
    assert (exam.points, exam.pass_mark, exam.environment.provides) == (
        whole.points,
        whole.pass_mark,
        whole.environment.provides,
    )
    assert {path: file.read_bytes() for path, file in exam.data.items()} == {
        path: file.read_bytes() for path, file in whole.data.items()
    }


def test_it_names_nothing_that_would_answer(edition: tuple[Path, Path]) -> None:
    exam = load_exam(edition[1] / "grader/_data/rubrics", ALL)
    assert (exam.reference, exam.environment.fallback, exam.corpus.defects, exam.corpus.canary) == (
        None,
        None,
        None,
        "",
    )
    assert [task.notes for task in exam.tasks if task.notes] == []


def test_no_file_of_a_solution_or_a_case_is_in_it(edition: tuple[Path, Path]) -> None:
    source, folder = edition
    exam = load_exam(source, ALL)
    given = {_digest(file) for file in (*exam.data.values(), exam.text) if file is not None}
    answers = {_digest(path) for root in _answers() for path in _files(root)} - given
    held = {_digest(path): path for path in _files(folder)}
    assert {path for digest, path in held.items() if digest in answers} == set()
    assert [path for path in _files(folder) if "fixtures" in path.parts or "reference" in path.parts] == []


def test_no_line_of_a_solution_or_a_case_is_in_it(edition: tuple[Path, Path]) -> None:
    source, folder = edition
    exam = load_exam(source, ALL)
    assert exam.reference is not None
    assert exam.text is not None
    # Whatever the exam's text says itself is no secret, nor are the values that its rubrics expect.
    public = exam.text.read_text("utf-8")
    telling = {
        line.strip()
        for path in _files(exam.reference)
        for line in path.read_bytes().decode("utf-8", "replace").splitlines()
        if len(line.strip()) >= MIN_TELLING and line.strip() not in public and not IMPORT.match(line)
    }
    telling -= {line for file in exam.data.values() for line in file.read_text("utf-8").splitlines()}
    telling |= {case.why for case in load_cases(exam) if len(case.why) >= MIN_TELLING}
    assert len(telling) > 30
    written = [path for path in _files(folder) if path.parts[-2:-1] != ("rubrics",)]
    lines = {line.strip() for path in written for line in path.read_text("utf-8", "replace").splitlines()}
    text = yaml.safe_dump(sorted(telling & lines))
    assert text == "[]\n"


def _answers() -> tuple[Path, ...]:
    return (REFERENCE_SOLUTION, FIXTURES)


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_size > 0]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_what_is_built_from_it_grades_and_shows_no_solution(tmp_path: Path) -> None:
    folder, wheels = tmp_path / "practice", tmp_path / "wheels"
    write_candidate_edition(load_exam(PLATFORM, ALL), folder, ALL)
    _run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(wheels), str(folder))
    (wheel,) = wheels.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    names = [path.relative_to(installed).as_posix() for path in _files(installed)]
    assert [name for name in names if "fixtures" in name or "reference_solution" in name] == []
    assert "grader/_data/rubrics/exam.yaml" in names

    # This environment's packages, and the edition instead of the grader that is installed in it.
    def practise(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, "-m", "grader", *words],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    started = practise("init", "mine")
    assert (started.returncode, started.stderr) == (0, "")
    assert "Platform and Observability Practical" in (tmp_path / "mine" / "exam.md").read_text()
    graded = practise("score", str(PLATFORM / "reference"), "--quiet")
    assert (graded.returncode, graded.stderr) == (0, "")
    assert graded.stdout.split()[0] == f"{load_exam(PLATFORM, ALL).points:g}"
    for words, said in [
        (("score", "mine", "--solution"), "there is no solution to show"),
        (("exam", "new", "own"), "this edition of the grader is for candidates"),
    ]:
        refused = practise(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
