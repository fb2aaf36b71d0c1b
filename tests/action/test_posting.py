"""The modes that post: with a token that no other step has, and without running or grading anything."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.action.conftest import ROOT
from tests.github.fake import COMMIT, REPOSITORY, GitHub, archive, document, event, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.action.conftest import Job

COMMANDS = "::set-output name=x::y\n::add-path::/evil\n##[add-path]/evil"


@pytest.fixture
def github() -> GitHub:
    return GitHub()


@pytest.fixture(autouse=True)
def _served(job: Job, github: GitHub, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "event.json").write_text(json.dumps(event()))
    with serve(github) as address:
        job.environment = {
            "GITHUB_API_URL": address,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        }
        yield


def test_a_comment(job: Job, github: GitHub) -> None:
    github.upload(7, archive({"grade.json": document()}))
    outcome = job.run(mode="comment")
    assert (outcome.failed, outcome.commands) == (False, [])
    assert outcome.steps == ["Check the inputs", "Set up Python", "Install the grader", "Comment"]
    assert len(github.bodies(5)) == 1
    assert ("127.0.0.1", "Bearer the job's token") in github.tokens


def test_an_artifact_that_is_no_grade_fails_and_says_nothing(job: Job, github: GitHub) -> None:
    github.upload(7, archive({"grade.json": COMMANDS.encode()}))
    outcome = job.run(mode="comment")
    assert (outcome.failed, outcome.commands, github.comments) == (True, [], {})


def test_a_check(job: Job, github: GitHub) -> None:
    (job.workspace / "grade.json").write_bytes(document())
    outcome = job.run(
        mode="check",
        grade="grade.json",
        repository=REPOSITORY,
        commit=COMMIT,
        token="the app's token",
    )
    assert (outcome.failed, outcome.commands) == (False, [])
    assert outcome.steps == ["Check the inputs", "Set up Python", "Install the grader", "Post the check"]
    assert [check["head_sha"] for check in github.checks] == [COMMIT]
    assert github.tokens == [("127.0.0.1", "Bearer the app's token")]


@pytest.mark.parametrize("mode", ["comment", "check"])
def test_whatever_is_printed_is_fenced(job: Job, mode: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    lines = "".join(f"echo '{line}'; echo '{line}' >&2; " for line in COMMANDS.splitlines())
    python.write_text(f'#!/bin/sh\n{lines}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    job.python = python
    outcome = job.run(mode=mode)
    assert "::add-path::/evil" in outcome.log
    assert (outcome.failed, outcome.commands) == (True, [])


def test_only_steps_that_post_have_the_token() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    having = {
        step["name"]: step["if"] for step in steps if "token" in json.dumps(step.get("env", {})).lower()
    }
    assert having == {
        "Comment": "inputs.mode == 'comment'",
        "Post the check": "inputs.mode == 'check'",
    }
