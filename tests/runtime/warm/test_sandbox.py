"""A warm run is a cold run but for the time that it takes: every script here runs both ways."""

from __future__ import annotations

import os
import py_compile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from grader.files import open_tree
from grader.runtime.cell import Cell
from grader.runtime.sandbox.bubblewrap.sandbox import Bubblewrap
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended, Run
from grader.runtime.sandbox.paths import PYTHON
from grader.runtime.warm import Preload, Warm
from grader.runtime.warm.sandbox import _shadows
from tests.runtime.sandbox.isolation import MARK, QUICK, eventually, marked, opened
from tests.runtime.sandbox.test_model import ANSWERS, echo
from tests.runtime.test_cell import answers

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = ("no_such_module", "asyncio", "sqlite3", "unittest.mock", "decimal", "xml.dom.minidom")
SMALL = replace(QUICK, memory_bytes=150 * 2**20, processes=20, file_bytes=2**22, workspace_bytes=5 * 2**20)
pytestmark = pytest.mark.slow


class Pair:
    """A warm and a cold cell, each with a workspace of its own."""

    def __init__(self, warm: Warm, inner: Counting, arena: Path, name: str) -> None:
        self.mark = os.urandom(8).hex()
        self.warm_sandbox, self.inner = warm, inner
        self.cold = self._cell(inner, arena / f"{name}-cold")
        self.warm = self._cell(warm, arena / f"{name}-warm")

    def _cell(self, sandbox: Any, directory: Path, **more: Any) -> Cell:
        workspace = directory / "workspace"
        workspace.mkdir(parents=True)
        return Cell(
            workspace,
            sandbox=sandbox,
            python=PYTHON,
            scratch=directory,
            readable=(PYTHON.parents[1],),
            env={MARK: self.mark, "PYTHONDONTWRITEBYTECODE": "1"},
            limits=QUICK,
            **more,
        )

    def write(self, name: str, code: str) -> None:
        for cell in (self.cold, self.warm):
            path = cell.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(code))

    def run(self, *arguments: str, **more: Any) -> tuple[Run, Run]:
        """Cold, then warm; the second must not be a cold one in disguise."""
        cold = self.cold.python(*arguments, **more)
        before = self.inner.started
        warm = self.warm.python(*arguments, **more)
        assert self.inner.started == before, self.warm_sandbox.problem
        return cold, warm

    def same(self, code: str, *arguments: str, **more: Any) -> Run:
        """The warm run of a script, which is as the cold one."""
        self.write("src/script.py", code)
        cold, warm = self.run("src/script.py", *arguments, **more)
        assert told(warm) == told(cold)
        return warm


class Counting(Bubblewrap):
    """Counts how often something is started cold."""

    started = 0

    def start(self, job: Any, **more: Any) -> Any:
        self.started += 1
        return super().start(job, **more)


def told(run: Run) -> tuple[object, ...]:
    return run.ended, run.returncode, run.stdout, run.stderr, run.dropped_bytes, run.error


@pytest.fixture(scope="module")
def warmth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warm, Counting, Path]]:
    top = tmp_path_factory.mktemp("warm")
    with opened("bubblewrap", top / "trial"):
        pass
    inner = Counting(top / "scratch")
    warm = Warm(inner, top / "arena")
    try:
        prepare(warm)
        yield warm, inner, top / "arena"
    finally:
        warm.close()


def prepare(warm: Warm, *more: Path) -> None:
    env = {**Cell(Path(), sandbox=warm, python=PYTHON, scratch=Path())._env, "PYTHONDONTWRITEBYTECODE": "1"}
    warm.prepare(Preload(python=PYTHON, env=env, readable=(PYTHON.parents[1], *more), modules=MODULES))
    assert warm.ready(60), warm.problem


@pytest.fixture
def pair(warmth: tuple[Warm, Counting, Path], request: pytest.FixtureRequest) -> Iterator[Pair]:
    warm, inner, arena = warmth
    pair = Pair(warm, inner, arena, f"{request.node.name[:30]}-{os.urandom(3).hex()}")
    yield pair
    assert marked(pair.mark) == []


