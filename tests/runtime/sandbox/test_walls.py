"""Ways out of a run that the kernel offers to processes of one user: each is tried without isolation, where
it must lead somewhere, then cold and forked from a warm interpreter, where it must not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from grader.runtime.cell import environment_of
from grader.runtime.sandbox.bubblewrap.sandbox import Bubblewrap
from grader.runtime.sandbox.model import Bind, Job, Run
from grader.runtime.sandbox.paths import PYTHON
from grader.runtime.warm import Preload, Warm
from tests.runtime.sandbox.isolation import QUICK, opened

if TYPE_CHECKING:
    from pathlib import Path

    from grader.runtime.sandbox.protocol import Sandbox

Attack = Callable[[str], str]
BEFORE = """
    import ctypes, os, socket, sys
    libc = ctypes.CDLL(None, use_errno=True)
    def call(*words):
        got = libc.syscall(*words)
        return "reached" if got >= 0 else os.strerror(ctypes.get_errno())
    def look(path):
        try:
            if os.path.isdir(path): return "reached" if os.listdir(path) else "empty"
            with open(path, "rb") as file: return "reached" if file.read(1) else "empty"
        except OSError as error: return error.strerror
    def first():
        # In the open there is no process 1 of our own: the parent is as near.
        return 1 if os.environ.get("HOME") == "/home/candidate" else os.getppid()
