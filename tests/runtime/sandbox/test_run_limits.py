"""What candidate code must not use up. Small limits, so that reaching them takes no time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.runtime.sandbox.model import Bind, Ended, Run
from grader.runtime.temporary import remove_tree
from tests.runtime.sandbox.isolation import ALL, ISOLATED, QUICK, Bench, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.runtime.sandbox.limits import Limits

pytestmark = pytest.mark.slow
MIB = 2**20
SMALL = replace(QUICK, memory_bytes=150 * MIB, processes=20, file_bytes=4 * MIB, workspace_bytes=10 * MIB)


def benches(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with opened(request.param, tmp_path / "scratch") as sandbox:
        bench = Bench(sandbox, workspace)
        yield bench
        assert bench.survivors() == []
    remove_tree(workspace)  # pytest cannot remove what some of these leave


bench = pytest.fixture(params=ALL)(benches)
isolated = pytest.fixture(params=ISOLATED)(benches)


def limited(**limits: float) -> Limits:
    return replace(SMALL, **limits)  # type: ignore[arg-type]


def ends(run: Run, why: Ended, *, within: float = 60) -> None:
    assert (run.ended, run.returncode, run.ok, run.seconds < within) == (why, None, False, True), run


@pytest.mark.parametrize("isolation", ALL)
def test_within_its_limits_a_run_is_left_alone(isolation: str, tmp_path: Path) -> None:
    with opened(isolation, tmp_path / "scratch") as sandbox:
        bench = Bench(sandbox, tmp_path)
        code = """
            import os, time
            data = bytearray(80 * 2**20); open("x", "wb").write(b"1" * (3 * 2**20))
            children = [os.fork() or (time.sleep(0.5), os._exit(0)) for _ in range(10)]
            for _ in children: os.wait()
            print("done")
        """
        run = bench.python(code, limits=SMALL)
        assert (run.stdout, run.stderr, run.ok) == ("done\n", "", True)


def test_sleeping(bench: Bench) -> None:
    run = bench.run("sleep", "600", limits=limited(wall_seconds=0.3))
    ends(run, Ended.WALL_LIMIT)
    assert run.describe() == "was stopped after 0.3 s (wall limit)"


def test_children_end_with_the_one_that_waits_for_them(bench: Bench) -> None:
    ends(
        bench.run("sh", "-c", "sleep 600 & sleep 600 & wait", limits=limited(wall_seconds=0.3)),
        Ended.WALL_LIMIT,
    )


def test_ignoring_every_signal(bench: Bench) -> None:
    code = """
        import signal, time
        for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
        time.sleep(600)
    """
    ends(bench.python(code, limits=limited(wall_seconds=0.5)), Ended.WALL_LIMIT)


def test_computing(bench: Bench) -> None:
    run = bench.python("while True: pass", limits=limited(cpu_seconds=1))
    assert (run.ended, run.seconds < 10) == (Ended.CPU_LIMIT, True)
    assert run.describe() == "was stopped after 1 s of CPU time (CPU limit)"


def test_computing_in_children_that_end(bench: Bench) -> None:
    code = """
        import os, time
        while True:
            if os.fork() == 0:
                until = time.process_time() + 0.2
                while time.process_time() < until: pass
                os._exit(0)
            os.wait()
    """
    ends(bench.python(code, limits=limited(cpu_seconds=1)), Ended.CPU_LIMIT)


def test_taking_memory(bench: Bench) -> None:
    code = "import time\nkept = []\nwhile True: kept.append(bytearray(2**22)); time.sleep(0.01)"
    ends(bench.python(code, limits=SMALL), Ended.MEMORY_LIMIT)


def test_taking_memory_in_several_processes(bench: Bench) -> None:
    code = """
        import os, time
        for _ in range(3): os.fork()
        data = bytearray(b"1") * 2**25; time.sleep(600)
    """
    ends(bench.python(code, limits=SMALL), Ended.MEMORY_LIMIT)


def test_shared_memory_counts_once(bench: Bench) -> None:
    code = """
        import os, time
        data = bytearray(b"1") * (60 * 2**20)
        children = [os.fork() or (time.sleep(0.5), os._exit(0)) for _ in range(6)]
        for _ in children: os.wait()
    """
    assert bench.python(code, limits=SMALL).ok


def test_hiding_memory_in_files_without_a_name(bench: Bench) -> None:
    code = """
        import os, time
        for number in range(100):
            os.write(os.memfd_create(str(number)), bytes(3 * 2**20)); time.sleep(0.03)
        time.sleep(600)
    """
    ends(bench.python(code, limits=SMALL), Ended.MEMORY_LIMIT)


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.slow)])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from benches(request, tmp_path)


def test_taking_memory_faster_than_anybody_looks(container: Bench) -> None:
    ends(container.python("x = bytearray(2**30)", limits=SMALL), Ended.MEMORY_LIMIT)


def test_hiding_memory_in_descriptors_under_way(container: Bench) -> None:
    """Neither a process nor a directory of descriptors shows it."""
    code = """
        import array, os, socket, time
        one, other = socket.socketpair()
        for number in range(200):
            file = os.memfd_create("x"); os.write(file, bytes(3 * 2**20))
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
            os.close(file); time.sleep(0.01)
        print("PWNED"); time.sleep(600)
    """
    ends(container.python(code, limits=SMALL), Ended.MEMORY_LIMIT)


def test_hiding_memory_in_system_v_segments(container: Bench) -> None:
    code = """
        import ctypes, time
        libc = ctypes.CDLL(None, use_errno=True); libc.shmat.restype = ctypes.c_void_p
        made = 0
        for number in range(200):
            segment = libc.shmget(0, 4 * 2**20, 0o1600)
            if segment < 0: break
            place = libc.shmat(segment, None, 0)
            ctypes.memset(place, 1, 4 * 2**20); libc.shmdt(ctypes.c_void_p(place)); made += 1
        print(made)
    """
    run = container.python(code, limits=limited(scratch_bytes=32 * MIB))
    assert (run.stdout, run.stderr) == ("8\n", "")
    ends(container.python(code.replace("print(made)", "time.sleep(600)"), limits=SMALL), Ended.MEMORY_LIMIT)


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/home/candidate"])
def test_filling_the_places_in_memory_with_empty_files(container: Bench, place: str) -> None:
    code = """
        import sys
        for number in range(1000): open(f"{sys.argv[1]}/{number}", "x").close()
    """
    run = container.python(code, place, limits=limited(workspace_files=500))
    assert (run.ended, run.returncode, "No space left on device" in run.stderr) == (Ended.EXITED, 1, True)


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/home/candidate"])
def test_filling_the_places_in_memory(isolated: Bench, place: str) -> None:
    code = """
        import sys
        for number in range(100): open(f"{sys.argv[1]}/{number}", "wb").write(bytes(2**20))
    """
    run = isolated.python(code, place, limits=limited(scratch_bytes=8 * MIB))
    assert (run.ended, run.returncode) == (Ended.EXITED, 1)
    assert "No space left on device" in run.stderr


def test_a_fork_bomb(bench: Bench) -> None:
    code = """
        import os
        while True:
            try: os.fork()
            except OSError: pass
    """
    ends(bench.python(code, limits=SMALL), Ended.PROCESS_LIMIT)


def test_a_fork_bomb_that_leaves_its_parents(isolated: Bench) -> None:
    code = """
        import os
        while True:
            try:
                if os.fork(): os._exit(0)
                os.setsid(); os.fork()
            except OSError: pass
    """
    run = isolated.python(code, limits=SMALL)
    assert run.ended in {Ended.PROCESS_LIMIT, Ended.EXITED}
    assert run.seconds < 10


def test_threads(bench: Bench) -> None:
    code = """
        import threading, time
        threading.stack_size(65536)
        for _ in range(400): threading.Thread(target=time.sleep, args=(600,)).start()
    """
    run = bench.python(code, limits=limited(processes=10, wall_seconds=3))
    assert run.ended in {Ended.PROCESS_LIMIT, Ended.WALL_LIMIT}


def test_one_large_file(bench: Bench) -> None:
    run = bench.python("open('x', 'wb').write(bytes(5 * 2**20))", limits=SMALL)
    assert (run.ended, run.returncode, "File too large" in run.stderr) == (Ended.EXITED, 1, True)
    run = bench.run("dd", "if=/dev/zero", "of=x", "bs=1M", "count=5", limits=SMALL)
    assert run.ended is Ended.DISK_LIMIT


WRITES = """
    import os, time
    for number in range(40):
        open({name}, "wb").write(os.urandom(2**20)); time.sleep(0.02)
    time.sleep({rest})