def test_it_is_warm(pair: Pair) -> None:
    pair.write("script.py", "import sys; print('sqlite3' in sys.modules)")
    cold, warm = pair.run("script.py")
    assert (cold.stdout, warm.stdout) == ("False\n", "True\n")


SURROUNDINGS = """
    import locale, os, resource, signal, socket, sys, threading, warnings
    print(__name__, __file__, __doc__, __package__, __spec__, type(__loader__))
    print(sorted(globals()))
    print(sys.argv, sys.orig_argv, sys.path, sys.flags, sys.executable, sys.prefix)
    print(sorted(os.environ.items()), os.getcwd(), os.cpu_count(), sys.warnoptions)
    print(os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0))
    print(os.getuid(), os.getgid(), os.getgroups(), oct(os.umask(0)), socket.gethostname())
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        print(stream.encoding, stream.errors, stream.line_buffering, stream.isatty(), stream.name)
    print(sorted(os.listdir("/proc/self/fd")), locale.getlocale(), threading.active_count())
    limits = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    print({name: resource.getrlimit(getattr(resource, name)) for name in limits})
    print({n: signal.getsignal(n) for n in signal.valid_signals() if n not in (32, 33)} )
    lines = open("/proc/self/status").read().splitlines()
    wanted = ("Sig", "Shd", "Cap", "NoNew", "Uid", "Gid", "Threads")
    print([line for line in lines if line.startswith(wanted)])
    for place in ("/", "/tmp", "/home/candidate", "/dev/shm", "/workspace", "/proc"):
        status, room = os.stat(place), os.statvfs(place)
        size = room.f_blocks if place in ("/tmp", "/home/candidate", "/dev/shm") else ""
        print(place, oct(status.st_mode), status.st_uid, room.f_flag, size)
    print([os.path.realpath(f"/proc/self/{name}") for name in ("cwd", "root", "exe")])
    print(repr(sys.stdin.read()), sorted(name for name in os.listdir("/proc") if name.isdigit()))
    print(sys.getrecursionlimit(), sys.getswitchinterval(), hash("x"), warnings.filters)
    print(sorted(name for _, name in socket.if_nameindex()))
"""


def test_what_a_script_finds_around_it(pair: Pair) -> None:
    run = pair.same(SURROUNDINGS, "--flag", "ü x", env={"X": "1", "TZ": "Europe/Berlin"})
    assert run.stdout.startswith("__main__ /workspace/src/script.py")


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit",
        "import sys; sys.exit(3)",
        "import sys; sys.exit(-1)",
        "import sys; sys.exit(256 + 7)",
        "import sys; print('out'); sys.exit('that is why')",
        "import sys; sys.exit([1])",
        "import os; print('lost'); os._exit(5)",
        "import os; os.kill(os.getpid(), 11)",
        "import os; os.kill(os.getpid(), 15)",
        "import os; os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "raise KeyboardInterrupt",
        "def f():\n    1 / 0\nf()",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('x') from error",
        "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
        "class E(BaseException): pass\nraise E('base')",
        "def broken(:\n    pass",
        "import sys; sys.excepthook = lambda *a: print('hook', a[0]); raise ValueError",
        "import sys, traceback; sys.excepthook = lambda *a: traceback.print_exception(*a); raise ValueError",
        "import atexit; atexit.register(print, 'bye'); print('hello'); 1 / 0",
        "import threading, time\nthreading.Thread(target=lambda: time.sleep(0.2) or print('late')).start()",
        "import threading\nthreading.Thread(target=lambda: 1 / 0).start()",
        "import sys; sys.stdout.write('no newline')",
        "import os; os.close(1); print('x')",
        "import sys; print('x'); sys.stdout.close()",
        "import warnings; warnings.warn('once'); warnings.warn('twice', DeprecationWarning)",
        "import logging; logging.warning('w'); logging.getLogger('a').error('e')",
        "class A:\n    def __del__(self): print('gone')\na = A()",
        "import os\nclass A:\n    def __del__(self): print('gone', os.getcwd())\na = A()\na.a = a\n1 / 0",
        "import sys\nclass A:\n    def __del__(self): print('gone')\ndef f(a):\n    raise ValueError\nf(A())",
        "import weakref\nclass A: pass\na = A(); weakref.finalize(a, print, 'final'); print('last')",
        "import os\nif not os.fork(): raise SystemExit(5)\nprint(os.waitstatus_to_exitcode(os.wait()[1]))",
        "import sys; sys.stdout = None; sys.exit(4)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "import sys; print(sys.exc_info())",
        "import atexit; atexit.register(print, 'bye'); print('x'); raise KeyboardInterrupt",
        "open('x', 'w').write('y'); raise KeyboardInterrupt('z')",
        "import sys; sys.exit(2**70)",
        "import sys; sys.excepthook = 3; raise ValueError",
        "import sys\ndef f(): [][0]\nsys.excepthook = lambda *a: f()\n1 / 0",
        "import atexit; atexit.register(lambda: print(sorted(globals())))",
        "# coding: no-such-thing",
        "import warnings\nwarnings.warn('of whoever calls the program', stacklevel=2)",
        "import warnings\ndef f(): warnings.warn('beyond', UserWarning, stacklevel=9)\nf()",
    ],
)
def test_how_a_script_ends(pair: Pair, code: str) -> None:
    pair.same(code)


