from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader.errors import GraderFault, UsageError
from grader.runtime import cache as caches
from grader.runtime.cache import (
    MARKER,
    Cache,
    bytes_of,
    cache_directory,
    contents,
    discard,
    entries,
    outline,
)
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


# --- room -------------------------------------------------------------------------------------------


SIZES = {"0": 0, "12": 12, "500M": 500 * 2**20, "20G": 20 * 2**30, "1.5 KiB": 1536, "2tb": 2 * 2**40}


@pytest.mark.parametrize(("word", "size"), SIZES.items(), ids=SIZES)
def test_sizes_are_read_as_people_write_them(word: str, size: int) -> None:
    assert bytes_of(word) == size


@pytest.mark.parametrize("word", ["", "G", "-1G", "1e9", "20 GB of it", "\N{ARABIC-INDIC DIGIT ONE}G"])
def test_what_is_no_size_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no size, such as 500M or 20G"):
        bytes_of(word)


def test_a_limit_that_is_none_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_CACHE_MAX", "much")
    with pytest.raises(UsageError) as error:
        Cache(tmp_path / "cache").open()
    assert str(error.value) == "GRADER_CACHE_MAX: 'much' is no size, such as 500M or 20G"


def large(directory: Path) -> None:
    (directory / "thing").write_bytes(b"x" * 100 * 2**10)


def make_old(root: Path, *of: str) -> None:
    """Entries that nobody uses, each used a day after the one before."""
    for number, name in enumerate(of):
        cache = Cache(root)
        entry = cache.get("things", {"of": name}, large)
        cache.release()
        os.utime(entry / MARKER, (number * 86400, number * 86400))


def names(root: Path) -> list[str]:
    """Of the entries, the oldest use first."""
    return [
        next(name for name in "abcdef" if caches._key({"of": name}) == entry.path.name)
        for entry in entries(root)
    ]


def test_each_use_is_noted(tmp_path: Path) -> None:
    make_old(tmp_path, "a", "b")
    assert [entry.used for entry in entries(tmp_path)] == [0, 86400]
    Cache(tmp_path).find("things", {"of": "a"})
    assert names(tmp_path) == ["b", "a"]


def test_what_an_entry_shares_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "shared").write_bytes(b"x" * 2**20)

    def build(directory: Path) -> None:
        (directory / "shared").hardlink_to(tmp_path / "shared")
        (directory / "own").write_bytes(b"x" * 4096)

    Cache(tmp_path / "cache").get("things", A, build)
    assert [entry.bytes for entry in entries(tmp_path / "cache")] == [4096]


def test_an_entry_of_an_older_grader_is_measured(tmp_path: Path) -> None:
    entry = Cache(tmp_path).get("things", A, large)
    text = (entry / MARKER).read_text()
    (entry / MARKER).chmod(0o600)
    (entry / MARKER).write_text(text.replace(', "bytes": 102400', ""))
    assert Cache(tmp_path).find("things", A) == entry
    assert [each.bytes for each in entries(tmp_path)] == [102400]


def test_what_is_in_use_is_not_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry = cache.get("things", A, Builder())
    other = cache.share()
    assert other.find("things", A) == entry
    cache.release()
    assert not discard(entry)
    other.release()
    assert discard(entry)
    assert not entry.exists()


def test_what_is_being_built_is_not_removed(tmp_path: Path) -> None:
    found = []

    def build(_directory: Path) -> None:
        found.append(discard(tmp_path / "things" / caches._key(A)))

    Cache(tmp_path).get("things", A, build)
    assert found == [False]


def test_room_is_made_of_the_oldest_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(tmp_path, "a", "b", "c")
    monkeypatch.setenv("GRADER_CACHE_MAX", "250K")
    Cache(tmp_path).get("things", {"of": "d"}, large)
    assert names(tmp_path) == ["b", "c", "d"]


def test_without_room_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, build = Cache(tmp_path), Builder()
    cache.get("things", {"of": "a"}, large)
    monkeypatch.setenv("GRADER_CACHE_MAX", "50K")
    with pytest.raises(GraderFault) as error:
        cache.get("things", {"of": "b"}, build)
    assert build.built == 0
    assert str(error.value) == (
        f"there is no room in the cache {tmp_path}: it has 0 MiB that are in use, and GRADER_CACHE_MAX allows"
        " 0; `grader cache` shows what it has"
    )


def test_a_full_disk_makes_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is taken for full as long as there are entries."""
    make_old(tmp_path, "a", "b")

    def usage(_path: Path) -> shutil._ntuple_diskusage:
        free = 0 if len(entries(tmp_path)) > 1 else 10 * 2**30
        return shutil._ntuple_diskusage(2**40, 0, free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    Cache(tmp_path).get("things", {"of": "c"}, large)
    assert names(tmp_path) == ["b", "c"]


def test_a_disk_that_stays_full_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(tmp_path, "a")
    full = shutil._ntuple_diskusage(2**40, 0, 3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(GraderFault, match="only 3 MiB are free on its disk"):
        Cache(tmp_path).get("things", {"of": "c"}, large)
    assert names(tmp_path) == []
