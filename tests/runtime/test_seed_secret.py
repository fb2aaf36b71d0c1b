from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from grader.runtime import seed_secret
from grader.runtime.seed_secret import FILE, VARIABLE, effective_seed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No secret but those of the test's own caches."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path / "cache"))


def test_a_cache_keeps_its_secret(tmp_path: Path) -> None:
    drawn = effective_seed(0)
    path = tmp_path / "cache" / FILE
    assert effective_seed(0) == drawn
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) == 64
    assert [each.name for each in path.parent.iterdir()] == [FILE]


def test_seeds_and_secrets_give_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = [effective_seed(seed) for seed in range(3)]
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path / "other"))
    drawn += [effective_seed(seed) for seed in range(3)]
    assert len({*drawn, 0, 1, 2}) == 9


def test_a_named_secret_needs_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "of this sitting")
    assert effective_seed(7) == effective_seed(7) != effective_seed(8)
    assert not (tmp_path / "cache").exists()


def test_whoever_asks_at_the_same_time_gets_the_same() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(effective_seed, [0] * 32))) == 1


def test_a_cache_that_cannot_be_written_does_not_fall_back_on_what_is_public(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert seed_secret.effective_seed(0) != seed_secret.effective_seed(0)
