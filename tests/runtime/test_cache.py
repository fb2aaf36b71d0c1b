from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader.errors import GraderFault, UsageError
from grader.runtime.cache import MARKER, Cache, cache_directory, contents, outline
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable

A = {"of": "a"}


class Builder:
    def __init__(self) -> None:
        self.built = 0

    def __call__(self, directory: Path) -> None:
        self.built += 1
        (directory / "thing").write_text(str(self.built))
        (directory / "folder").mkdir()
        (directory / "folder" / "link").symlink_to("../thing")


def make_environment(directory: Path) -> None:
    """The parts of a virtual environment that decide what runs."""
    packages = directory / "venv/lib/python3.11/site-packages"
    (packages / "six").mkdir(parents=True)
    (packages / "six/__init__.py").write_text("")
    (packages / "six.pth").write_text("six\n")
    (directory / "venv/bin").mkdir()
    (directory / "venv/bin/python").symlink_to("/usr/bin/python3")
    (directory / "venv/pyvenv.cfg").write_text("home = /usr/bin\n")


def test_the_directory_is_the_users_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("GRADER_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_directory() == Path("/x/grader")


def test_the_directory_is_made_for_the_user_alone(tmp_path: Path) -> None:
    Cache(tmp_path / "deep/cache").open()
    assert (tmp_path / "deep/cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_directory_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(UsageError, match="can be written by others"):
        Cache(tmp_path).open()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(UsageError, match="can be written by others"):
        Cache(tmp_path).open()


def test_a_failed_build_leaves_nothing_that_could_be_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(directory: Path) -> None:
        (directory / "half").touch()
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        cache.get("things", A, fail)
    assert cache.find("things", A) is None
    assert [path.suffix for path in (tmp_path / "things").iterdir()] == [".lock"]


def test_an_entry_without_its_marker_is_built_again(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    entry = cache.get("things", A, build)
    entry.chmod(0o700)
    (entry / MARKER).unlink()
    leftover = entry.parent / f".{entry.name}-leftover"
    leftover.mkdir()
    assert (cache.get("things", A, build) / "thing").read_text() == "2"
    assert not leftover.exists()
    assert cache.take_remarks() == []


DAMAGE: dict[str, Callable[[Path], object]] = {
    "content": lambda entry: (entry / "thing").write_text("!"),
    "same-length-and-time": lambda entry: rewrite(entry / "thing"),
    "new": lambda entry: (entry / "more").touch(),
    "new-in-folder": lambda entry: (entry / "folder/more").touch(),
    "gone": lambda entry: (entry / "thing").unlink(),
    "link-for-file": lambda entry: replace(entry / "thing", "/etc/passwd"),
    "link-elsewhere": lambda entry: replace(entry / "folder/link", "/etc/passwd"),
    "link-for-folder": lambda entry: (
        (entry / "folder").rename(entry.parent / "was") and replace(entry / "folder", "/etc")
    ),
    "marker": lambda entry: (entry / MARKER).write_text("{}"),
    "no-marker-at-all": lambda entry: (entry / MARKER).write_text("[" * 100_000),
    "empty-marker": lambda entry: (entry / MARKER).write_text(""),
}


def rewrite(path: Path) -> None:
    before = path.stat()
    path.write_text("x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path, target: str) -> bool:
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    return True


def unlock(entry: Path) -> None:
    for path in (entry, *entry.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o700)


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_entry_that_was_changed_is_built_again_and_told_of(tmp_path: Path, damage: str) -> None:
    cache, build = Cache(tmp_path), Builder()
    entry = cache.get("things", A, build)
    unlock(entry)
    DAMAGE[damage](entry)
    assert cache.find("things", A) is None
    assert (cache.get("things", A, build) / "thing").read_text() == "2"
    assert cache.take_remarks() == ["an entry of the things cache had been changed: it was built anew"]
    assert cache.take_remarks() == []


ENVIRONMENT_DAMAGE: dict[str, Callable[[Path], object]] = {
    "pth": lambda venv: (venv / "lib/python3.11/site-packages/new.pth").write_text("import os"),
    "pth-content": lambda venv: (venv / "lib/python3.11/site-packages/six.pth").write_text("import os"),
    "sitecustomize": lambda venv: (venv / "lib/python3.11/site-packages/sitecustomize.py").touch(),
    "package": lambda venv: shutil.rmtree(venv / "lib/python3.11/site-packages/six"),
    "python": lambda venv: replace(venv / "bin/python", "/bin/sh"),
    "home": lambda venv: (venv / "pyvenv.cfg").write_text("home = /tmp\n"),
    "all": shutil.rmtree,
}


@pytest.mark.parametrize("damage", ENVIRONMENT_DAMAGE)
def test_an_environment_is_compared_by_its_outline(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    entry = cache.get("environments", A, make_environment, outline)
    assert cache.get("environments", A, make_environment, outline) == entry
    unlock(entry)
    (entry / "venv/lib/python3.11/site-packages/__pycache__").mkdir()  # which whoever imports may leave
    assert cache.find("environments", A, outline) == entry
    ENVIRONMENT_DAMAGE[damage](entry / "venv")
    assert cache.find("environments", A, outline) is None
    cache.get("environments", A, make_environment, outline)
    assert cache.find("environments", A, outline) == entry


def test_an_entry_is_sealed_as_it_was_built(tmp_path: Path) -> None:
    entry = Cache(tmp_path).get("things", A, Builder())
    modes = {path.name: path.stat().st_mode & 0o777 for path in (entry, *entry.rglob("*"))}
    assert modes == {entry.name: 0o555, "thing": 0o444, "folder": 0o555, "link": 0o444, MARKER: 0o444}
    assert set(contents(entry)) == {"thing", "folder/link"}


def test_every_input_tells_entries_apart(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    inputs: list[dict[str, Any]] = [A, {"of": "b"}, {"of": ["a"]}, {**A, "more": None}, {**A, "more": {}}]
    assert len({cache.get("things", each, build) for each in inputs}) == len(inputs)
    assert cache.get("things", {"x": 1, "y": (2,)}, build) == cache.get("things", {"y": [2], "x": 1}, build)


def test_a_finished_entry_is_used_again(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    entry = cache.get("things", A, build)
    assert entry == cache.get("things", A, build) == Cache(tmp_path).find("things", A)
    assert build.built == 1
    remove_tree(entry)
    cache.get("things", A, build)
    assert build.built == 2


def test_threads_share_one_build(tmp_path: Path) -> None:
    cache, build = Cache(tmp_path), Builder()
    threads = [threading.Thread(target=cache.get, args=("things", A, build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert build.built == 1


def test_a_directory_that_cannot_be_written_is_our_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraderFault, match="cannot be written"):
        Cache(tmp_path / "file").get("things", A, Builder())


def test_a_directory_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/grader")):
        with pytest.raises(UsageError, match=f"the cache directory {root} cannot be written: "):
            Cache(root).open()