@pytest.mark.parametrize("answer", [True, False])
def test_a_script_that_may_answer(pair: Pair, answer: bool) -> None:
    pair.write("script.py", ANSWERS)
    before = pair.inner.started
    runs = []
    for cell, sandbox in ((pair.warm, pair.warm_sandbox), (pair.cold, pair.inner)):
        job = cell._job((os.fspath(PYTHON), "script.py"), env=None, limits=QUICK, answer=answer)
        runs.append(sandbox.run(job))
    assert pair.inner.started == before + 1
    assert [(told(run), run.answer) for run in runs] == [(told(runs[1]), runs[1].answer)] * 2
    expected = (b"by number " + b"by name " * 50_000 + b"end") if answer else None
    assert (runs[0].answer, runs[0].ok) == (expected, True)


def test_files_that_a_script_leaves_open_are_written(pair: Pair) -> None:
    pair.write("src/neighbour.py", "file = open('of_a_neighbour', 'w'); file.write('x' * 10)")
    code = """
        import neighbour
        one = open("of_main", "w"); one.write("y" * 10)
        class Keeper:
            def __init__(self): self.file = open("of_an_object", "w"); self.file.write("z" * 10)
            def __del__(self): self.file.write("end")
        keeper = Keeper()
    """
    pair.same(code)
    found = [
        {name: (cell.workspace / name).read_text() for name in ("of_main", "of_a_neighbour", "of_an_object")}
        for cell in (pair.cold, pair.warm)
    ]
    assert found[0] == found[1]
    assert found[1] == {"of_main": "y" * 10, "of_a_neighbour": "x" * 10, "of_an_object": "z" * 10 + "end"}


@pytest.mark.parametrize("code", ["print(1)\\n\\x00", "def f(): f()\\nf()"])
def test_how_a_script_ends_but_for_details(pair: Pair, code: str) -> None:
    pair.write("script.py", code)
    cold, warm = pair.run("script.py")
    errors = [run.stderr.splitlines()[-1].partition(":")[0] for run in (cold, warm)]
    assert (warm.ended, warm.returncode, errors[1]) == (cold.ended, cold.returncode, errors[0])


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "./src/../src/script.py", "x"],
        ["python3", "src//script.py"],
        ["python3", "/workspace/src/script.py"],
        ["python", "-m", "src.script"],
        ["python3", "none.py"],
        ["python", "-m", "src"],
        ["python3", "-m", "src.script", "-c"],
    ],
)
def test_how_python_is_called(pair: Pair, argv: list[str]) -> None:
    pair.write(
        "src/script.py",
        """
        import sys
        print(__file__, sys.argv, sys.orig_argv, sys.path[0], sys.executable, sys._base_executable)
    """,
    )
    cold = pair.cold.run(argv)
    before = pair.inner.started
    warm = pair.warm.run(argv)
    assert (told(warm), pair.inner.started) == (told(cold), before)


def test_a_script_that_is_bytecode_has_a_new_interpreter(pair: Pair) -> None:
    code = "import os, sys; print(__name__, __file__, sys.argv, os.getpid(), 'decimal' in sys.modules)"
    pair.write("source.py", code)
    for cell in (pair.cold, pair.warm):
        py_compile.compile(os.fspath(cell.workspace / "source.py"), os.fspath(cell.workspace / "script.py"))
    cold, warm = pair.run("script.py", "x")
    assert told(warm) == told(cold)
    assert warm.stdout == "__main__ /workspace/script.py ['script.py', 'x'] 2 False\n"


