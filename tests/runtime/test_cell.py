"""A cell: the candidate's Python, the grader's probes, servers, and looking at what was left behind."""

from __future__ import annotations

import time
from textwrap import dedent
from typing import TYPE_CHECKING

import httpx
import pytest

from grader.runtime import cell as cell_module
from grader.runtime.cell import Cell
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended
from grader.runtime.sandbox.paths import PYTHON
from grader.runtime.services import http as client_module
from tests.runtime.sandbox.isolation import ALL, QUICK, eventually, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PORT = 47011


@pytest.fixture(params=ALL)
def cell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cell]:
    (tmp_path / "workspace").mkdir()
    with opened(request.param, tmp_path / "scratch") as sandbox:
        yield Cell(
            tmp_path / "workspace",
            sandbox=sandbox,
            python=PYTHON,
            scratch=tmp_path / "scratch" / "cell",
            readable=(PYTHON.parents[1],),
            env={"MLFLOW_TRACKING_URI": "http://localhost:5000"},
            limits=QUICK,
        )


def write(cell: Cell, name: str, code: str) -> None:
    path = cell.workspace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(code))


def test_a_script_runs_as_on_a_command_line(cell: Cell) -> None:
    write(cell, "src/helper.py", "name = 'helper'")
    write(
        cell, "src/script.py", "import os, sys, helper; print(sys.argv, __file__, helper.name, os.getcwd())"
    )
    run = cell.python("src/script.py", "--out", "x y")
    words = f"['src/script.py', '--out', 'x y'] {cell.root}/src/script.py helper {cell.root}"
    assert (run.stdout, run.stderr) == (f"{words}\n", "")


def test_the_environments_programs_come_first(cell: Cell) -> None:
    run = cell.run(
        ["sh", "-c", "command -v python3; echo $MLFLOW_TRACKING_URI $TZ $LANG $DVC_NO_ANALYTICS $X"],
        env={"X": "1"},
    )
    assert run.stdout == f"{PYTHON.parent}/python3\nhttp://localhost:5000 UTC C.UTF-8 true 1\n"


@pytest.fixture
def probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setattr(cell_module, "PROBES", tmp_path / "probes")
    (tmp_path / "probes").mkdir()

    def put(code: str) -> None:
        (tmp_path / "probes/probe.py").write_text(f"import json, os, sys\n{code}")

    return put


def test_a_probe_answers_a_request(cell: Cell, probes: Callable[[str], None]) -> None:
    (cell.workspace / "data").write_text("given")
    probes("json.dump([json.load(open(sys.argv[1])), open('data').read()], open(sys.argv[2], 'w'))")
    run, answer = cell.probe("probe", {"a": ["ü", None]})
    assert (run.ok, answer) == (True, [{"a": ["ü", None]}, "given"])
    assert cell.changed({"data": ""}) == ("data",)


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "raise SystemExit(1)",
        "open(sys.argv[2], 'w').write('{')",
        "open(sys.argv[2], 'w').write('[' * 100_000)",
        "open(sys.argv[2], 'wb').write(b'\\xff')",
        "os.close(3)",
        "os.dup2(os.open('/etc/passwd', os.O_RDONLY), 3)",
    ],
)
def test_a_probe_that_left_no_answer(cell: Cell, probes: Callable[[str], None], code: str) -> None:
    probes(code)
    assert cell.probe("probe", 1)[1] is None


def test_a_probe_cannot_answer_too_much(cell: Cell, probes: Callable[[str], None]) -> None:
    probes("json.dump('x' * 1000, open(sys.argv[2], 'w'))")
    assert cell.probe("probe", 1, limits=Limits(answer_bytes=1002))[1] == "x" * 1000
    assert cell.probe("probe", 1, limits=Limits(answer_bytes=1001))[1] is None


def test_a_server_lives_as_long_as_its_block(cell: Cell) -> None:
    (cell.workspace / "page").write_text("hello")
    with cell.serve([str(PYTHON), "-u", "-m", "http.server", str(PORT)], port=PORT) as server:
        assert eventually(lambda: answers(server.client))
        assert server.client.get("/page").text == "hello"
        assert server.client.get("/missing").status_code == 404
        assert (server.alive(), "Serving" in server.output(), server.wait(0)) == (True, True, None)
    assert (server.alive(), server.run().ended) == (False, Ended.STOPPED)


def test_a_server_that_refuses_to_start_says_why(cell: Cell) -> None:
    with cell.serve(["sh", "-c", "echo no model >&2; exit 3"], port=PORT) as server:
        assert eventually(lambda: not server.alive())
        with pytest.raises(httpx.ConnectError):
            server.client.get("/")
        run = server.run()
    assert (run.ended, run.returncode, run.stderr) == (Ended.EXITED, 3, "no model\n")


