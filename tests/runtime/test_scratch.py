"""The directory of a grade: private, gone afterwards, whatever was in there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from grader.runtime.scratch import LOCK, remove_tree, scratch_directory, sweep


def test_it_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_directory(tmp_path) as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
        (scratch / "x").write_text("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, ValueError])
def test_it_is_gone_after_an_interrupt(tmp_path: Path, interrupt: type[BaseException]) -> None:
    with pytest.raises(interrupt), scratch_directory(tmp_path):
        raise interrupt
    assert list(tmp_path.iterdir()) == []


def test_what_killed_graders_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in ("grader-stale", "grader-unlocked", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "grader-stale" / LOCK).touch()
    (tmp_path / "grader-link").symlink_to(tmp_path / "other")
    (tmp_path / "other" / LOCK).touch()
    with scratch_directory(tmp_path) as live:
        sweep(tmp_path)
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {"grader-unlocked", "grader-link", "other", live.name}


def test_a_hostile_tree_is_removed_and_nothing_behind_its_links(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    for directory in (outside, tree / "a/b/c", tree / "locked/inner"):
        directory.mkdir(parents=True)
    (outside / "precious").write_text("x")
    (tree / "a/link").symlink_to(outside)
    (tree / "a/file").symlink_to(outside / "precious")
    os.mkfifo(tree / "a/b/pipe")
    (tree / "locked/inner/file").write_text("x")
    (tree / "a/b/c/\udcff\n").write_text("x")
    for path in (tree / "locked/inner", tree / "locked", tree / "a/b"):
        path.chmod(0)
    tree.chmod(0)
    remove_tree(tree)
    assert (tree.exists(), (outside / "precious").read_text()) == (False, "x")
    remove_tree(tree)


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("directory", dir_fd=here)
        inner = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(top)
    assert not top.exists()
