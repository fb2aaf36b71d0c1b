"""What looks at /proc do not see and control groups count: tried cold and in forks of a warm interpreter."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from grader.runtime.sandbox import control_groups
from grader.runtime.sandbox.control_groups import Groups
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended
from tests.runtime.sandbox.isolation import QUICK, eventually
from tests.runtime.sandbox.test_walls import job, run_warm, warmth  # noqa: F401  (a fixture)

if TYPE_CHECKING:
    from grader.runtime.warm import Warm

SMALL = replace(QUICK, memory_bytes=150 * 2**20, scratch_bytes=512 * 2**20, wall_seconds=15)
HIDDEN = {
    "memory files in flight": """
        import array, time
        a, b = socket.socketpair()
        for n in range(6):
            fd = os.memfd_create("x")
            for _ in range(50): os.write(fd, b"x" * 2**20)
            a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]); os.close(fd)
        time.sleep(9); print("reached")
    """,
    "shared pages that nobody maps": """
        import mmap, time
        place = mmap.mmap(-1, 300 * 2**20)
        for at in range(0, len(place), 4096):
            place[at] = 1
            if at % 2**22 == 0: place.madvise(mmap.MADV_DONTNEED, 0, at // 4096 * 4096 or 4096)
        time.sleep(9); print("reached")
    """,
    "a memory file that is mapped and closed": """
        import mmap, time
        kept = []
        for n in range(6):
            fd = os.memfd_create("x"); os.ftruncate(fd, 50 * 2**20)
            for at in range(0, 50 * 2**20, 2**20): os.pwrite(fd, b"x" * 2**20, at)
            kept.append(mmap.mmap(fd, 4096)); os.close(fd)
        time.sleep(9); print("reached")
    """,
    "deleted files in /dev/shm": """
        import time
        kept = []
        for n in range(6):
            kept.append(os.open(f"/dev/shm/{n}", os.O_CREAT | os.O_RDWR)); os.unlink(f"/dev/shm/{n}")
            for _ in range(50): os.write(kept[-1], b"x" * 2**20)
        time.sleep(9); print("reached")
    """,
    "children that share nothing and end": """
        import time
        for n in range(8):
            if os.fork() == 0: data = bytearray(b"1") * (30 * 2**20); time.sleep(9); os._exit(0)
        time.sleep(9); print("reached")
    """,
}


@pytest.fixture
def groups() -> Groups:
    groups = Groups()
    if not groups.kind:
        pytest.skip("no control groups can be had here")
    return groups


@pytest.mark.slow
@pytest.mark.parametrize("what", HIDDEN)
def test_memory_that_no_process_shows(
    warmth: tuple[Warm, Path],  # noqa: F811
    groups: Groups,
    what: str,
) -> None:
    warm, top = warmth
    groups.close()
    workspace = top / "arena" / what.replace(" ", "-").replace("/", "")
    workspace.mkdir()
    asked = replace(job(workspace, HIDDEN[what]), limits=SMALL)
    for run in (warm._inner.run(asked), run_warm(warm, asked)):
        assert (run.ended, run.stdout, run.returncode) == (Ended.MEMORY_LIMIT, "", None), run
    enough = replace(asked, limits=replace(SMALL, memory_bytes=2**30, wall_seconds=2))
    assert run_warm(warm, enough).ended is Ended.WALL_LIMIT


def test_what_was_imported_ahead_does_not_count(warmth: tuple[Warm, Path], groups: Groups) -> None:  # noqa: F811
    warm, top = warmth
    groups.close()
    workspace = top / "arena/little"
    workspace.mkdir()
    code = "import time; data = bytearray(20 * 2**20); time.sleep(0.5); print(len(data))"
    asked = replace(job(workspace, code), limits=replace(SMALL, memory_bytes=40 * 2**20))
    assert run_warm(warm, asked).stdout == f"{20 * 2**20}\n"


def test_a_group_goes_with_its_run(warmth: tuple[Warm, Path], groups: Groups) -> None:  # noqa: F811
    warm, top = warmth
    groups.close()
    workspace = top / "arena/goes"
    workspace.mkdir()
    asked = job(workspace, "print(open('/proc/self/cgroup').read() != '')")
    assert (run_warm(warm, asked).ok, warm._inner.run(asked).ok) == (True, True)
    place = warm._inner.groups._place
    assert place is not None
    assert [path for directory in place.tops for path in directory.glob("*") if path.is_dir()] == []


def test_a_process_of_the_group_is_counted_and_ended_with_it(groups: Groups) -> None:
    group = groups.make(Limits(processes=2))
    assert group is not None
    with subprocess.Popen(group.entering(["/bin/sleep", "60"])) as process:
        members = group.directories[0] / "cgroup.procs"
        assert eventually(lambda: members.read_text().split() == [str(process.pid)])
        group.close()
        assert process.wait() == -9
    assert [path.exists() for path in group.directories] == [False] * len(group.directories)
    groups.close()


def test_the_name_of_a_group_does_not_tell_its_turn(groups: Groups) -> None:
    made = [group for _ in range(2) if (group := groups.make(Limits())) is not None]
    names = [group.directories[0].name for group in made]
    for group in made:
        group.close()
    groups.close()
    assert [re.fullmatch(r"[0-9a-f]{16}", name) is not None for name in names] == [True, True], names


def test_what_a_killed_grader_left_is_removed_by_the_next(groups: Groups) -> None:
    code = """if True:
        import os, subprocess
        from grader.runtime.sandbox.control_groups import Groups
        from grader.runtime.sandbox.limits import Limits
        group = Groups().make(Limits())
        sleeper = subprocess.Popen(group.entering(["/bin/sleep", "600"]), stdout=subprocess.DEVNULL)
        while not (group.directories[0] / "cgroup.procs").read_text(): pass
        print(*group.directories, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    left = [Path(word) for word in done.stdout.split()]
    assert (done.returncode, [path.is_dir() for path in left]) == (-9, [True] * len(groups._place.tops))  # type: ignore[union-attr]
    Groups().close()
    assert [path for path in left if path.exists() or path.parent.exists()] == []
    groups.close()


def test_where_there_are_none_runs_go_on_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(control_groups, "MOUNTS", tmp_path)
    groups = Groups()
    assert (groups.kind, groups.make(Limits())) == ("", None)
    groups.close()


def test_version_2_where_a_group_above_ours_was_handed_to_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(control_groups, "MOUNTS", tmp_path)
    monkeypatch.setattr(control_groups, "_own", lambda: [("", "/user/app.slice/shell.scope")])
    slice_ = tmp_path / "user/app.slice"
    (slice_ / "shell.scope").mkdir(parents=True)
    (slice_ / "shell.scope/cgroup.subtree_control").write_text("")
    (slice_ / "cgroup.subtree_control").write_text("cpu memory pids\n")
    assert [place.tops for place in control_groups._places()] == [(slice_,)]
    (slice_ / "cgroup.subtree_control").write_text("cpu pids\n")
    assert list(control_groups._places()) == []
