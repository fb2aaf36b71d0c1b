from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.readers.shell.failure import Manner
from grader.readers.shell.follow import EVERYTHING, MAX_COMMANDS, Into, SubmissionFiles, follow
from tests.builders import make_submission

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

FILES: dict[str, str | bytes] = {
    "test.sh": 'set -e\nexec pytest "$@" --only=$1\n',
    "scripts/outer.sh": "cd ..\nbash test.sh unit\n",
    "Makefile": "include mk/*.mk\ntest: lint\n\tpytest $(OPTIONS)\nlint: ; ruff check\n",
    "mk/more.mk": "more: ; black .\n",
    "tox.ini": "[testenv]\ncommands = pytest {posargs:-q}\n",
    "noxfile.py": "def it(session):\n    session.run('pytest', '-x')\n",
    "run.py": "import subprocess as s\ns.run(['black', '.'])\ns.check_call('ruff check')\ns.run(f'a {b}')\n",
    "watch.py": "import os, sys\nsys.exit(os.system('pytest -q'))\n",
    "broken.py": "import (",
    "loop.sh": './loop.sh "$@" "$@"\n' * 1_000,
    ".pre-commit-config.yaml": "repos:\n- {repo: x, hooks: [{id: ruff-format}]}\n"
    "- {repo: local, hooks: [{id: ruff-it, entry: bash, args: [-c, 'black .']}, {id: none}, 3]}\n",
    "hooks.yaml": "- {",
    "compose.yml": "services: {db: {image: x}, t: {command: pytest -q},\n"
    " s: {entrypoint: [sh, -c], command: ['a; b $$c']}}",
    "ci/c.yaml": "services: {t: {command: [pytest, --cov]}, u: {command: 'a \"'}, v: 3,\n"
    " w: {command: ruff check}}",
}  # fmt: skip


def ran(root: Path, script: str, into: Collection[Into] = EVERYTHING, **given: str) -> list[str]:
    """The commands that a script leads to, without those that are followed."""
    files = SubmissionFiles(make_submission(root, FILES))
    found = [each.command for each in follow(script, files, into, **given)]  # type: ignore[arg-type]
    return [" ".join((command.program, *command.arguments)) for command in found][1:]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("./test.sh a 'b c'", ["set -e", "pytest a b c --only=a"]),
        ("source test.sh", ["set -e", "pytest --only=$1"]),
        ("bash scripts/outer.sh", ["cd ..", "bash test.sh unit"]),
        ("make test OPTIONS=-q", ["ruff check", "pytest -q"]),
        ("make more -j 4", ["black ."]),
        ("coverage run -m pytest -q", ["pytest -q"]),
        ("tox -e py", ["pytest -q"]),
        ("nox", ["pytest -x"]),
        ("python run.py", ["black .", "ruff check", "a $_"]),
        ("python -m pytest run.py", []),
        ("python broken.py", []),
        ("python missing.py", []),
        ("./missing.sh", []),
        ("/test.sh", []),
        ("bash ../../test.sh", []),
        ("test.sh", []),
        ("docker run -v a:b image ./test.sh x", ["image ./test.sh x", "test.sh x"]),
        ("docker compose run --rm t", ["pytest -q"]),
        ("docker compose run --rm t ruff check", ["ruff check", "t ruff check"]),
        ("docker-compose run s", ["a", "b $c", "sh -c a; b $c"]),
        ("docker compose up -d", ["pytest -q", "a", "b $c", "sh -c a; b $c"]),
        ("docker compose up db t", ["pytest -q"]),
        ("docker compose -f ci/c.yaml up", ["pytest --cov", "ruff check"]),
        ("docker compose -p x -f ci/c.yaml up --build w", ["ruff check"]),
        ("docker compose -f compose.yml -f ci/c.yaml up --exit-code-from t", ["pytest --cov"]),
        ("docker compose -f missing.yml up", []),
        ("docker compose run db", ["db"]),
        ("docker compose logs t", []),
        ("docker run image sh -c 'pytest && ruff'", ["pytest", "ruff", "sh -c pytest && ruff"]),
        ("pre-commit run", ["ruff", "black .", "bash -c black ."]),
        ("pre-commit run ruff-format", ["ruff"]),
        ("pre-commit run none", []),
        ("pre-commit run -c hooks.yaml", []),
        ("pre-commit install", []),
    ],
)
def test_what_a_command_leads_to(tmp_path: Path, script: str, expected: list[str]) -> None:
    found = ran(tmp_path, script)
    assert [each for each in expected if each not in found] == []
    assert expected or found == []


@pytest.mark.parametrize(
    ("script", "into"),
    [
        ("./test.sh", Into.SCRIPTS),
        ("make test", Into.MAKE),
        ("python run.py", Into.PYTHON),
        ("nox", Into.SESSIONS),
        ("pre-commit run", Into.HOOKS),
        ("docker run image pytest", Into.CONTAINERS),
    ],
)
def test_only_what_is_to_be_followed(tmp_path: Path, script: str, into: Into) -> None:
    assert ran(tmp_path, script, {into})
    assert ran(tmp_path, script, EVERYTHING - {into}) == []


def test_scripts_that_call_themselves_end(tmp_path: Path) -> None:
    assert len(ran(tmp_path, "./loop.sh x")) == MAX_COMMANDS - 1


@pytest.mark.parametrize(
    ("script", "pipefail", "ignored"),
    [
        ("./test.sh | tee x", True, {"pytest": False}),
        ("./test.sh | tee x", False, {"pytest": True}),
        ("./test.sh || true", True, {"pytest": True}),
        ("python run.py", True, {"black": True, "ruff": False}),
        ("python watch.py", True, {"pytest": False}),
        ("nox", True, {"pytest": False}),
    ],
)
def test_whose_failure_is_ignored(
    tmp_path: Path, script: str, pipefail: bool, ignored: Mapping[str, bool]
) -> None:
    files = SubmissionFiles(make_submission(tmp_path, FILES))
    ran = follow(script, files, manner=Manner(pipefail=pipefail))
    found = {each.command.program: each.command.failure_ignored for each in ran}
    assert {name: found[name] for name in ignored} == ignored


def test_where_and_through_what(tmp_path: Path) -> None:
    files = SubmissionFiles(make_submission(tmp_path, FILES))
    script = "cd scripts\n./outer.sh\ncd $ELSEWHERE\npytest"
    found = [(each.command.program, each.folder, each.through) for each in follow(script, files)]
    assert found == [
        ("cd", "scripts", ()),
        ("outer.sh", "scripts", ()),
        ("cd", "", ("outer.sh",)),
        ("bash", "", ("outer.sh",)),
        ("set", "", ("outer.sh", "bash")),
        ("pytest", "", ("outer.sh", "bash")),
        ("cd", "", ()),
        ("pytest", "", ()),
    ]
