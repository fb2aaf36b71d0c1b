from __future__ import annotations

import time
from typing import TYPE_CHECKING

from grader.runtime.environment import uv

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_how_far_an_installation_is_gets_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = tmp_path / "archive-v0"
    (unpacked / "before").mkdir(parents=True)
    packages = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(uv, "cache_directory", lambda: tmp_path)
    monkeypatch.setattr(uv, "_LOOK_SECONDS", 0.01)
    said: list[str] = []

    def wait_for(text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in said and time.monotonic() < deadline:
            time.sleep(0.01)

    with uv._counted(tmp_path / "venv", 3, said.append):
        (unpacked / "one").mkdir()
        (unpacked / "two").mkdir()
        wait_for("fetching 2 of 3 packages")
        (packages / "six-1.dist-info").mkdir()
        wait_for("installing 1 of 3 packages")
        for number in range(5):
            (unpacked / f"another grader's {number}").mkdir()
            (packages / f"p{number}-1.dist-info").mkdir()
        wait_for("installing 3 of 3 packages")
    told = list(dict.fromkeys(said))
    assert told[-1] == "installing 3 of 3 packages"
    assert {"fetching 2 of 3 packages", "installing 1 of 3 packages"} <= set(told)
