from __future__ import annotations

import threading
from pathlib import Path

import pytest

from grader.errors import GraderFault
from grader.runtime.cache import MARKER, Cache, cache_directory


class Builder:
    def __init__(self) -> None:
        self.built = 0

    def __call__(self, directory: Path) -> None:
        self.built += 1
        (directory / "thing").write_text(str(self.built))


def test_the_directory_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("GRADER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/grader")


def test_a_failed_build_leaves_nothing_that_could_be_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        cache.get("things", "a", fail)
    assert cache.find("things", "a") is None
    assert [path.name for path in (tmp_path / "things").iterdir()] == [".a.lock"]


def test_an_entry_without_its_marker_is_built_again(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    entry = cache.get("things", "a", build)
    (entry / MARKER).unlink()
    (entry.parent / ".a-leftover").mkdir()
    assert (cache.get("things", "a", build) / "thing").read_text() == "2"
    assert not (entry.parent / ".a-leftover").exists()


def test_an_unhealthy_entry_is_built_again(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()

    def healthy(entry: Path) -> bool:
        return (entry / "thing").is_file()

    entry = cache.get("things", "a", build, healthy)
    (entry / "thing").unlink()
    assert (cache.get("things", "a", build, healthy) / "thing").read_text() == "2"
    with pytest.raises(GraderFault, match="just built"):
        cache.get("things", "b", lambda _: None, healthy)


def test_a_finished_entry_is_used_again_and_can_be_removed(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    assert cache.get("things", "a", build) == cache.get("things", "a", build) == tmp_path / "things/a"
    assert build.built == 1
    cache.remove("things", "a")
    cache.get("things", "a", build)
    assert build.built == 2


def test_threads_share_one_build(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    threads = [threading.Thread(target=cache.get, args=("things", "a", build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.built == 1


def test_a_directory_that_cannot_be_written_is_our_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraderFault, match="cannot be written"):
        Cache(tmp_path / "file").get("things", "a", Builder())
