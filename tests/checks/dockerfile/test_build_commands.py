from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.dockerfile.build_commands import action_script, build_script, is_build
from grader.readers.shell.follow import SubmissionFiles
from grader.readers.shell.parser import commands
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path

FILES: dict[str, str | bytes] = {
    "Dockerfile": 'FROM a AS b\nRUN one\nFROM a AS c\nRUN ["two", "2 3"]\n'
    "FROM a\nCOPY --from=c /x /x\nRUN three\n",
    "in/Containerfile": 'FROM a\nSHELL ["bash", "-ec"]\nRUN <<E\nx; y\nE\nRUN <<E\n#!/bin/python3\nE\n',
    "none/Dockerfile": "FROM a\nCOPY . .\n",
    "broken/Dockerfile": "RUN\n",
}


@pytest.mark.parametrize(
    ("script", "folder", "expected"),
    [
        ("docker build .", "", ["'two' '2 3'", "'/bin/sh' '-c' 'three'"]),
        ("docker buildx build --load -t x --target=b .", "", ["'/bin/sh' '-c' 'one'"]),
        ("docker build --target 1 .", "", ["'two' '2 3'"]),
        ("docker build --target z .", "", []),
        ("podman build -f Containerfile ..", "in", ["'bash' '-ec' 'x; y", "'", "'bash' '-ec' ''"]),
        ("buildah bud in", "", ["'bash' '-ec' 'x; y", "'", "'bash' '-ec' ''"]),
        ("docker build none", "", []),
        ("docker build broken", "", []),
        ("docker build missing", "", []),
        ("docker build https://example.org/x.git", "", []),
    ],
)
def test_what_a_build_runs(tmp_path: Path, script: str, folder: str, expected: list[str]) -> None:
    (command,) = commands(script)
    files = SubmissionFiles(make_submission(tmp_path, FILES))
    assert is_build(command)
    assert build_script(command, files, folder).splitlines() == expected


@pytest.mark.parametrize(
    "script", ["docker buildx create", "docker push x", "docker compose build", "kaniko build"]
)
def test_what_is_no_build(script: str) -> None:
    (command,) = commands(script)
    assert not is_build(command)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, "'two' '2 3'\n'/bin/sh' '-c' 'three'"),
        ({"context": ".", "target": "b"}, "'/bin/sh' '-c' 'one'"),
        ({"file": "none/Dockerfile"}, ""),
        ({"context": "missing"}, ""),
    ],
)
def test_what_a_build_by_an_action_runs(tmp_path: Path, inputs: dict[str, str], expected: str) -> None:
    assert action_script(inputs, SubmissionFiles(make_submission(tmp_path, FILES))) == expected
