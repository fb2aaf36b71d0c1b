from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.readers.invocations import invocations
from grader.readers.project_scripts import ProjectScript, project_scripts
from grader.readers.shell.follow import SubmissionFiles, follow
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path


def scripts(root: Path, text: str) -> dict[str, tuple[str, str, str]]:
    file = make_submission(root, {"pyproject.toml": text}).file("pyproject.toml")
    return {name: (each.module, each.function, each.where) for name, each in project_scripts(file).items()}


def test_both_tables(tmp_path: Path) -> None:
    text = """\
[project.scripts]
fit = "a.fit:main"
show = "a.show:App.run"
[tool.poetry.scripts]
fit = "b.fit:main"
load = "b.load:main"
"""
    assert scripts(tmp_path, text) == {
        "fit": ("a.fit", "main", "pyproject.toml:2"),
        "show": ("a.show", "App.run", "pyproject.toml:3"),
        "load": ("b.load", "main", "pyproject.toml:6"),
    }


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("a.b:c", ("a.b", "c")),
        ("a.b : c [fast]", ("a.b", "c")),
        ("a.b", None),  # which no installer takes
        ("a/b.py:c", None),
        ("a:b c", None),
        (":c", None),
        ("", None),
        (f"a:{'b' * 1_000}", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_references_as_the_standard_reads_them(
    tmp_path: Path, reference: str, expected: tuple[str, str] | None
) -> None:
    found = scripts(tmp_path, f"[project.scripts]\nx = '{reference}'\n")
    assert found == ({} if expected is None else {"x": (*expected, "pyproject.toml:2")})


@pytest.mark.parametrize(
    "text", ["[project]\nscripts = 3\n[tool]\npoetry = []", "[project.scripts]\nx = 1", "["]
)
def test_what_is_no_table_of_scripts(tmp_path: Path, text: str) -> None:
    assert scripts(tmp_path, text) == {}


def test_no_project() -> None:
    assert project_scripts(None) == {}


def test_who_follows_a_command_and_who_looks_for_calls_read_the_same(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "pyproject.toml": '[project.scripts]\nfit = "tools.fit : main [fast]"\n',
        "tools/fit.py": "import subprocess\nsubprocess.run(['black', '.'])\n",
        "run.sh": "fit -n 3\n",
    }
    submission = make_submission(tmp_path, files)
    path = next(path for path in submission.files if path.name == "fit.py")
    assert [(each.module, each.function, each.arguments) for each in invocations(submission, path)] == [
        ("tools.fit", "main", ("-n", "3")),
        ("tools.fit", "main", ()),
    ]
    followed = follow("uv run fit -n 3", SubmissionFiles(submission))
    assert [each.command.program for each in followed] == ["fit", "python", "black"]
    assert isinstance(project_scripts(submission.file("pyproject.toml"))["fit"], ProjectScript)
