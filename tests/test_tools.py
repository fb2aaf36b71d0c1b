"""A Docker client is told from an engine, which is what answers behind it."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from grader import tools
from grader.commands.doctor import doctor_command
from grader.errors import ToolMissing
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No engine, and a client on the PATH that says a version."""
    client = tmp_path / "bin/docker"
    client.parent.mkdir()
    client.write_text("#!/bin/sh\necho 'Docker version 28.2.2, build e6534b4'\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    tools._engine.cache_clear()
    tools._find.cache_clear()
    yield
    tools._engine.cache_clear()
    tools._find.cache_clear()


class Answers(BaseHTTPRequestHandler):
    """As much of an engine as answers a ping."""

    def do_GET(self) -> None:
        content = b'{"Version": "27.1", "ApiVersion": "1.44"}' if self.path.endswith("version") else b"OK"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "a Unix socket"

    def log_message(self, *_: object) -> None:
        pass


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[None]:
    with UnixServer(f"{tmp_path}/docker.sock", Answers) as server:  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_client_alone_is_no_engine() -> None:
    found = Tools()
    assert found.find("docker") is not None
    assert found.lacks("docker").startswith("only a client: a Docker engine is not on this machine (")
    assert found.version("docker") == ""
    with pytest.raises(ToolMissing):
        found.engine()


@pytest.mark.usefixtures("engine")
def test_an_engine_that_answers_is_one() -> None:
    found = Tools()
    assert (found.lacks("docker"), found.version("docker"), found.engine().version) == ("", "27.1", "27.1")


@pytest.mark.usefixtures("engine")
def test_a_hidden_engine_is_none() -> None:
    found = Tools(frozenset({"docker"}))
    assert found.lacks("docker") == (
        "a Docker engine is not on this machine (apt-get install docker.io, and start dockerd)"
    )


def test_the_doctor_says_what_a_client_alone_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_command(None) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "only a" in printed
    assert printed.endswith("Missing: docker.")