def test_both_streams_in_one(pair: Pair) -> None:
    run = pair.same("""
        import os, sys
        os.dup2(2, 1)
        for number in range(3):
            print(number)
            print(number, file=sys.stderr)
        raise ValueError
    """)
    assert run.stderr.startswith("0\n1\n2\n0\n1\n2\nTraceback")


def test_a_script_that_is_not_there(pair: Pair) -> None:
    pair.write("src/script.py", "")
    for cell in (pair.cold, pair.warm):
        (cell.workspace / "src/script.py").unlink()
    cold, warm = pair.run("src/script.py")
    assert told(warm) == told(cold)
    assert warm.returncode == 2


def test_neighbours_and_modules(pair: Pair) -> None:
    pair.write("src/__init__.py", "")
    pair.write("src/neighbour.py", "name = __name__")
    pair.write("other.py", "name = __name__")
    pair.same("import neighbour; print(neighbour.name, neighbour.__file__)")
    pair.same("import other")
    pair.write(
        "src/tool.py",
        """
        import sys
        from . import neighbour
        import other
        print(__name__, __package__, sys.argv, sys.path[0])
        1 / 0
        """,
    )
    cold, warm = pair.run("-m", "src.tool", "x")
    assert told(warm) == told(cold)
    assert "__main__ src ['/workspace/src/tool.py', 'x'] /workspace" in warm.stdout
    cold, warm = pair.run("-m", "src")
    assert (warm.returncode, warm.stderr.splitlines()[-1]) == (cold.returncode, cold.stderr.splitlines()[-1])


def test_what_main_is_to_others(pair: Pair) -> None:
    run = pair.same("""
        import multiprocessing, pickle, subprocess, sys
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int

        def double(point):
            return Point(point.x * 2)

        if __name__ == "__main__":
            print(pickle.loads(pickle.dumps(Point(1))))
            for method in ("fork", "spawn"):
                with multiprocessing.get_context(method).Pool(2) as pool:
                    print(pool.map(double, [Point(1), Point(2)]))
            print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True))
            print(subprocess.run("echo $0; exit 3", shell=True).returncode, flush=True)
    """)
    assert run.stdout.count("[Point(x=2), Point(x=4)]") == 2


def test_chance_does_not_repeat(pair: Pair) -> None:
    pair.write(
        "script.py", "import random, tempfile, uuid; print(random.random(), uuid.uuid4(), tempfile.mktemp())"
    )
    first, second = pair.run("script.py")[1].stdout.split(), pair.run("script.py")[1].stdout.split()
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_runs_leave_nothing_to_each_other(pair: Pair) -> None:
    code = """
        import os
        from pathlib import Path
        print([sorted(os.listdir(place)) for place in ("/tmp", Path.home(), "/dev/shm", ".")])
        for place in ("/tmp", Path.home(), "/dev/shm"):
            (Path(place) / "left").write_text("x")
    """
    assert "src" in pair.same(code).stdout
    assert pair.run("src/script.py")[1].stdout == "[[], [], [], ['src']]\n"


def test_no_more_may_be_done_or_seen(pair: Pair) -> None:
    run = pair.same("""
        import ctypes, os, socket
        libc = ctypes.CDLL(None, use_errno=True)
        for flag in (0x10000000, 0x20000, 0x40000000, 0x30020000):
            print(libc.unshare(flag), libc.syscall(56, flag | 17, 0, 0, 0, 0), end=" ")
        print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), libc.umount2(b"/proc", 2))
        print(libc.chroot(b"/tmp"), libc.sethostname(b"x", 1), libc.setuid(0))
        for place in ("/", "/usr", "/etc", "/dev", "/grader", "/proc/sys/kernel", "/proc/self/oom_score_adj"):
            try: open(place + "/x" if os.path.isdir(place) else place, "w"); print("written", place)
            except OSError as error: print(place, error.strerror)
        for place in ("/etc/shadow", "/grader/arena", "/grader/control", "/grader/shown", "/root/.profile"):
            print(place, os.path.exists(place))
        try: socket.create_connection(("192.0.2.1", 53), timeout=0.5)
        except OSError as error: print(error)
        os.system("kill -9 1 2>/dev/null; kill -TERM 1; sleep 0.1; echo still")
        print(open("/proc/1/comm").read() != "", os.path.exists("/proc/1/root/etc"))
    """)
    assert "written" not in run.stdout


