"""What every isolation must do alike: run what is asked, tell what came of it, leave nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from grader.errors import GraderFault
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Bind, Ended, Run, SandboxClosed
from grader.runtime.sandbox.paths import PYTHON
from grader.runtime.sandbox.text import plain
from grader.runtime.services.http import client
from tests.runtime.sandbox.isolation import ALL, ENV, ISOLATED, MARK, QUICK, Bench, eventually, opened

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=ALL)
def sandbox_bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    with opened(request.param, tmp_path_factory.mktemp("scratch")) as sandbox:
        yield Bench(sandbox, Path())


@pytest.fixture
def bench(sandbox_bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    bench = Bench(sandbox_bench.sandbox, workspace)
    yield bench
    assert bench.survivors() == []


def test_arguments_and_output_are_unicode(bench: Bench) -> None:
    run = bench.python("import sys; print(sys.argv[1:])", "žluťoučký kůň 🐎", "", "a b\n'\"")
    assert run.stdout == "['žluťoučký kůň 🐎', '', 'a b\\n\\'\"']\n"
    assert (run.ended, run.returncode, run.stderr, run.ok) == (Ended.EXITED, 0, "", True)


def test_output_that_is_no_text_is_shown_as_far_as_it_goes(bench: Bench) -> None:
    run = bench.python("import os; os.write(1, b'a\\xff\\x00b'); os.write(2, b'\\xc3')")
    assert (run.stdout, run.stderr) == ("a\N{REPLACEMENT CHARACTER}\0b", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_status_is_the_commands_own(bench: Bench, status: int) -> None:
    run = bench.run("sh", "-c", f"exit {status}")
    assert (run.ended, run.returncode, run.ok) == (Ended.EXITED, status, status == 0)
    assert run.describe() == f"ended with status {status}"


@pytest.mark.parametrize(
    "number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGINT]
)
def test_signal_is_told_from_a_status(bench: Bench, number: signal.Signals) -> None:
    run = bench.run("sh", "-c", f"kill -{int(number)} $$")
    assert (run.ended, run.returncode, run.ok) == (Ended.SIGNALLED, -number, False)
    assert number.name in run.describe()


def test_nothing_comes_in_on_standard_input(bench: Bench) -> None:
    assert bench.python("import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


ANSWERS = """
    import os, sys
    held = [number for number in range(64) if os.path.exists(f"/proc/self/fd/{number}")]
    if 3 in held:
        os.write(3, b"by number ")
        open("/proc/self/fd/3", "w").write("by name " * 50_000)
        os.write(3, b"end")
    print(held)