"""


def script(code: str) -> str:
    return dedent(BEFORE) + dedent(code)


def job(workspace: Path, code: str) -> Job:
    (workspace / "attack.py").write_text(script(code))
    env = {**environment_of(PYTHON), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = (os.fspath(PYTHON), "attack.py")
    return Job(argv=argv, workspace=workspace, env=env, limits=QUICK, binds=(Bind(PYTHON.parents[1]),))


def said(run: Run) -> str:
    assert (run.stderr, run.error) == ("", "")
    return run.stdout.strip()


@pytest.fixture(scope="module")
def warmth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warm, Path]]:
    top = tmp_path_factory.mktemp("walls")
    with opened("bubblewrap", top / "trial"):
        pass
    (top / "lib").mkdir()
    (top / "lib/holds.py").write_text(dedent(HOLDS))
    warm = Warm(Bubblewrap(top / "scratch"), top / "arena")
    env = {**environment_of(PYTHON), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(top / "lib")}
    readable = (PYTHON.parents[1], top / "lib")
    try:
        warm.prepare(Preload(python=PYTHON, env=env, readable=readable, modules=("asyncio", "holds")))
        assert warm.ready(60), warm.problem
        yield warm, top
    finally:
        warm.close()


@pytest.fixture(scope="module")
def in_the_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with opened("none", tmp_path_factory.mktemp("open")) as sandbox:
        yield sandbox


PROCESS_1 = {
    "its memory": "print(look(f'/proc/{first()}/mem') if first() == 1 else 'reached')",
    "its maps": "print(look(f'/proc/{first()}/maps'))",
    "its variables": "print(look(f'/proc/{first()}/environ'))",
    "its descriptors": "print(look(f'/proc/{first()}/fd'))",
    "its directory": "print(look(f'/proc/{first()}/cwd'))",
    "its root": "print(look(f'/proc/{first()}/root'))",
    "its namespaces": "print(os.path.exists(f'/proc/{first()}/ns/mnt') and 'reached' or 'denied')",
}
CALLS = {
    "a descriptor of another process": """
        if os.fork() == 0: import time; time.sleep(5); os._exit(0)
        children = open("/proc/self/task/%d/children" % os.getpid()).read().split()
        pidfd = os.pidfd_open(int(children[0]))
        print(call(438, pidfd, 0, 0)); os.kill(int(children[0]), 9)
    """,
    "the memory of process 1": """
        here = ctypes.create_string_buffer(8)
        class Piece(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
        piece = Piece(ctypes.addressof(here), 8)
        number = ctypes.c_ulong
        got = call(310, first(), ctypes.byref(piece), number(1), ctypes.byref(piece), number(1), number(0))
        # Let in, it would find something or nothing at that address.
        print("reached" if got == os.strerror(14) else got)
    """,
    "tracing a child": """
        import time
        child = os.fork()
        if child == 0: time.sleep(5); os._exit(0)
        print(call(101, 0x4206, child, 0, 0)); os.kill(child, 9)
    """,
    "the session's keyring": "print(call(250, 0, -3, 0, 0, 0))",
    "a new key": "print(call(248, b'user', b'grader-test', b'x', 1, -2))",
    "a segment of memory that nobody holds": """
        got = libc.syscall(29, 0, 4096, 0o1600)
        if got >= 0: libc.syscall(31, got, 0, 0)
        print("reached" if got >= 0 else "denied")
    """,
    "a set of semaphores": """
        got = libc.syscall(64, 0, 1, 0o1600)
        if got >= 0: libc.syscall(66, got, 0, 0, 0)
        print("reached" if got >= 0 else "denied")
    """,
    "a queue of messages": """
        got = libc.syscall(68, 0, 0o1600)
        if got >= 0: libc.syscall(71, got, 0, 0)
        print("reached" if got >= 0 else "denied")
    """,
    "a socket to the machine's own host": """
        try: socket.socket(40, socket.SOCK_STREAM).close(); print("reached")
        except OSError as error: print(error.strerror)
    """,
    "a socket of the kernel's ciphers": """
        try: socket.socket(38, socket.SOCK_SEQPACKET).close(); print("reached")
        except OSError as error: print(error.strerror)
    """,
    "a file by its number": """
        handle = ctypes.create_string_buffer(136); handle.raw = (128).to_bytes(4, "little") + bytes(132)
        print(call(303, -100, b"/", handle, ctypes.byref(ctypes.c_int()), 0))
    """,
    "comparing two processes": "print(call(312, os.getpid(), os.getpid(), 0, 0, 0))",
    "requests to the kernel by a ring": """
        got = libc.syscall(425, 4, ctypes.create_string_buffer(120))
        print("reached" if got >= 0 else "denied")
    """,
}
X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="calls by their numbers on x86_64")


@pytest.mark.parametrize("what", [*PROCESS_1, *(pytest.param(name, marks=X86_64) for name in CALLS)])
def test_what_leads_nowhere(
    warmth: tuple[Warm, Path], in_the_open: Sandbox, tmp_path: Path, what: str
) -> None:
    warm, top = warmth
    code = {**PROCESS_1, **CALLS}[what]
    outside = said(in_the_open.run(job(tmp_path, code)))
    workspace = top / "arena" / tmp_path.name
    workspace.mkdir()
    asked = job(workspace, code)
    cold, forked = said(warm._inner.run(asked)), said(run_warm(warm, asked))
    assert "reached" not in {cold, forked}, (cold, forked)
    assert cold == forked
    # The first process keeps itself out of reach of all but root, also where there is no isolation.
    refused_anyway = {*PROCESS_1, "the memory of process 1"} if os.geteuid() else set()
    if what not in KERNEL_MAY_REFUSE | refused_anyway - {"its memory"}:
        assert outside == "reached"


KERNEL_MAY_REFUSE = {
    "requests to the kernel by a ring",
    "a socket to the machine's own host",
    "a socket of the kernel's ciphers",
}
"""What not every machine has."""


def run_warm(warm: Warm, asked: Job) -> Run:
    """Never a cold one in disguise."""
    assert warm._zygote is not None, warm.problem
    process = warm._zygote.start(asked)
    process.confirm()
    run = process.wait()
    assert run is not None
    return run


HOLDS = """
    import asyncio, ctypes, mmap, multiprocessing, os, select, socket, tempfile

    one, other = socket.socketpair()
    read, write = os.pipe()
    events = select.epoll()
    events.register(one.fileno(), select.EPOLLIN)
    memory = os.memfd_create("shared")
    os.ftruncate(memory, 4096)
    mapped = mmap.mmap(memory, 4096)
    counter = os.eventfd(0, os.EFD_NONBLOCK) if hasattr(os, "eventfd") else -1
    named = tempfile.TemporaryFile()
    named.write(b"own"); named.flush()
    directory = os.open(tempfile.gettempdir(), os.O_RDONLY)
    library = open(os.__file__)
    library.readline()
    loop = asyncio.new_event_loop()
    lock = multiprocessing.Lock()
"""
LEAVE = """
    import holds
    def attempt(does):
        try: return does()
        except OSError: return None
    for end in (holds.one, holds.other):
        attempt(lambda: end.sendmsg([b"hostile"], [(1, 1, os.open(".", 0).to_bytes(4, "little"))]))
    attempt(lambda: os.write(holds.write, b"hostile"))
    attempt(lambda: os.pwrite(holds.memory, b"hostile", 0))
    holds.mapped[:7] = b"hostile"
    attempt(lambda: os.eventfd_write(holds.counter, 7))
    attempt(lambda: os.pwrite(holds.named.fileno(), b"hostile", 0))
    attempt(lambda: os.close(os.open("left", os.O_CREAT | os.O_WRONLY, dir_fd=holds.directory)))
    attempt(lambda: os.lseek(holds.library.fileno(), 77, 0))
    holds.lock.acquire(False)
    print("left")
"""
FIND = """
    import holds, select
    def attempt(does):
        try: return does()
        except OSError: return None
    for each in (holds.one, holds.other): each.setblocking(False)
    os.set_blocking(holds.read, False)
    found = [attempt(lambda: holds.other.recv(7)), attempt(lambda: holds.one.recv(7)),
             attempt(lambda: os.read(holds.read, 7)),
             attempt(lambda: os.pread(holds.memory, 7, 0)), bytes(holds.mapped[:7]),
             attempt(lambda: os.eventfd_read(holds.counter)),
             attempt(lambda: os.pread(holds.named.fileno(), 7, 0)),
             attempt(lambda: "left" in os.listdir(holds.directory)), holds.lock.acquire(False) is False,
             attempt(lambda: os.lseek(holds.library.fileno(), 0, 1)) == 77]
    print([each for each in found if each == b"hostile" or each is True or each == 7])
"""
WORKS = """
    import holds
    holds.other.send(b"x"); os.write(holds.write, b"y")
    print(holds.events.poll(1) == [(holds.one.fileno(), 1)], holds.one.recv(1), os.read(holds.read, 1))
    try: holds.one.send(b"x")
    except BrokenPipeError: print("one way")
    print(holds.library.readline() != "", holds.loop.run_until_complete(holds.asyncio.sleep(0.01, "slept")))
    holds.loop.call_soon_threadsafe(print, "woken")
    import threading
    threading.Timer(0.05, holds.loop.call_soon_threadsafe, [holds.loop.stop]).start()
    holds.loop.run_forever()
"""


def test_a_fork_shares_nothing_with_the_next(warmth: tuple[Warm, Path], tmp_path: Path) -> None:
    warm, top = warmth
    first, second = top / "arena/first", top / "arena/second"
    for workspace in (first, second):
        workspace.mkdir(exist_ok=True)
    assert said(run_warm(warm, job(first, LEAVE))) == "left"
    assert said(run_warm(warm, job(second, FIND))) == "[]"
    together = job(first, LEAVE + FIND)  # in one run it is all there, or the search would prove nothing
    assert "hostile" in said(run_warm(warm, together))


def test_what_the_imports_hold_still_works(warmth: tuple[Warm, Path]) -> None:
    warm, top = warmth
    workspace = top / "arena/works"
    workspace.mkdir()
    run = run_warm(warm, job(workspace, WORKS))
    assert said(run).splitlines() == ["True b'x' b'y'", "one way", "True slept", "woken"]


HONEST = """
    import concurrent.futures, multiprocessing, sqlite3, subprocess, threading
    from multiprocessing import shared_memory
    def double(x): return 2 * x
    if __name__ == "__main__":
        with concurrent.futures.ProcessPoolExecutor(2) as pool: print(list(pool.map(double, [1, 2])))
        with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(double, [3]))
        shared = shared_memory.SharedMemory(create=True, size=16); shared.buf[0] = 7; print(shared.buf[0])
        shared.close(); shared.unlink()
        one, other = socket.socketpair(); socket.send_fds(one, [b"x"], [1])
        print(len(socket.recv_fds(other, 1, 1)[1]))
        print(subprocess.run(["sh", "-c", "echo $((1 + 1))"], capture_output=True, text=True).stdout.strip())
        base = sqlite3.connect("base.db"); base.execute("create table t (x)"); base.commit()
        print(base.execute("select count(*) from t").fetchone(), os.memfd_create("x") > 2)
        print(socket.if_nameindex(), open("/dev/stdout", "w").write(""), bool(os.sched_getaffinity(0)))
"""


def test_honest_programs_find_what_they_need(warmth: tuple[Warm, Path]) -> None:
    warm, top = warmth
    workspace = top / "arena/honest"
    workspace.mkdir()
    asked = job(workspace, HONEST)
    cold = said(warm._inner.run(asked))
    (workspace / "base.db").unlink()
    assert cold.splitlines() == [
        *("[2, 4]", "[6]", "7", "1", "2", "(0,) True"),
        "[(1, 'lo')] 0 True",
    ]
    assert said(run_warm(warm, asked)) == cold