ENDLESS: dict[Ended, tuple[str, dict[str, Any]]] = {
    Ended.WALL_LIMIT: ("import time; time.sleep(600)", {"wall_seconds": 0.5}),
    Ended.CPU_LIMIT: ("while True: pass", {"cpu_seconds": 1}),
    Ended.MEMORY_LIMIT: ("import time\nx = []\nwhile True: x.append(bytearray(2**22)); time.sleep(0.01)", {}),
    Ended.PROCESS_LIMIT: ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", {}),
    Ended.DISK_LIMIT: (
        "import os, time\nfor n in range(9): open(str(n), 'wb').write(os.urandom(2**20))\ntime.sleep(600)",
        {},
    ),
}


@pytest.mark.parametrize("why", ENDLESS)
def test_limits(pair: Pair, why: Ended) -> None:
    code, limits = ENDLESS[why]
    pair.write("script.py", code)
    for run in pair.run("script.py", limits=replace(SMALL, **limits)):
        assert (run.ended, run.seconds < 10) == (why, True)


def test_limits_that_the_kernel_keeps(pair: Pair) -> None:
    code = """
        try: open("x", "wb").write(bytes(5 * 2**20))
        except OSError as error: print(error)
        try:
            for n in range(9): open(f"/tmp/{n}", "wb").write(bytes(2**20))
        except OSError as error: print(error)
    """
    limits = replace(SMALL, scratch_bytes=4 * 2**20)
    assert (
        pair.same(code, limits=limits).stdout
        == "[Errno 27] File too large\n[Errno 28] No space left on device\n"
    )


