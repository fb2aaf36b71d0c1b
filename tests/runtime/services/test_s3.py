from __future__ import annotations

import contextlib
import io
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from grader import command as process
from grader.errors import GraderFault, ToolMissing
from grader.runtime.sandbox.bubblewrap.sandbox import find_bubblewrap
from grader.runtime.services import s3 as object_store
from grader.runtime.services import s3_server
from grader.runtime.services.s3 import ObjectStore, open_store
from grader.runtime.services.s3_server import MAX_COMMAND, MAX_HEADERS, Bounded, Stream, resident

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=exam/20260101/us-east-1/s3/aws4_request"}


def answered(app: Bounded, body: bytes = b"", **environ: Any) -> str:
    said: list[str] = []
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body)), **environ}
    app(environ, lambda *words: said.append(words[0]))
    return said[0] if said else "handed on"


def putting(body: bytes, path: str = "/exam/a", query: str = "") -> dict[str, Any]:
    return {"body": body, "REQUEST_METHOD": "PUT", "PATH_INFO": path, "QUERY_STRING": query}


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_TRANSFER_ENCODING": "Chunked"},
        {"CONTENT_LENGTH": "-1"},
        {"CONTENT_LENGTH": "\u0663"},
        {"CONTENT_LENGTH": "9" * 5000},
    ],
)
def test_bodies_without_a_length_are_refused(environ: dict[str, Any]) -> None:
    assert answered(Bounded(lambda *_: []), **environ) == "411 Length Required"


def test_a_body_that_is_cut_short_is_not_looked_at() -> None:
    assert answered(Bounded(lambda *_: []), b"abc", CONTENT_LENGTH="4") == "400 Bad Request"


def test_what_would_be_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_server, "MAX_STORED", 100)
    monkeypatch.setattr(s3_server, "REQUEST_BYTES", 10)
    app = Bounded(lambda *_: [])
    assert answered(app, **putting(b"x" * 90)) == "handed on"
    assert answered(app, REQUEST_METHOD="GET") == "handed on"
    assert answered(app, **putting(b"x")) == "507 Insufficient Storage"


def test_what_has_no_body_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_server, "MAX_STORED", 2**20)
    app = Bounded(lambda *_: [])
    said = [answered(app, **putting(b"")) for _ in range(70)]
    assert said == ["handed on"] * 65 + ["507 Insufficient Storage"] * 5


def test_nothing_is_looked_at_when_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resident() > 2**20
    monkeypatch.setattr(s3_server, "MAX_RESIDENT", 2**20)
    assert answered(Bounded(lambda *_: [])) == "503 Slow Down"


LARGE = b"x" * (MAX_COMMAND + 1)
DECLARING = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><Delete/>'


