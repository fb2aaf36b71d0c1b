"""Where a scheduler may be, and a cluster of real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader.cohort.executor.dask import address_of
from grader.errors import UsageError


@pytest.mark.parametrize(
    "on", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tls://example.org:8786"]
)
def test_an_address(on: str, tmp_path: Path) -> None:
    assert address_of(on) == on
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{on}"}}')
    assert address_of(str(tmp_path / "scheduler.json")) == on


@pytest.mark.parametrize("on", ["tcp://10.0.0.1:8786", "tcp://example.org:8786", "tcp://0.0.0.0:8786"])
def test_another_machine_takes_tls(on: str, tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{on}"}}')
    for each in (on, str(tmp_path / "scheduler.json")):
        with pytest.raises(UsageError, match="away from this machine it takes tls://"):
            address_of(each)


@pytest.mark.parametrize(
    "on", ["http://localhost:8786", "tcp://:8786", "tcp://here", "tcp://here:x", "tcp://["]
)
def test_no_address(on: str) -> None:
    with pytest.raises(UsageError, match="an address is like tls://host:8786"):
        address_of(on)


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"address"'])
def test_no_file_of_a_scheduler(content: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither an address"):
        address_of(str(tmp_path / "none"))
    (tmp_path / "file").write_text(content)
    with pytest.raises(UsageError, match="neither an address"):
        address_of(str(tmp_path / "file"))


def test_who_needs_no_cluster_loads_none() -> None:
    code = (
        "import sys, grader.cli, grader.commands.batch, grader.cohort.executor.dask;"
        "sys.exit('distributed' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
