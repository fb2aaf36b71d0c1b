from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.project.precommit import hook
from grader.results import Outcome, Verdict, passed
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

PATH = ".pre-commit-config.yaml"


def has(root: Path, text: str | bytes, tool: str = "black") -> Outcome:
    context = make_context(root, {PATH: text}, deliverables={"hooks": PATH})
    ids = {"black": ["black", "black-jupyter"], "ruff": ["ruff", "ruff-check", "ruff-format"]}[tool]
    return decide(hook, context, file="hooks", ids=ids, repos=[f"*{tool}*"], commands=[tool])


def remote(repo: str, *ids: str) -> str:
    hooks = "".join(f"\n      - id: {each}" for each in ids)
    return f"repos:\n  - repo: {repo}\n    rev: v1\n    hooks:{hooks}\n"


def local(hook_id: str, entry: str, language: str = "system") -> str:
    return (
        f"repos:\n  - repo: local\n    hooks:\n      - id: {hook_id}\n        name: x\n"
        f"        entry: {entry}\n        language: {language}\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        remote("https://github.com/psf/black", "black"),
        remote("https://github.com/psf/black-pre-commit-mirror", "black-jupyter"),
        remote("git@example.org:mirrors/Black.git", "black"),
        local("black", "black"),
        local("format", "poetry run black ."),
        local("format", "python -m black"),
        local("format", "bash -c 'black . && echo done'"),
        local("black", "make format"),
        "ci: {skip: [black]}\nunknown: 1\n" + remote("https://github.com/psf/black", "black"),
    ],
)
def test_black(tmp_path: Path, text: str) -> None:
    assert has(tmp_path, text) == passed()


@pytest.mark.parametrize("hook_id", ["ruff", "ruff-check", "ruff-format"])
def test_ruff(tmp_path: Path, hook_id: str) -> None:
    text = remote("https://github.com/astral-sh/ruff-pre-commit", hook_id)
    assert has(tmp_path, text, "ruff") == passed()
    assert has(tmp_path, text, "black").verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repos: []",
        "repos: {}",
        "repos",
        "- repo: x",
        "repos: [",
        "repos:\n  - repo: https://github.com/psf/black\n    hooks: [{id: black}]\n",
        "repos:\n  - repo: https://github.com/psf/black\n    rev: 24.1.0\n    hooks: [black]\n",
        "repos:\n  - repo: https://github.com/psf/black\n    rev: 24.1.0\n    hooks: [{id: [black]}]\n",
        "repos:\n  - repo: https://github.com/psf/black\n    rev: 24.1\n    hooks: [{id: black}]\n",
        "minimum_pre_commit_version: newest\n" + remote("https://github.com/psf/black", "black"),
        "minimum_pre_commit_version: [1]\n" + remote("https://github.com/psf/black", "black"),
        "repos: &a [*a]",
        "repos:\n  - null\n",
        "1: 2\nnull: 3\nrepos: 7",
        b"\xff\xfe",
        "repos:\n  - repo: local\n    hooks: [{id: black}]\n",
        remote("https://github.com/pre-commit/pre-commit-hooks", "black"),
        remote("https://github.com/psf/black", "blacken"),
        local("black", "echo black"),
        local("format", "isort ."),
        local("black", "black is not used", "fail"),
        local("black", '""'),
        "# " + remote("https://github.com/psf/black", "black").replace("\n", "\n# "),
    ],
)
def test_not_black(tmp_path: Path, text: str | bytes) -> None:
    assert has(tmp_path, text).verdict is Verdict.FAILED


def test_pre_commit_says_what_is_wrong(tmp_path: Path) -> None:
    outcome = has(tmp_path, "repos:\n  - repo: https://github.com/psf/black\n    hooks: [{id: black}]\n")
    assert outcome.findings[0].message == "pre-commit rejects it: Missing required key: rev"
    assert "psf/black" in outcome.findings[0].detail


def test_it_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = remote("https://github.com/psf/black", "black").replace("v1", "main") + "surprise: 1\n"
    assert has(tmp_path, text) == passed()
    assert capfd.readouterr() == ("", "")


def test_missing_file(tmp_path: Path) -> None:
    context = make_context(tmp_path, {})
    outcome = decide(hook, context, file="hooks", ids=["black"], repos=["*"], commands=["black"])
    assert outcome.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("entry", "runs"),
    [
        ("make format", True),
        ("./scripts/format.sh", True),
        ("docker run --rm -v .:/src image black .", True),
        ("bash -c 'echo black'", False),
        ("isort black", False),
        ("black --help", False),
        ("make missing", False),
    ],
)
def test_a_local_hook_runs_what_its_script_runs(tmp_path: Path, entry: str, runs: bool) -> None:
    files: dict[str, str | bytes] = {
        PATH: local("format", entry),
        "Makefile": "format: ; black .\n",
        "scripts/format.sh": "black .\n",
    }
    context = make_context(tmp_path, files, deliverables={"hooks": PATH})
    outcome = decide(hook, context, file="hooks", ids=["black"], repos=["*"], commands=["black"])
    assert (outcome.verdict is Verdict.PASSED) is runs


def test_a_hook_is_given_arguments(tmp_path: Path) -> None:
    text = local("format", "python") + "        args: [-m, black, .]\n"
    assert has(tmp_path, text) == passed()
    image = local("format", "pyfound/black:24.1.0 black .", "docker_image")
    assert has(tmp_path / "image", image) == passed()
