"""On what the attacks are tried: `pytest tests/hostile --isolation docker --as nobody -k links`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docker_engine import use_engine
from tests.hostile.attacks import Attack, arrange, load_attacks
from tests.hostile.grading import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

ISOLATIONS = ("bubblewrap", "docker", "none")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hostile")
    group.addoption(
        "--isolation", action="append", choices=ISOLATIONS, help="default: bubblewrap; repeatable"
    )
    group.addoption(
        "--each", action="store_true", help="a grade for each attack, also where several could share"
    )
    group.addoption("--twice", action="store_true", help="grade twice; both must find the same")
    group.addoption("--as", dest="user", help="an ordinary user who runs the grader (root only)")
    group.addoption("--grader", help="the Python whose grader is attacked (default: this one)")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    option = metafunc.config.getoption
    if "isolation" in metafunc.fixturenames:
        metafunc.parametrize("isolation", option("isolation", None) or ["bubblewrap"], scope="module")
    if "attacks" in metafunc.fixturenames:
        chosen = [each for each in load_attacks() if option("scheduled") or not each.scheduled]
        alone = option("each", False)
        groups: list[tuple[Attack, ...]] = [(each,) for each in chosen] if alone else arrange(chosen)
        metafunc.parametrize(
            "attacks", groups, ids=["+".join(each.name for each in group) for group in groups]
        )


@pytest.fixture
def target(isolation: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Target:
    """The grader that is attacked."""
    option = request.config.getoption
    if isolation == "docker" and "DOCKER_HOST" not in os.environ:
        use_engine(monkeypatch).close()
    return Target(isolation, user=option("user", None), python=option("grader", None))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that who runs the grader can read."""
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        yield Path(path)