def test_a_daemon_ends_with_its_run(pair: Pair) -> None:
    pair.same("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(3): os.close(number)
                time.sleep(600)
            os._exit(0)
        time.sleep(0.2)
    """)


def test_ports_in_both_directions(pair: Pair, tmp_path: Path) -> None:
    code = """
        import http.server, socket
        with socket.create_connection(("localhost", 5000), timeout=5) as s:
            s.sendall(b"x" * 300_000); s.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := s.recv(65536): answer += chunk
        open("page", "wb").write(b"%d" % len(answer))
        http.server.test(http.server.SimpleHTTPRequestHandler, port=8000, bind="127.0.0.1")
    """
    cells = [
        Cell(
            cell.workspace,
            sandbox=cell._sandbox,
            python=PYTHON,
            scratch=tmp_path,
            readable=(PYTHON.parents[1],),
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            outbound={5000: tmp_path / "s"},
        )
        for cell in (pair.cold, pair.warm)
    ]
    pair.write("server.py", code)
    with echo(tmp_path / "s"):
        for cell in cells:
            with cell.serve(["python3", "server.py"], port=8000) as server:
                assert eventually(lambda server=server: answers(server.client)), server.output()
                assert server.client.get("/page").text == "300000"
            assert server.run().ended is Ended.STOPPED


def test_many_at_a_time(pair: Pair) -> None:
    pair.write("script.py", "import os, sys; print(os.getpid(), sys.argv[1]); sys.exit(int(sys.argv[1]))")
    before = pair.inner.started
    with ThreadPoolExecutor(6) as threads:
        runs = list(threads.map(lambda number: pair.warm.python("script.py", str(number)), range(12)))
    assert [(run.stdout, run.returncode) for run in runs] == [
        (f"2 {number}\n", number) for number in range(12)
    ]
    assert pair.inner.started == before


def test_a_probe_that_is_not_shown_is_cold(pair: Pair) -> None:
    before = pair.inner.started
    run, answer = pair.warm.probe("inspect_models", {"models": [], "columns": [], "rows": []})
    assert (run.ok, answer, pair.inner.started) == (True, {"models": []}, before + 1)


@pytest.mark.parametrize(
    ("arguments", "env", "files"),
    [
        (("-c", "print(1)"), {}, {}),
        (("-u", "script.py"), {}, {}),
        (("-m", "json.tool", "data.json"), {}, {"data.json": "1"}),
        (("script.py",), {"PYTHONPATH": "x"}, {}),
        (("script.py",), {}, {"script.py": "print(1)\nif 0: from pytest import main"}),
        (("-m", "script"), {}, {"script.py": "print(1)\nif 0: import pytest"}),
        (("-m", "tool"), {}, {"tool/__init__.py": "", "tool/__main__.py": "print(1)\nif 0: import pytest"}),
        (("-mscript",), {}, {}),
        (("tool",), {}, {"tool/__main__.py": "print(1)"}),
        (("script.py",), {"OMP_NUM_THREADS": "1"}, {}),
        (("script.py",), {}, {"lib/decimal.py": ""}),
        (("script.py",), {}, {"deep/sqlite3/__init__.py": ""}),
    ],
)
def test_what_would_be_otherwise_is_cold(
    pair: Pair, arguments: tuple[str, ...], env: dict[str, str], files: dict[str, str]
) -> None:
    for name, content in {"script.py": "print(1)", **files}.items():
        pair.write(name, content)
    before = pair.inner.started
    assert pair.warm.python(*arguments, env=env).stdout == "1\n"
    assert pair.inner.started == before + 1


def test_without_it_runs_are_cold(tmp_path: Path) -> None:
    inner = Counting(tmp_path / "scratch")
    warm = Warm(inner, tmp_path / "arena")
    try:
        pair = Pair(warm, inner, tmp_path / "arena", "x")
        pair.write("script.py", "print(1)")
        assert (warm.ready(0), pair.warm.python("script.py").stdout) == (False, "1\n")
        prepare(warm)
        assert pair.run("script.py")[1].stdout == "1\n"
        zygote = warm._zygote
        assert zygote is not None
        zygote.close()
        before = inner.started
        assert pair.warm.python("script.py").stdout == "1\n"
        assert (inner.started, warm.ready(0), warm.problem != "") == (before + 1, False, True)
    finally:
        warm.close()


@pytest.mark.parametrize("top", ["/tmp", "/var/tmp"])
def test_packages_below_a_directory_that_lives_in_memory(tmp_path: Path, top: str) -> None:
    """What is imported late is still there, and a run's own files in memory are its own."""
    inner = Counting(tmp_path / "scratch")
    warm = Warm(inner, tmp_path / "arena")
    with TemporaryDirectory(dir=top) as packages:
        Path(packages).chmod(0o755)
        late = Path(packages) / "late.py"
        late.write_text("import os; WRITABLE = os.access(os.path.dirname(__file__), os.W_OK)")
        try:
            prepare(warm, Path(packages))
            pair = Pair(warm, inner, tmp_path / "arena", "x")
            code = f"import os, sys; sys.path.append({packages!r}); import late; "
            pair.write(
                "script.py", f"{code}print(late.WRITABLE, os.listdir('/tmp') == [{late.parent.name!r}])"
            )
            run = pair.warm.python("script.py")
            assert (run.stdout, run.stderr) == ("False True\n", "")
        finally:
            warm.close()


@pytest.mark.parametrize("path", ["/workspace/lib", "lib:src", "."])
def test_places_that_were_not_there_when_the_imports_were_done(tmp_path: Path, path: str) -> None:
    """A submission may have Python import from folders of its own."""
    inner = Counting(tmp_path / "scratch")
    warm = Warm(inner, tmp_path / "arena")
    try:
        pair = Pair(warm, inner, tmp_path / "arena", "x")
        env = {"PYTHONPATH": path}
        ahead = pair.warm._job(("x",), env=env, limits=None).env
        warm.prepare(Preload(python=PYTHON, env=ahead, readable=(PYTHON.parents[1],), modules=MODULES))
        assert warm.ready(60), warm.problem
        for name in ("lib/tool.py", "tool.py"):
            pair.write(name, f"print({name!r})")
        pair.write("src/script.py", "import tool")
        cold, run = pair.run("src/script.py", env=env)
        assert (run.stdout, run.stderr) == (cold.stdout, cold.stderr)
        assert run.stdout == ("tool.py\n" if path == "." else "lib/tool.py\n")
    finally:
        warm.close()


def test_a_script_waits_for_the_imports_and_nothing_else_does(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "slow.py").write_text("import time; time.sleep(1)")
    warm = Warm(Counting(tmp_path / "scratch"), tmp_path / "arena")
    try:
        pair = Pair(warm, Counting(tmp_path / "other"), tmp_path / "arena", "x")
        pair.write("script.py", "print(1)")
        script = pair.warm._job((os.fspath(PYTHON), "script.py"), env={"PYTHONPATH": str(site)}, limits=None)
        warm.wait_for(script)  # nothing was asked for: nothing to wait for
        readable = (PYTHON.parents[1], site)
        warm.prepare(Preload(python=PYTHON, env=script.env, readable=readable, modules=("slow",)))
        warm.wait_for(replace(script, argv=("make", "all")))
        assert not warm.ready(0)
        warm.wait_for(script)
        assert warm.ready(0), warm.problem
    finally:
        warm.close()


def test_imports_that_never_end_or_end_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.runtime.warm.fork_server.IMPORT_SECONDS", 2)
    for number, code in enumerate(("import os; os._exit(3)", "import time; time.sleep(600)")):
        site = tmp_path / f"site{number}"
        site.mkdir()
        (site / "evil.py").write_text(code)
        inner = Counting(tmp_path / f"scratch{number}")
        warm = Warm(inner, tmp_path / f"arena{number}")
        mark = os.urandom(8).hex()
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), MARK: mark}
        try:
            readable = (PYTHON.parents[1], site)
            warm.prepare(Preload(python=PYTHON, env=env, readable=readable, modules=("evil",)))
            assert (warm.ready(30), "imports" in warm.problem) == (False, True)
            assert marked(mark) == []
        finally:
            warm.close()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    top = tmp_path / ("long" * 20) / ("longer" * 10)
    warm = Warm(Counting(top / "scratch"), top / "arena")
    try:
        prepare(warm)
    finally:
        warm.close()