@pytest.mark.parametrize(
    ("path", "query", "data"),
    [
        ("/exam/a", "", True),
        ("/exam/a/b", "partNumber=1&uploadId=x", True),
        ("/exam/a", "X-Amz-Signature=1&x-id=PutObject", True),
        ("/exam/a", "tagging", False),
        ("/exam/a", "tagging=&uploadId=x", False),
        ("/exam", "", False),
        ("/exam/", "", False),
        ("/exam", "versioning", False),
        ("/", "", False),
    ],
)
def test_only_objects_may_be_large_or_declare_types(path: str, query: str, data: bool) -> None:
    app = Bounded(lambda *_: [])
    said = [answered(app, **putting(body, path, query)) for body in (LARGE, DECLARING)]
    assert said == (["handed on"] * 2 if data else ["413 Content Too Large", "400 Bad Request"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_command_that_declares_types_is_refused_in_every_encoding(encoding: str) -> None:
    body = DECLARING.decode().encode(encoding)
    assert answered(Bounded(lambda *_: []), body, REQUEST_METHOD="POST") == "400 Bad Request"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_client_that_drips_is_not_waited_for(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time; all of them together never do."""
    monkeypatch.setattr(s3_server, "HEADER_SECONDS", 0.5)
    stream = Stream(ends[0])

    def drip() -> None:
        while True:
            ends[1].send(b"x")
            stream.read(1)
            time.sleep(0.01)

    with pytest.raises(TimeoutError):
        drip()


@pytest.mark.parametrize("reads", [True, False])
def test_a_body_or_an_answer_without_end_is_given_up(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch, reads: bool
) -> None:
    monkeypatch.setattr(s3_server, "REQUEST_SECONDS", 0.2)
    stream = Stream(ends[0])
    stream.end_headers()
    with pytest.raises(TimeoutError):
        stream.read(1) if reads else stream.write(b"x" * 2**24)


def test_headers_without_end_are_not_read(ends: tuple[socket.socket, socket.socket]) -> None:
    stream = Stream(ends[0])
    sender = threading.Thread(target=ends[1].sendall, args=(b"x" * (MAX_HEADERS + 1),))
    sender.start()
    with pytest.raises(ConnectionAbortedError):
        io.BufferedReader(stream).read()
    sender.join()


@pytest.fixture(scope="module")
def bwrap() -> Path | None:
    try:
        return find_bubblewrap()
    except ToolMissing:
        return None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, bwrap: Path | None) -> Iterator[ObjectStore]:
    with open_store(tmp_path_factory.mktemp("s") / "s3", bwrap) as running:
        yield running


@pytest.fixture
def candidate(store: ObjectStore) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(store.socket))
    with httpx.Client(
        transport=transport, base_url="http://localhost:9000", headers=SIGNED, trust_env=False
    ) as client:
        yield client


@pytest.mark.slow
def test_objects_are_looked_up_from_our_side(store: ObjectStore, candidate: httpx.Client) -> None:
    assert store.make_bucket("exam")
    assert (store.keys("exam"), store.read("exam", "a")) == ([], None)
    for key in ("a/1", "a/2", "ab", "b c/ü+%26&<x>"):
        assert candidate.put(
            f"/exam/{httpx.URL(path=f'/{key}').raw_path[1:].decode()}", content=b"x"
        ).is_success
    assert store.keys("exam", "a/") == ["a/1", "a/2"]
    assert [store.read("exam", key) for key in store.keys("exam")] == [b"x"] * 4
    assert store.keys("no-such-bucket") == []
    assert store.read("no-such-bucket", "a") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "..", "A_b", "a/b", "x" * 300, "ü", "?versioning", "a\0b"])
def test_names_that_no_bucket_has(store: ObjectStore, name: str) -> None:
    assert not store.make_bucket(name)


@pytest.mark.slow
def test_a_bucket_may_be_made_twice(store: ObjectStore) -> None:
    assert (store.make_bucket("twice"), store.make_bucket("twice")) == (True, True)


@pytest.mark.slow
def test_other_services_are_not_there(candidate: httpx.Client) -> None:
    other = {"Authorization": SIGNED["Authorization"].replace("/s3/", "/lambda/")}
    answer = candidate.get("/2015-03-31/functions", headers=other)
    assert "<Code>NoSuchBucket</Code>" in answer.text


@pytest.mark.slow
def test_endless_and_broken_requests_do_not_end_it(store: ObjectStore, candidate: httpx.Client) -> None:
    assert candidate.put("/exam/x", content=iter([b"x"])).status_code == 411
    for words in (b"nonsense\r\n\r\n", b"PUT /exam/x HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\xff" * 100):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(store.socket))
            connection.sendall(words)
    assert store.make_bucket("still-there")


@contextlib.contextmanager
def opened_with(
    directory: Path, bwrap: Path | None, patch: pytest.MonkeyPatch, **constants: object
) -> Iterator[ObjectStore]:
    """An endpoint whose bounds are others."""
    script = Path(s3_server.__file__).read_text(encoding="utf-8")
    for name, value in constants.items():
        script, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", script, flags=re.MULTILINE)
        assert count == 1
    place = directory / "server.py"
    place.write_text(script, encoding="utf-8")
    patch.setattr(object_store, "_SCRIPT", place)
    with open_store(directory / "s3", bwrap) as store:
        yield store


def connect(store: ObjectStore) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    while True:
        with contextlib.suppress(BlockingIOError):  # its queue is full for a moment
            connection.connect(str(store.socket))
            return connection
        time.sleep(0.01)


@pytest.mark.slow
def test_a_flood_of_connections_is_told_to_come_back(
    tmp_path: Path, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        opened_with(tmp_path, bwrap, monkeypatch, MAX_CONNECTIONS=20) as store,
        contextlib.ExitStack() as held,
    ):
        for _ in range(20):
            held.enter_context(connect(store)).sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(300):
            with connect(store) as connection:
                assert connection.recv(100).startswith(b"HTTP/1.1 503 ")
        assert store.make_bucket("ours-is-another-door")
        held.close()
        while True:
            # Who is told to come back may be told so before the request is written.
            with contextlib.suppress(ConnectionError), connect(store) as connection:
                connection.sendall(b"GET /none HTTP/1.1\r\n\r\n")
                if connection.recv(100).startswith(b"HTTP/1.1 404 "):
                    break


@pytest.mark.slow
def test_a_slow_client_loses_its_place(
    tmp_path: Path, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that drips its headers, one that drips its body."""

    def drip(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    bounds = {"HEADER_SECONDS": 1.0, "REQUEST_SECONDS": 1.0, "MAX_CONNECTIONS": 3}
    with opened_with(tmp_path, bwrap, monkeypatch, **bounds) as store:
        for words in (b"GET / HTTP/1.1\r\nX: ", b"PUT /a/b HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"):
            with connect(store) as connection:
                connection.sendall(words)
                with pytest.raises(ConnectionError):
                    drip(connection)
        assert store.make_bucket("exam")


@pytest.mark.slow
def test_copies_do_not_fill_memory(
    tmp_path: Path, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy has no body, and where it were kept in files nobody would count those."""
    size = 8 * 2**20
    with opened_with(tmp_path, bwrap, monkeypatch, MAX_RESIDENT=250 * 2**20) as store:
        assert store.make_bucket("exam")
        transport = httpx.HTTPTransport(uds=str(store.socket))
        with httpx.Client(
            transport=transport, base_url="http://localhost", headers=SIGNED, trust_env=False
        ) as candidate:
            assert candidate.put("/exam/large", content=b"x" * size).status_code == 200
            copied = [
                candidate.put(f"/exam/{n}", headers={"x-amz-copy-source": "/exam/large"}).status_code
                for n in range(60)
            ]
        assert set(copied) == {200, 503}
        assert store.read("exam", "large") == b"x" * size


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore's unclosed socket
def test_an_endpoint_that_its_candidate_brought_down_holds_nothing(
    tmp_path: Path, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = object_store._start, []

    def remember(*words: Any) -> subprocess.Popen[bytes]:
        started.append(start(*words))
        return started[-1]

    monkeypatch.setattr(object_store, "_start", remember)
    with open_store(tmp_path / "s3", bwrap) as store:
        assert store.make_bucket("exam")
        process.end_group(started[0])
        assert (store.keys("exam"), store.read("exam", "a")) == ([], None)
        script = tmp_path / "broken.py"
        script.write_text("raise SystemExit('no such module: moto')")
        monkeypatch.setattr(object_store, "_SCRIPT", script)
        with pytest.raises(GraderFault, match="does not start"):
            store.keys("exam")


@pytest.mark.slow
def test_a_server_that_does_not_start_shows_its_log(
    tmp_path: Path, bwrap: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such module: moto')")
    monkeypatch.setattr(object_store, "_SCRIPT", script)
    with pytest.raises(GraderFault) as caught, open_store(tmp_path / "s3", bwrap):
        pass
    assert "no such module" in caught.value.log_tail


def test_no_python_to_start_is_our_fault(tmp_path: Path) -> None:
    with pytest.raises(GraderFault, match="cannot start"), open_store(tmp_path / "s3", tmp_path / "no-bwrap"):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore's unclosed socket
@pytest.mark.parametrize("isolated", [True, False])
def test_nothing_is_left_behind(tmp_path: Path, bwrap: Path | None, isolated: bool) -> None:
    if isolated and bwrap is None:
        pytest.skip("no isolation on this machine")
    with open_store(tmp_path / "s3", bwrap if isolated else None) as store:
        assert store.make_bucket("exam")
    time.sleep(0.2)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if str(tmp_path) in line]
    with pytest.raises(GraderFault, match="does not answer"):
        ObjectStore(tmp_path / "s3").keys("exam")


@pytest.mark.slow
def test_it_ends_with_its_grader(tmp_path: Path) -> None:
    """Without isolation nobody else ends it, should the grader be killed."""
    (tmp_path / "s3").mkdir()
    script = Path(s3_server.__file__).read_text(encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script, str(tmp_path / "s3")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == b"ready\n"
        server.stdin.close()
        assert server.wait(timeout=30) == 0
