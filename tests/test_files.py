"""The door to what candidate code has touched: every way that leads out of it, or makes it wait."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grader import files
from grader.files import Budget, Tree, changed, open_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a secret of the machine"


@pytest.fixture(params=["openat2", "step by step"], autouse=True)
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "step by step":
        monkeypatch.setattr(files, "_kernel_resolves", lambda: False)
    elif not files._kernel_resolves():
        pytest.skip("this kernel has no openat2")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the machine that nothing may read or change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text(SECRET)
    (folder / "file").chmod(0o600)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What candidate code has filled."""
    folder = tmp_path / "root"
    (folder / "sub/deep").mkdir(parents=True)
    (folder / "sub/deep/file").write_text("inside")
    (folder / "top").write_text("top")
    return folder


@pytest.fixture
def tree(root: Path) -> Tree:
    return open_tree(root)


def _state(folder: Path) -> dict[str, tuple[str, int]]:
    return {path.name: (path.read_text(), stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}


def test_the_kernel_of_this_machine_resolves_by_itself() -> None:
    assert files._openat2(-1, ".", os.O_RDONLY)[0] == -1


# --- ways out -------------------------------------------------------------------------------------


@pytest.fixture
def ways_out(root: Path, outside: Path) -> list[str]:
    """Names in the tree that lead out of it, or that are nothing to open."""
    (root / "link").symlink_to(outside / "file")
    (root / "folder").symlink_to(outside)
    (root / "here").symlink_to(".")
    (root / "sub/up").symlink_to("../../outside/file")
    (root / "self").symlink_to("/proc/self/cwd")
    (root / "descriptor").symlink_to(f"/proc/self/fd/{os.open(outside / 'file', os.O_RDONLY)}")
    (root / "loop").symlink_to("loop")
    (root / "zero").symlink_to("/dev/zero")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "socket"))
    return [
        *("link", "folder/file", "here/top", "sub/up", "self/top", "descriptor", "loop", "zero", "dangling"),
        *("pipe", "socket", "sub", "../outside/file", "sub/../../outside/file", f"{outside}/file", "/top"),
        *("top/file", "top/", "x\0y", "", ".", "n" * 300, "d/" * 3000 + "f", "\udcff"),
    ]


def test_nothing_outside_is_read(tree: Tree, ways_out: list[str]) -> None:
    expected = {"top/": b"top"}  # the same file
    for way in ways_out:
        assert (way, tree.read(way, 2**20)) == (way, expected.get(way))
        assert (way, tree.is_file(way)) == (way, way in expected)


def test_nothing_outside_is_walked(tree: Tree, ways_out: list[str]) -> None:
    assert ways_out
    assert [entry.path for entry in tree.walk()] == ["top", "sub/deep/file"]
    assert [entry.path for way in ("folder", "here", "self", "..", "/") for entry in tree.walk(way)] == []
    assert list(tree.snapshot()) == ["top", "sub/deep/file"]


def test_nothing_outside_is_copied(tree: Tree, ways_out: list[str], tmp_path: Path) -> None:
    assert ways_out
    assert tree.copy_out("", tmp_path / "copy")
    copied = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*"))
    assert copied == ["sub", "sub/deep", "sub/deep/file", "top"]
    for number, way in enumerate(("link", "folder", "self", "pipe", "../outside", "/etc/hostname")):
        assert not tree.copy_out(way, tmp_path / f"other-{number}")
        assert not (tmp_path / f"other-{number}").exists()


def test_nothing_outside_is_written(tree: Tree, root: Path, ways_out: list[str], outside: Path) -> None:
    assert ways_out
    before = _state(outside)
    for way in ("folder/new", "folder/file", "self/new", "../new", "/tmp/new", "top/new", "loop/new", "\0"):
        assert not tree.write(way, b"PWNED", executable=True), way
    # A link, a pipe or a socket gives way to the file.
    for way in ("link", "sub/up", "zero", "pipe", "socket", "dangling"):
        assert tree.write(way, b"new", executable=True), way
        assert (root / way).read_text() == "new"
        assert stat.S_IMODE((root / way).lstat().st_mode) == 0o755
    assert _state(outside) == before
    assert not (root / "nowhere").exists()
    assert not [path for path in root.iterdir() if path.name.startswith(".")]


def test_a_hard_link_leaves_its_other_name_alone(tree: Tree, root: Path, outside: Path) -> None:
    (root / "hard").hardlink_to(outside / "file")
    before = _state(outside)
    assert tree.write("hard", b"new", executable=True)
    assert (_state(outside), tree.read("hard", 100)) == (before, b"new")


def test_a_folder_in_the_way_stays(tree: Tree, root: Path) -> None:
    assert not tree.write("sub", b"new")
    assert tree.write("made/on/the/way", b"new")
    assert sorted(path.name for path in root.iterdir()) == ["made", "sub", "top"]


def test_a_root_that_is_none(tmp_path: Path, root: Path, outside: Path) -> None:
    (tmp_path / "root-link").symlink_to(outside)
    os.mkfifo(tmp_path / "root-pipe")
    places = [tmp_path / "missing", tmp_path / "root-link", tmp_path / "root-pipe", root / "top"]
    for tree in [*map(open_tree, places), open_tree(root).below("../outside"), open_tree(root).below("no")]:
        assert (tree.read("file", 100), list(tree.walk()), tree.is_folder("")) == (None, [], False)
        assert not tree.copy_out("", tmp_path / "copy")
    assert not open_tree(places[0]).write("new", b"")


def test_a_root_that_is_replaced_is_still_the_one_that_was_opened(tmp_path: Path, root: Path) -> None:
    tree = open_tree(root)
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "outside")
    assert tree.read("top", 10) == b"top"


