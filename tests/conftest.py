"""What every test gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--scheduled", action="store_true", help="also what takes too long for every change")


@pytest.fixture(autouse=True)
def _private_temporary_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a test leaves in the temporary directory cannot be mistaken for another's."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))


@pytest.fixture(autouse=True)
def _no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are as wide as nobody asked for, whatever the terminal or a program in this process says."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder for a submission."""
    path = tmp_path / "submission"
    path.mkdir()
    return path
