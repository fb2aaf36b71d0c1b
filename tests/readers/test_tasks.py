"""What a task runner runs, by what its configuration says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from grader.readers.shell.failure import Manner
from grader.readers.shell.follow import SubmissionFiles, follow
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

FILES: dict[str, str | bytes] = {
    "justfile": """\
set shell := ["bash", "-c"]
package := "src"
alias t := test
import 'more.just'

# the first one is the default
all: lint (test "unit") && done

test marks="" *rest:
    @pytest --cov={{ package }} -m "{{marks}}" {{rest}}

[private]
lint:
    -ruff check .

script:
    #!/usr/bin/env bash
    set -euo pipefail
    mypy src

@done:
    echo done
""",
    "more.just": "more:\n\tblack .\n",
    "pyproject.toml": """\
[project.scripts]
check = "tools.check:main"
[tool.poe.tasks]
unit = "pytest -q"
lint = { cmd = "ruff check", ignore_fail = true }
both = ["lint", "unit"]
deep = { sequence = [{ ref = "unit -x" }, { shell = "black ." }], deps = ["lint"] }
code = { script = "tools.check:main" }
[tool.hatch.envs.default.scripts]
test = "pytest {args:tests}"
all = ["- ruff check", "test -q"]
[tool.pdm.scripts]
pre_unit = "ruff check"
unit = { cmd = ["pytest", "-q"] }
all = { composite = ["unit", "black ."] }
[tool.rye.scripts]
unit = "pytest"
all = { chain = ["unit", "rye run unit"] }
[tool.pixi.tasks]
unit = { cmd = "pytest", depends-on = ["lint"] }
lint = "ruff check"
""",
    "Pipfile": '[scripts]\nunit = "pytest -q"\n',
    "tools/check.py": "import subprocess\nsubprocess.run(['mypy', 'src'], check=True)\n",
    "tasks.py": """\
from invoke import task
@task
def lint(c):
    c.run("ruff check", warn=True)
@task(lint, name="unit-tests")
def test(c, k="x"):
    helper(c, f"-k {k}")
def helper(c, options):
    c.run(f"pytest {options}")
""",
    "Taskfile.yml": """\
version: "3"
vars: {PACKAGE: src}
tasks:
  default: {deps: [lint], cmds: [{task: test, vars: {MARK: unit}}]}
  lint: ruff check
  test: {cmds: [{cmd: 'pytest --cov={{.PACKAGE}} -m {{.MARK}} {{.CLI_ARGS}}', ignore_error: true}]}
""",
    "mise.toml": '[tasks.ci]\ndepends = ["lint"]\nrun = ["pytest"]\n[tasks]\nlint = "ruff check"\n',
    "tox.ini": """\
[testenv]
commands = pytest {posargs:-q}
[testenv:lint]
commands =
  - ruff check
  black .
""",
    "noxfile.py": """\
import nox
nox.options.sessions = ["unit"]
@nox.session
def lint(session):
    session.run("ruff", "check")
@nox.session(name="unit")
def tests(session):
    session.install("x")
    session.run("pytest", *session.posargs)
""",
}


def ran(root: Path, line: str) -> list[str]:
    """What a line leads to, with an exclamation mark in front of what may fail."""
    files = SubmissionFiles(make_submission(root, FILES))
    found = list(follow(line, files, manner=Manner()))[1:]
    words = [(each.command, " ".join((each.command.program, *each.command.arguments))) for each in found]
    return [f"{'!' if command.failure_ignored else ''}{text}" for command, text in words if text != "true"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("just", ["!ruff check .", "pytest --cov=src -m unit", "echo done"]),
        ("just t fast -x -q", ["pytest --cov=src -m fast -x -q"]),
        ("just package=api test", ["pytest --cov=api -m "]),
        ("just more lint", ["black .", "!ruff check ."]),
        ("just nothing", []),
        ("poe unit -x", ["pytest -q -x"]),
        ("poetry run poe both", ["!ruff check", "pytest -q"]),
        ("poetry poe deep", ["!ruff check", "pytest -q -x", "black ."]),
        ("poe code", ["python tools/check.py", "mypy src"]),
        ("hatch run all", ["!ruff check", "pytest -q"]),
        ("hatch run test unit", ["pytest unit"]),
        ("hatch run ruff check", []),
        ("hatch run docs:test -v", ["pytest -v"]),
        ("hatch test --cover", ["coverage run -m pytest", "pytest"]),
        ("pdm run all", ["ruff check", "pytest -q", "black ."]),
        ("pdm unit", ["ruff check", "pytest -q"]),
        ("rye run all", ["pytest", "pytest"]),
        ("pixi run unit -x", ["ruff check", "pytest -x"]),
        ("pipenv run unit", ["pytest -q"]),
        ("uv run check", ["python tools/check.py", "mypy src"]),
        ("uv run ruff check", []),
        ("inv unit-tests", ["!ruff check", "pytest -k x"]),
        ("task", ["ruff check", "!pytest --cov=src -m unit"]),
        ("task test MARK=slow -- -x", ["!pytest --cov=src -m slow -x"]),
        ("mise run ci", ["ruff check", "pytest"]),
        ("tox -e py311 -- -x", ["pytest -x"]),
        ("tox -e lint", ["!ruff check", "black ."]),
        ("tox", ["pytest -q", "!ruff check", "black ."]),
        ("nox", ["pytest $_"]),
        ("nox -s lint", ["ruff check"]),
    ],
)
def test_what_a_task_runs(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert ran(tmp_path, line) == expected


def test_a_script_of_a_recipe(tmp_path: Path) -> None:
    assert "mypy src" in ran(tmp_path, "just script")


def test_tasks_that_need_one_another_end(tmp_path: Path) -> None:
    loops: dict[str, str | bytes] = {
        "justfile": "a: b\n    x\nb: a\n    y\n" + "c " * 5_000 + "\n",
        "pyproject.toml": '[tool.poe.tasks]\na = ["a", "a"]\n[tool.pdm.scripts]\na.composite = ["a", "a"]\n',
        "Taskfile.yml": "tasks: {a: {deps: [a, a], cmds: [{task: a}]}}\n",
    }
    files = SubmissionFiles(make_submission(tmp_path, loops))
    started = time.monotonic()
    for line in ("just a", "poe a", "pdm run a", "task a"):
        assert len(list(follow(line, files))) < 500
    assert time.monotonic() - started < 10
