"""A grade that is stopped half-way ends at once, with status 130, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.exam.bundled import REFERENCE_SOLUTION
from tests.runtime.sandbox.isolation import eventually


def survivors(mark: str) -> list[int]:
    """Processes that carry the mark in their environment, or whose command line has it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark.encode() in text and state != "Z":
                found.append(int(entry.name))
    return found


def running_inside(scratch: Path) -> bool:
    return any((directory / "mlflow").exists() for directory in scratch.glob("grader-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "seconds"),
    [
        pytest.param(signal.SIGINT, 0.0, id="Ctrl-C while it starts"),
        pytest.param(signal.SIGINT, 6.0, id="Ctrl-C while it runs"),
        pytest.param(signal.SIGTERM, 6.0, id="SIGTERM while it runs"),
        pytest.param(signal.SIGHUP, 6.0, id="a terminal that closes"),
    ],
)
def test_it_ends_at_once_and_leaves_nothing(tmp_path: Path, stop: signal.Signals, seconds: float) -> None:
    scratch = tmp_path / f"scratch-{stop.name}-{seconds}"
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "grader", "score", str(REFERENCE_SOLUTION)],
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not running_inside(scratch) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(seconds)
    process.send_signal(stop)
    if stop is not signal.SIGINT:
        time.sleep(0.2)
        process.send_signal(stop)  # by the kernel and by the shell, or by who is impatient
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    *progress, last = err.splitlines()
    assert (out, last) == ("", "grader: interrupted")
    assert [line for line in progress if not re.match(r"grader: \d+:\d\d  ", line)] == []
    assert list(scratch.iterdir()) == []
    assert eventually(lambda: survivors(str(scratch)) == [])