"""


@pytest.mark.parametrize("rest", [600, 0])
def test_many_files(bench: Bench, rest: int) -> None:
    code = WRITES.format(name="str(number)", rest=rest)
    ends(bench.python(code, limits=limited(workspace_bytes=5 * MIB)), Ended.DISK_LIMIT)


def test_many_empty_files(bench: Bench) -> None:
    code = "for number in range(2000): open(str(number), 'w').close()"
    ends(bench.python(code, limits=replace(SMALL, workspace_files=500)), Ended.DISK_LIMIT)


def test_directories_without_end(bench: Bench) -> None:
    code = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    ends(bench.python(code, limits=SMALL), Ended.DISK_LIMIT)


def test_files_that_are_deleted_but_open(bench: Bench) -> None:
    code = """
        import os, time
        kept = []
        for number in range(20):
            kept.append(open("x", "wb")); kept[-1].write(os.urandom(2**20)); kept[-1].flush(); os.unlink("x")
        time.sleep(600)
    """
    ends(bench.python(code, limits=limited(workspace_bytes=5 * MIB)), Ended.DISK_LIMIT)


def test_other_writable_places_count_too(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    bind = Bind(tmp_path / "out", "/grader/out", writable=True)
    code = WRITES.format(name=f"'{bench.sandbox.sees(bind)}/' + str(number)", rest=600)
    ends(bench.python(code, limits=limited(workspace_bytes=5 * MIB), binds=(bind,)), Ended.DISK_LIMIT)


def test_output_without_end(bench: Bench) -> None:
    code = """
        import os
        os.write(1, b"first\\n")
        for _ in range(1000): os.write(1, b"x" * 2**20)
        os.write(1, b"last")
    """
    run = bench.python(code, limits=limited(output_bytes=10_000))
    assert (run.ok, run.dropped_bytes) == (True, 1000 * MIB + 10 - 10_000)
    assert run.stdout.startswith("first\nxxx")
    assert run.stdout.endswith("xxxlast")
    assert len(run.stdout) < 10_100
