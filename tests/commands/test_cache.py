"""`grader cache`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from grader.commands import cache as commands
from grader.commands.cache import clear_command, prune_command, show_command, size
from grader.errors import UsageError
from grader.runtime.cache import MARKER, Cache, entries

DAY = 86400


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two environments that share a file with uv's cache, and seeds; nobody uses them."""
    root, packages = tmp_path / "cache", tmp_path / "packages"
    monkeypatch.setenv("GRADER_CACHE_DIR", str(root))
    monkeypatch.delenv("GRADER_CACHE_MAX", raising=False)
    monkeypatch.setattr(commands, "packages_directory", lambda: packages)
    packages.mkdir()
    (packages / "shared").write_bytes(b"x" * 2**20)

    def environment(directory: Path) -> None:
        (directory / "shared").hardlink_to(packages / "shared")
        (directory / "own").write_bytes(b"x" * 100 * 2**10)

    def seed(directory: Path) -> None:
        (directory / "seed").write_bytes(b"x" * 4096)

    cache = Cache(root)
    made = [cache.get("environments", {"of": name}, environment, lambda _: {}) for name in "ab"]
    made.append(cache.get("seeds", {}, seed))
    cache.release()
    for days, entry in zip((40, 20, 10), made, strict=True):
        moment = time.time() - days * DAY - 60
        os.utime(entry / MARKER, (moment, moment))
    return root


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip()


def kinds(root: Path) -> list[str]:
    return [entry.kind for entry in entries(root)]


def test_nothing_is_shown_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRADER_CACHE_DIR", str(tmp_path / "none"))
    show_command()
    assert said(capsys) == f"{tmp_path}/none: nothing is cached"


def test_what_is_linked_is_counted_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_command("json")
    found = json.loads(said(capsys))
    environments, seeds = found["kinds"]["environments"], found["kinds"]["seeds"]
    assert (environments["entries"], environments["linked"]) == (2, 2**20)
    assert 2**20 + 200 * 2**10 <= environments["bytes"] < 2**20 + 250 * 2**10  # markers too
    assert (seeds["entries"], seeds["linked"]) == (1, 0)


def test_it_is_shown_by_kind(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_command()
    lines = said(capsys).splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["environments", "2"], ["seeds", "1"]]
    assert [line.split()[-3:] for line in lines[2:4]] == [["20", "days", "ago"], ["10", "days", "ago"]]
    assert "What is linked is in uv's cache" in lines[5]


def test_another_file_system_is_said(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "packages_directory", lambda: Path("/proc"))
    show_command()
    assert "is on another file system" in said(capsys)


def test_age_decides(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prune_command(older_than="30d", dry_run=True)
    assert (said(capsys), len(kinds(root))) == ("would remove 1 entry, 100 KiB", 3)
    prune_command(older_than="30d")
    assert (said(capsys), kinds(root)) == ("removed 1 entry, 100 KiB", ["environments", "seeds"])


def test_size_decides_the_oldest_use_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prune_command(max_size="50K")
    assert (said(capsys), kinds(root)) == ("removed 2 entries, 200 KiB", ["seeds"])


def test_what_is_in_use_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = Cache(root)
    assert cache.find("seeds", {}) is not None
    prune_command(max_size="0")
    assert (said(capsys), kinds(root)) == ("removed 2 entries, 200 KiB; 1 in use stayed", ["seeds"])


def test_a_kind_is_cleared(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clear_command(["seeds"])
    assert (said(capsys), kinds(root)) == ("removed 1 entry, 4.0 KiB", ["environments", "environments"])
    clear_command()
    assert kinds(root) == []


def test_a_kind_that_is_none_is_refused(root: Path) -> None:
    with pytest.raises(UsageError) as error:
        clear_command(["seed"])
    assert str(error.value) == "unknown kind 'seed'; did you mean 'seeds'? (there are environments, seeds)"


@pytest.mark.parametrize(
    ("older_than", "max_size", "complaint"),
    [
        ("", "", "say what to remove: --older-than 30d, --max-size 20G, or both"),
        ("30", "", "--older-than: '30' is no time, such as 12h, 30d or 8w"),
        ("", "20X", "--max-size: '20X' is no size, such as 500M or 20G"),
    ],
)
def test_what_cannot_be_meant_is_refused(root: Path, older_than: str, max_size: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        prune_command(older_than=older_than, max_size=max_size)
    assert (str(error.value), len(kinds(root))) == (complaint, 3)


def test_sizes_are_short() -> None:
    assert [size(number) for number in (0, 2047, 12 * 2**20, 1503238553)] == [
        "0 B",
        "2.0 KiB",
        "12 MiB",
        "1.4 GiB",
    ]
