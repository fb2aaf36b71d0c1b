from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from grader.errors import GraderFault, ToolMissing
from grader.runtime import object_server, object_store
from grader.runtime.bubblewrap import find_bubblewrap
from grader.runtime.object_server import Bounded
from grader.runtime.object_store import ObjectStore, open_store

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=exam/20260101/us-east-1/s3/aws4_request"}


def answered(app: Bounded, **environ: str) -> str:
    said: list[str] = []
    app(environ, lambda *words: said.append(words[0]))
    return said[0] if said else "handed on"


def test_what_would_be_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_server, "MOST_STORED", 10)
    app = Bounded(lambda *_: [])
    assert answered(app) == "handed on"
    assert answered(app, CONTENT_LENGTH="10") == "handed on"
    assert answered(app, CONTENT_LENGTH="0") == "handed on"
    assert answered(app, CONTENT_LENGTH="1") == "507 Insufficient Storage"
    assert answered(app, HTTP_TRANSFER_ENCODING="Chunked") == "411 Length Required"
    assert answered(app, CONTENT_LENGTH="-1") == "411 Length Required"


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
    script = Path(object_server.__file__).read_text(encoding="utf-8")
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