"""


def test_an_answer_comes_by_a_descriptor_that_only_the_command_has(bench: Bench) -> None:
    run = bench.python(ANSWERS, answer=True)
    assert (run.stdout, run.answer) == ("[0, 1, 2, 3]\n", b"by number " + b"by name " * 50_000 + b"end")
    limits = dataclasses.replace(QUICK, answer_bytes=len(run.answer or b"") - 1)
    assert bench.python(ANSWERS, answer=True, limits=limits).answer is None
    assert bench.python("import os; os.close(3)", answer=True).answer == b""
    with_none = bench.python("import os; print(sorted(os.listdir('/proc/self/fd')))")
    assert (with_none.stdout, with_none.answer) == ("['0', '1', '2', '3']\n", None)


def test_environment_is_what_was_given_and_a_home(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADER_SECRET", "do not tell")
    run = bench.python("import json, os; print(json.dumps(dict(os.environ)))", env={"X": "ü=1"})
    found = httpx.Response(200, text=run.stdout).json()
    own = {"HOME"} if bench.sandbox.name != "none" else {"HOME", "TMPDIR", "GRADER_RUN"}
    assert {key: value for key, value in found.items() if key not in own} == {
        **ENV,
        MARK: bench.mark,
        "X": "ü=1",
    }
    assert own <= found.keys()


def test_home_and_temporary_directory_are_private_and_writable(bench: Bench) -> None:
    code = """
        import os, tempfile
        from pathlib import Path
        (Path.home() / "x").write_text("x")
        print(tempfile.NamedTemporaryFile().name, sorted(os.listdir(Path.home())))
    """
    first, second = bench.python(code), bench.python(code)
    assert (first.stderr, first.stdout.split()[1:]) == ("", ["['x']"])
    assert second.stdout.split()[1:] == ["['x']"]
    assert Path.home() / "x" not in Path.home().iterdir()


def test_working_directory_is_the_workspace(bench: Bench) -> None:
    (bench.workspace / "given").write_text("given")
    run = bench.run("sh", "-c", "cat given; mkdir d; echo made > d/file; pwd")
    assert run.stdout == f"given{bench.sandbox.workspace(bench.workspace)}\n"
    assert (bench.workspace / "d/file").read_text() == "made\n"


def test_a_missing_program_is_the_commands_fault(bench: Bench) -> None:
    run = bench.run("no-such-program", "x")
    assert (run.ended, run.returncode, run.ok) == (Ended.EXITED, 127, False)
    assert run.describe() == "could not be started: no-such-program: No such file or directory"


def test_a_file_that_is_no_program_is_the_commands_fault(bench: Bench) -> None:
    (bench.workspace / "data").write_text("1,2")
    (bench.workspace / "data2").write_text("1,2")
    (bench.workspace / "data2").chmod(0o755)
    assert bench.run("./data").error == "./data: Permission denied"
    assert bench.run("./data2").error == "./data2: Exec format error"
    assert "null" in bench.run("sh\0x").error


def test_a_sandbox_that_cannot_run_is_the_graders_fault(bench: Bench) -> None:
    missing = Bench(bench.sandbox, bench.workspace / "missing")
    with pytest.raises(GraderFault) as fault:
        missing.run("true")
    assert "No such file or directory" in fault.value.log_tail


def test_bound_files_are_where_the_sandbox_says(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_text("content")
    (tmp_path / "out").mkdir()
    there, out = Bind(tmp_path / "in", "/grader/in"), Bind(tmp_path / "out", "/grader/out", writable=True)
    see = bench.sandbox.sees
    run = bench.run("cp", f"{see(there)}/file", f"{see(out)}/copy", binds=(there, out))
    assert (run.stderr, (tmp_path / "out/copy").read_text()) == ("", "content")


def test_an_outbound_port_reaches_the_socket_behind_it(bench: Bench, tmp_path: Path) -> None:
    code = """
        import socket
        for host in ("localhost", "127.0.0.1"):
            with socket.create_connection((host, 47001), timeout=5) as s:
                s.sendall(b"x" * 300_000); s.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := s.recv(65536): answer += chunk
                print(len(answer), set(answer))
        try: socket.create_connection(("127.0.0.1", 47002), timeout=5)
        except OSError as error: print(error)
    """
    with echo(tmp_path / "service.sock"):
        run = bench.python(code, outbound={47001: tmp_path / "service.sock"})
    assert (run.stdout, run.stderr) == ("300000 {120}\n" * 2 + "[Errno 111] Connection refused\n", "")


def test_a_service_that_is_down_closes_the_connection(bench: Bench, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "down.sock"))
    code = "import socket; print(socket.create_connection(('localhost', 47001), timeout=5).recv(9))"
    assert bench.python(code, outbound={47001: tmp_path / "down.sock"}).stdout == "b''\n"


def test_an_inbound_port_is_reached_once_it_is_open(bench: Bench) -> None:
    (bench.workspace / "page").write_text("hello")
    command = "sleep 0.3; exec $0 -u -m http.server --bind 127.0.0.1 47003"
    process = bench.sandbox.start(bench.job("sh", "-c", command, str(PYTHON), inbound=(47003,)))
    with client(process.connection(47003), 47003) as http:
        with pytest.raises(httpx.ConnectError):
            http.get("/page")
        assert eventually(lambda: _answers(http, "/page"))
        assert http.get("/page").text == "hello"
        assert (process.alive(), "Serving HTTP" in process.output()) == (True, True)
        run = process.stop()
    assert (run.ended, process.alive()) == (Ended.STOPPED, False)
    assert run.describe().startswith("was stopped by the grader after")
    assert not Path(process.connection(47003)).exists()


@pytest.mark.parametrize("isolation", ISOLATED)
def test_sandboxes_side_by_side_keep_their_ports_apart(isolation: str, tmp_path: Path) -> None:
    """As for submissions with different environments, which one shared runtime serves."""
    scratch, said = tmp_path / "scratch", {}
    with opened(isolation, scratch) as one, opened(isolation, scratch) as other:
        for name, sandbox in (("one", one), ("other", other)):
            bench = Bench(sandbox, tmp_path / name)
            bench.workspace.mkdir(mode=0o777)
            (bench.workspace / "page").write_text(name)
            command = ("-u", "-m", "http.server", "--bind", "127.0.0.1", "47005")
            said[name] = sandbox.start(bench.job(str(PYTHON), *command, inbound=(47005,)))
        for name, process in said.items():
            with client(process.connection(47005), 47005) as http:
                assert eventually(lambda http=http: _answers(http, "/page"))
                assert http.get("/page").text == name


def test_concurrent_runs_do_not_meet(bench: Bench) -> None:
    with ThreadPoolExecutor(6) as threads:
        runs = list(
            threads.map(lambda number: bench.run("sh", "-c", f"echo {number}; exit {number}"), range(12))
        )
    assert [(run.stdout, run.returncode) for run in runs] == [(f"{number}\n", number) for number in range(12)]


def test_a_process_outlives_the_thread_that_started_it(bench: Bench) -> None:
    started = []
    thread = threading.Thread(target=lambda: started.append(bench.sandbox.start(bench.job("sleep", "60"))))
    thread.start()
    thread.join()
    assert started[0].wait(0.3) is None
    assert started[0].stop().ended is Ended.STOPPED


def test_a_daemon_ends_with_its_run(bench: Bench) -> None:
    code = """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(3): os.close(number)
                time.sleep(600)
            os._exit(0)
        time.sleep(0.2)
    """
    run = bench.python(code)
    assert (run.ended, run.returncode, run.seconds < 5) == (Ended.EXITED, 0, True)
    assert bench.survivors() == []


def test_a_child_that_keeps_the_output_open_does_not_keep_the_run(bench: Bench) -> None:
    run = bench.run("sh", "-c", "sleep 60 & echo done")
    assert (run.stdout, run.seconds < 5) == ("done\n", True)


def test_closing_ends_what_runs_and_starts_nothing_more(tmp_path: Path, bench: Bench) -> None:
    with opened(bench.sandbox.name, tmp_path / "other") as sandbox, ThreadPoolExecutor(1) as threads:
        other = Bench(sandbox, bench.workspace)
        future = threads.submit(other.run, "sleep", "60")
        assert eventually(other.survivors)
        sandbox.close()
        assert future.result(10).ended is Ended.STOPPED
        assert other.survivors() == []
        with pytest.raises(SandboxClosed):
            other.run("true")


def test_closing_again_closes_nothing_of_others(tmp_path: Path, bench: Bench) -> None:
    with opened(bench.sandbox.name, tmp_path / "other") as sandbox:
        sandbox.close()
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(16)]
        sandbox.close()
    for descriptor in others:
        os.close(descriptor)


@pytest.mark.slow
def test_closing_while_something_starts_leaves_nothing(tmp_path: Path, bench: Bench) -> None:
    times, step = (10, 0.05) if bench.sandbox.name == "docker" else (20, 0.003)
    for number in range(times):
        with opened(bench.sandbox.name, tmp_path / str(number)) as sandbox, ThreadPoolExecutor(2) as threads:
            other = Bench(sandbox, bench.workspace)
            futures = [threads.submit(other.run, "sleep", "60") for _ in range(2)]
            time.sleep(step * number)
            sandbox.close()
            for future in futures:
                assert (
                    isinstance(future.exception(10), SandboxClosed) or future.result().ended is Ended.STOPPED
                )
    assert eventually(lambda: using(bench.workspace) == [], 2), using(bench.workspace)


def using(directory: Path) -> list[str]:
    """Command lines that name a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text(errors="replace").replace("\0", " ")
            found += [words] if str(directory) in words else []
    return found