@pytest.mark.parametrize("seconds", [0, 0.02, 0.1, 0.5])
def test_closing_does_not_wait_for_imports(tmp_path: Path, seconds: float) -> None:
    warm = Warm(Counting(tmp_path / "scratch"), tmp_path / "arena")
    slow = tmp_path / "site/slow.py"
    slow.parent.mkdir()
    slow.write_text("import time; time.sleep(600)")
    readable = (PYTHON.parents[1], slow.parent)
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(slow.parent)}
    warm.prepare(Preload(python=PYTHON, env=env, readable=readable, modules=("slow",)))
    time.sleep(seconds)
    begin = time.monotonic()
    warm.close()
    assert time.monotonic() - begin < 5


def test_closing_ends_what_runs(tmp_path: Path) -> None:
    inner = Counting(tmp_path / "scratch")
    warm = Warm(inner, tmp_path / "arena")
    prepare(warm)
    pair = Pair(warm, inner, tmp_path / "arena", "x")
    pair.write("script.py", "import time; open('running', 'w').close(); time.sleep(600)")
    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(pair.warm.python, "script.py", limits=Limits())
        assert eventually((pair.warm.workspace / "running").exists)
        warm.close()
        assert future.result(10).ended is Ended.STOPPED


@pytest.mark.parametrize(
    ("path", "shadows"),
    [
        ("decimal.py", True),
        ("src/decimal.py", True),
        ("src/decimal.cpython-311.so", True),
        ("src/decimal/__init__.py", True),
        ("decimal.txt", False),
        ("decimal/other.py", False),
        ("__init__.py", False),
        (".venv/lib/decimal.py", False),
        (".cache/decimal.py", False),
        ("src/__pycache__/decimal.py", False),
    ],
)
def test_a_name_of_something_imported(tmp_path: Path, path: str, shadows: bool) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    assert _shadows(open_tree(tmp_path), frozenset({"decimal"})) is shadows


def test_a_name_beyond_a_link_shadows_nothing(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/decimal.py").touch()
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace/src").symlink_to(tmp_path / "outside")
    assert not _shadows(open_tree(tmp_path / "workspace"), frozenset({"decimal"}))
