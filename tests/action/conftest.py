"""A workspace, and a runner for the action in it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.action.runner import Outcome, Runner

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "reference_solution"
INDEX = {
    name: value
    for name, value in os.environ.items()
    if name.startswith(("PIP_", "UV_", "SSL_CERT_", "REQUESTS_")) or name.lower().endswith("_proxy")
}
"""How this machine comes to packages."""


class Job:
    """A checkout, and what the actions that are used along the way were asked for."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.temporary = folder / "checkout", folder / "temp"
        self.workspace.mkdir()
        self.temporary.mkdir()
        self.artifacts: dict[str, dict[str, bytes]] = {}
        self.saved: list[Mapping[str, str]] = []
        self.python: Path | None = Path(sys.executable)
        """It has the grader; None: the action installs it."""
        self.environment: dict[str, str] = {}
        """More of what the runner sets."""

    def submit(self, folder: str = ".") -> Path:
        """A copy of the reference solution in the checkout."""
        path = self.workspace / folder
        shutil.copytree(REFERENCE, path, dirs_exist_ok=True, symlinks=True)
        return path

    def run(self, **inputs: str) -> Outcome:
        """Run the action; Debian packages are as they are."""
        runner = Runner(
            ROOT,
            self.workspace,
            self.temporary,
            uses={
                "actions/setup-python": lambda _: {"python-path": sys.executable, "python-version": "3.11.9"},
                "actions/cache/restore": lambda _: {"cache-hit": ""},
                "actions/cache/save": self._save,
                "actions/upload-artifact": self._upload,
            },
            instead={}
            if self.python is None
            else {"install": f'echo "python={self.python}" >> "$GITHUB_OUTPUT"'},
            environment={
                **INDEX,
                "GITHUB_TOKEN_OF_THE_JOB": "secret-of-the-job",
                "ImageOS": "ubuntu24",
                **self.environment,
            },
        )
        return runner.run(**{"tools": "false", **inputs})

    def _save(self, words: Mapping[str, str]) -> Mapping[str, str]:
        self.saved.append(words)
        return {}

    def _upload(self, words: Mapping[str, str]) -> Mapping[str, str]:
        paths = [Path(line) for line in words["path"].split()]
        self.artifacts[words["name"]] = {path.name: path.read_bytes() for path in paths}
        return {}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)