def test_a_tree_below(tree: Tree, root: Path) -> None:
    below = tree.below("sub")
    assert ([entry.path for entry in below.walk()], below.read("deep/file", 10)) == (["deep/file"], b"inside")
    assert [entry.path for entry in below.below("deep").walk()] == ["file"]
    (root / "sub/deep").rename(root / "gone")
    (root / "sub/deep").symlink_to(root / "gone")
    assert (below.read("deep/file", 10), list(below.below("deep").walk())) == (None, [])


# --- while it changes -----------------------------------------------------------------------------


@pytest.fixture
def swapping(root: Path, outside: Path) -> Iterator[threading.Thread]:
    """`sub` is by turns a folder and a link to the machine's."""
    over = threading.Event()

    def swap() -> None:
        exchange = ctypes.CDLL(None).renameat2
        names = (os.fsencode(root / "sub"), os.fsencode(root / "other"))
        while not over.is_set():
            exchange(-100, names[0], -100, names[1], 2)

    (root / "sub/file").write_text("inside")
    (root / "other").symlink_to(outside)
    thread = threading.Thread(target=swap)
    thread.start()
    yield thread
    over.set()
    thread.join()


@pytest.mark.usefixtures("swapping")
def test_renames_in_the_middle(tree: Tree, outside: Path, tmp_path: Path) -> None:
    before = _state(outside)
    seen: set[bytes | None] = set()
    walked: set[str] = set()
    for number in range(100):
        seen.add(tree.read("sub/file", 100))
        walked.update(entry.path for entry in tree.walk())
        tree.copy_out("", tmp_path / f"copies/{number}")
        tree.write("sub/file", b"inside", executable=True)
    seen |= {path.read_bytes() for path in (tmp_path / "copies").rglob("file")}
    assert seen <= {None, b"inside"}
    assert {name for name in walked if "/." not in name} <= {
        *("top", "sub/file", "sub/deep/file", "other/file", "other/deep/file")
    }
    assert _state(outside) == before


# --- bounds ---------------------------------------------------------------------------------------


def test_a_file_that_no_disk_holds(tree: Tree, root: Path, tmp_path: Path) -> None:
    with (root / "hole").open("wb") as file:
        file.truncate(2**40)
    assert tree.read("hole", 2**30) is None
    assert not tree.copy_out("", tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["sub", "top"]
    assert tree.snapshot()["hole"].startswith(f"{2**40}:")


def test_many_files_use_up_a_budget(tree: Tree, root: Path, tmp_path: Path) -> None:
    for number in range(50):
        (root / f"sub/{number}").write_bytes(b"12345678")
    budget = Budget(entries=20)
    assert (len(list(tree.walk(budget=budget))) < 20, budget.exceeded) == (True, True)
    budget = Budget(bytes=100)
    assert not tree.copy_out("sub", tmp_path / "copy", budget=budget)
    assert sum(path.stat().st_size for path in (tmp_path / "copy").iterdir()) <= 100
    assert not tree.copy_out("top", tmp_path / "top", budget=Budget(bytes=2))


def test_a_budget_is_shared(tree: Tree) -> None:
    budget = Budget(entries=4)
    assert len(list(tree.walk(budget=budget))) == 2
    assert (list(tree.walk(budget=budget)), budget.exceeded) == ([], True)


def test_depth_without_end(tree: Tree, root: Path, tmp_path: Path) -> None:
    (root / "sub/deep/file").unlink()
    here = os.open(root, os.O_RDONLY)
    for _ in range(500):  # longer than any path may be
        os.mkdir("d" * 10, dir_fd=here)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    budget = Budget()
    assert [entry.path for entry in tree.walk(budget=budget)] == ["top"]
    assert budget.exceeded
    assert list(tree.snapshot()) == ["top"]
    assert not tree.copy_out("", tmp_path / "copy")


def test_names_that_are_no_text(tree: Tree, root: Path, tmp_path: Path) -> None:
    (root / os.fsdecode(b"\xff\xfe")).write_text("x")
    (root / "new\nline\x1b[31m").write_text("x")
    assert [entry.path for entry in tree.walk()] == ["new\nline\x1b[31m", "top", "sub/deep/file"]
    assert not tree.copy_out("", tmp_path / "copy")
    assert (tmp_path / "copy/new\nline\x1b[31m").read_text() == "x"


def test_folders_that_are_passed_over(tree: Tree, root: Path) -> None:
    (root / "deep").mkdir()
    (root / "deep/file").write_text("x")
    assert [entry.path for entry in tree.walk(skip={"deep"})] == ["top"]


def test_a_locked_folder_is_passed_over(tree: Tree, root: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is locked for root")
    (root / "sub").chmod(0)
    assert [entry.path for entry in tree.walk()] == ["top"]
    (root / "sub").chmod(0o700)


def test_what_a_snapshot_tells_apart(tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree.snapshot()
    (root / "top").write_text("pot")
    (root / "sub/deep/file").write_text("inside")  # the same once more
    assert changed(before, tree.snapshot()) == ("top",)
    # What is over the budget is told by its time.
    monkeypatch.setattr(files, "MAX_HASHED_BYTES", 0)
    before = tree.snapshot()
    os.utime(root / "top", ns=(1, 1))
    assert changed(before, tree.snapshot()) == ("top",)


def test_descriptors_are_closed(root: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    tree = open_tree(root)
    for _ in range(3):
        list(tree.walk())
        tree.snapshot()
        tree.read("top", 1)
        tree.read("sub", 1)
        tree.write("sub/new/er", b"")
        tree.below("sub").is_folder("")
        next(tree.walk())
    del tree
    assert count() == before