def test_nothing_stays_open_in_the_grader(bench: Bench) -> None:
    bench.run("true")
    before = sorted(map(str, Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        bench.run("no-such-program", inbound=(47009,))
    assert sorted(map(str, Path("/proc/self/fd").iterdir())) == before


def test_a_tail_is_the_end_without_control_characters() -> None:
    run = Run(
        argv=("x",),
        ended=Ended.EXITED,
        returncode=1,
        stdout="1\n2\n",
        stderr="\x1b[31m3\x1b[0m\r\n\x1b]0;t\x07\x074\n",
    )
    assert run.tail(3) == "2\n3\n\N{REPLACEMENT CHARACTER}4"
    assert plain("a\u202eb") == "a\N{REPLACEMENT CHARACTER}b"
    assert dataclasses.replace(run, stdout="", stderr="x" * 10**6).tail() == "x" * 10_000


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended.WALL_LIMIT, "was stopped after 240 s (wall limit)"),
        (Ended.CPU_LIMIT, "was stopped after 120 s of CPU time (CPU limit)"),
        (Ended.MEMORY_LIMIT, "was stopped when it used more than 4 GiB of memory (memory limit)"),
        (Ended.PROCESS_LIMIT, "was stopped when it had more than 256 processes (process limit)"),
        (Ended.DISK_LIMIT, "was stopped when it wrote more than 1.5 MiB to disk (disk limit)"),
    ],
)
def test_a_limit_is_named_with_its_value(ended: Ended, words: str) -> None:
    assert Run(argv=(), ended=ended, limits=Limits(workspace_bytes=1_572_864)).describe() == words


class echo:  # noqa: N801  (reads as a function)
    """A Unix socket that sends everything back."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                data = b""
                while chunk := connection.recv(65536):
                    data += chunk
                connection.sendall(data)


def _answers(http: httpx.Client, path: str) -> bool:
    try:
        return http.get(path).status_code == 200
    except httpx.TransportError:
        return False
