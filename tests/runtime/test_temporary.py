"""The directory of a grade: private, gone afterwards, whatever was in there."""

from __future__ import annotations

import ast
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import grader
from grader.runtime.temporary import (
    LOCK,
    kill_orphans,
    remove_tree,
    scratch_directory,
    sweep,
    temporary_directory,
)


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


def test_a_temporary_directory_of_a_killed_grader_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """if True:
        import os
        from grader.runtime.temporary import temporary_directory
        with temporary_directory(): os._exit(9)
    """
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_directory() as directory:
        assert list(directory.iterdir()) == []
        assert [path.name.startswith("grader-") for path in tmp_path.iterdir()] == [True]
    assert list(tmp_path.iterdir()) == []


def test_no_other_module_makes_temporary_directories_that_nobody_would_sweep() -> None:
    package = Path(grader.__file__).parent
    allowed = {
        "runtime/temporary.py",
        "runtime/sandbox/launch.py",  # within a grade's own
        "runtime/helpers/container.py",  # likewise
        "runtime/cache.py",  # aside in the cache
        "checks/mlflow/stores.py",  # in a cell's private folder, which is within a grade's own
    }
    found = {
        os.fspath(path.relative_to(package))
        for path in package.rglob("*.py")
        if "probes" not in path.parts  # they run inside
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
        and (node.attr if isinstance(node, ast.Attribute) else node.id) in {"mkdtemp", "TemporaryDirectory"}
    }
    assert found - allowed == set()


def test_a_look_alike_is_not_swept(tmp_path: Path) -> None:
    """What anybody could put into a directory that all may write to."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LOCK).touch()
    for name in ("grader-fifo", "grader-directory", "grader-link"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "grader-fifo" / LOCK)
    (tmp_path / "grader-directory" / LOCK).mkdir()
    (tmp_path / "grader-link" / LOCK).symlink_to(tmp_path / "other" / LOCK)
    (tmp_path / "grader-file").touch()
    if os.geteuid() == 0:
        (tmp_path / "grader-anothers").mkdir()
        (tmp_path / "grader-anothers" / LOCK).touch()
        os.chown(tmp_path / "grader-anothers", 65534, 65534)
    before = sorted(path.name for path in tmp_path.iterdir())
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "other" / LOCK).exists()


def test_processes_of_a_killed_grade_end_and_no_others(tmp_path: Path) -> None:
    dead, other = tmp_path / "grader-dead", tmp_path / "grader-deadly"
    for directory in (dead, other):
        directory.mkdir()
    bwrap = tmp_path / "bwrap"
    sleep = ["/bin/sleep", "600"]
    killed = [
        subprocess.Popen(sleep, env={"HOME": f"{dead}/home"}),
        subprocess.Popen([str(bwrap), "-c", "sleep 600; :", f"{dead}/x"], executable="/bin/sh"),
    ]
    spared = [
        subprocess.Popen(sleep, cwd=dead),
        subprocess.Popen(sleep, env={"HOME": f"{other}/home"}),
        subprocess.Popen(["/bin/sh", "-c", "sleep 600; :", f"{dead}/x"]),
    ]
    try:
        kill_orphans(dead)
        assert [process.wait(10) for process in killed] == [-9, -9]
        assert [process.poll() for process in spared] == [None] * 3
    finally:
        for process in spared:
            process.kill()
            process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which may mount")
def test_who_has_a_killed_grades_workspace_mounted_ends_and_what_is_mounted_there_goes(
    tmp_path: Path,
) -> None:
    dead = tmp_path / "grader-dead dead"
    (dead / "workspace").mkdir(parents=True)
    (dead / "mounted").mkdir()
    (dead / LOCK).touch()
    script = 'mount --bind "$1/workspace" /mnt && echo ready && exec sleep 600'
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(dead)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    subprocess.run(["mount", "-t", "tmpfs", "none", str(dead / "mounted")], check=True)
    process.stdout.close()
    sweep(tmp_path)
    assert process.wait(10) == -9
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_changes_while_it_is_removed(tmp_path: Path) -> None:
    """A directory becomes a link and back, files come: nothing outside changes."""
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    for directory in (outside / "inner", tree):
        directory.mkdir(parents=True)
    (outside / "precious").write_text("x")
    outside.chmod(0o755)
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.is_set():
            number += 1
            try:
                place = tree / f"{number % 7}"
                place.mkdir(exist_ok=True)
                (place / "file").touch()
                place.rename(tree / "aside")
                place.symlink_to(outside)
                (tree / "aside").rename(tree / f"aside-{number % 5}")
            except OSError:
                continue

    changing = threading.Thread(target=change)
    changing.start()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        try:
            remove_tree(tree)
        except OSError:
            continue
        tree.mkdir(exist_ok=True)
    over.set()
    changing.join()
    remove_tree(tree)
    assert not tree.exists()
    assert {"inner", "precious"} <= {path.name for path in outside.iterdir()}
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_names_that_the_removal_itself_would_use(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(50):
        (tree / f".removed-{number}/.removed-0/x").mkdir(parents=True)
    (tree / ".removed-50").touch()
    (tree / ".removed-51").symlink_to(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which may set attributes")
@pytest.mark.parametrize("attribute", ["+i", "+a"])
def test_what_not_even_root_may_change_is_removed(tmp_path: Path, attribute: str) -> None:
    tree = tmp_path / "tree"
    (tree / "directory/inner").mkdir(parents=True)
    (tree / "directory/inner/file").touch()
    places = [
        str(tree / "directory/inner/file"),
        str(tree / "directory/inner"),
        str(tree / "directory"),
        str(tree),
    ]
    if subprocess.run(["chattr", attribute, *places], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no such attributes")
    try:
        remove_tree(tree)
    finally:
        subprocess.run(
            ["chattr", "-R", attribute.replace("+", "-"), str(tree)], check=False, capture_output=True
        )
    assert not tree.exists()