HOSTILE = """
    import socket, sys, time, zlib
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))

    def answer(connection, status, *headers, body=b""):
        lines = [f"HTTP/1.1 {status}", *headers, "", ""]
        connection.sendall("\\r\\n".join(lines).encode() + body)

    while True:
        connection, _ = server.accept()
        path = (connection.recv(65536).split() + [b"", b""])[1]
        try:
            if path == b"/endless":
                answer(connection, "200 OK")
                while True: connection.sendall(b"x" * 65536)
            if path == b"/slow":
                answer(connection, "200 OK", "Content-Length: 999")
                while True: connection.sendall(b"x"); time.sleep(0.05)
            if path == b"/progress":
                while True: answer(connection, "102 Processing")
            if path == b"/drip":
                connection.sendall(b"HTTP/1.1 200 OK\\r\\n")
                while True: connection.sendall(b"X: y\\r\\n"); time.sleep(0.05)
            if path == b"/headers":
                connection.sendall(b"HTTP/1.1 200 OK\\r\\n")
                while True: connection.sendall(b"X: y\\r\\n" * 1000)
            if path == b"/chunks":
                answer(connection, "200 OK", "Transfer-Encoding: chunked")
                while True: connection.sendall(b"1;" + b"x" * 1000 + b"\\r\\na\\r\\n")
            if path == b"/round":
                answer(connection, "302 Found", "Location: /round", "Content-Length: 0")
            if path == b"/odd":
                answer(connection, "302 Found", "Location: http://[::1\\xff]:99999999/", "Content-Length: 0")
            if path == b"/cookie":
                answer(connection, "200 OK", "Set-Cookie: a=b", "Content-Length: 2", body=b"hi")
            if path == b"/bomb":
                body = zlib.compress(bytes(2**20))
                headers = "Content-Encoding: deflate", f"Content-Length: {len(body)}"
                answer(connection, "200 OK", *headers, body=body)
            if path == b"/away":
                answer(connection, "302 Found", "Location: http://192.0.2.1/page", "Content-Length: 0")
            if path == b"/page":
                answer(connection, "200 OK", "Content-Length: 2", body=b"hi")
        except OSError: pass
        connection.close()
"""


def test_a_hostile_server_does_not_hurt_who_asks(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BYTES", 10**6)
    monkeypatch.setattr(client_module, "MAX_SECONDS", 0.3)
    write(cell, "server.py", HOSTILE)
    with cell.serve([str(PYTHON), "server.py", str(PORT)], port=PORT) as server:
        assert eventually(lambda: answers(server.client))
        with pytest.raises(httpx.TransportError):
            server.client.get("/endless")
        begin = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            server.client.get("/slow")
        assert time.monotonic() - begin < 5
        for path in ("/progress", "/drip", "/headers", "/chunks", "/odd"):
            with pytest.raises(httpx.TransportError):
                server.client.get(path, follow_redirects=True)
        with pytest.raises(httpx.TooManyRedirects):
            server.client.get("/round", follow_redirects=True)
        late = {client_module.DEADLINE: time.monotonic()}
        with pytest.raises(httpx.ReadTimeout):
            server.client.get("/page", extensions=late)
        assert (server.client.get("/cookie").text, len(server.client.cookies)) == ("hi", 0)
        assert len(server.client.get("/bomb").content) < 2000
        assert server.client.get("/away", follow_redirects=True).text == "hi"


def answers(http: httpx.Client) -> bool:
    try:
        return bool(http.get("/page").status_code)
    except httpx.TransportError:
        return False


def test_what_changed_in_the_workspace(cell: Cell) -> None:
    write(cell, "kept", "x")
    write(cell, "rewritten", "old")
    before = cell.snapshot()
    commands = """
        mkdir -p a/b; echo new > a/b/new; echo old > kept; printf x > kept; printf new > rewritten
        ln -s new a/b/link; mkfifo f
    """
    cell.run(["sh", "-c", commands])
    assert cell.changed(before) == ("a/b/new", "rewritten")


def test_reading_never_leaves_the_workspace(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    commands = f"""
        ln -s {tmp_path}/secret link; ln -s {tmp_path} dir; ln -s . here; mkfifo pipe; mkdir sub
        ln -s ../../secret sub/up; echo content > sub/file; ln -s /dev/zero zero
    """
    cell.run(["sh", "-c", commands])
    for path in (
        "link",
        "dir/secret",
        "here/sub/file",
        "pipe",
        "sub",
        "sub/up",
        "../secret",
        "zero",
        "x\0y",
        "",
        "n" * 300,
    ):
        assert cell.read(path) is None, path
    assert cell.read(f"{cell.workspace}/sub/file") is None
    assert (cell.read("sub/file"), cell.read("sub/file", 7)) == (b"content\n", None)
