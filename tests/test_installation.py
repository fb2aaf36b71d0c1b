"""`pip install .` without our lock: each pip finds a set of packages at the first try."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
TRIED_AGAIN = re.compile(
    r"^INFO: pip is (?:looking at multiple versions of|still looking at) (\S+)", re.MULTILINE
)
"""What pip says when a version does not go with others: from there on it may take half an hour."""
MAX_SECONDS = 600
"""A hundred megabytes are fetched, maybe while other tests run; going back and forth takes far longer."""


@pytest.mark.parametrize(
    "pip",
    ["pip==24.0", "pip"],
    ids=["of Python 3.11", "the newest"],
)
def test_every_pip_resolves_what_the_grader_needs_without_going_back(
    request: pytest.FixtureRequest, tmp_path: Path, pip: str
) -> None:
    if pip == "pip" and not request.config.getoption("--scheduled"):
        pytest.skip("an older one is more easily led astray: this one only with --scheduled")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    subprocess.run([*uv, "--target", str(tmp_path), pip], check=True)
    words = ["install", "--dry-run", "--ignore-installed", "--disable-pip-version-check", str(ROOT)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert TRIED_AGAIN.findall(done.stdout + done.stderr) == []
    assert "Would install " in done.stdout
