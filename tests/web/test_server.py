"""Where pages are served, and what becomes of faults."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from grader.errors import UsageError
from grader.web.pages import trail
from grader.web.server import serve
from tests.web.site import book_of_four, site

if TYPE_CHECKING:
    from pathlib import Path


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    path = book_of_four(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot serve at 127.0.0.1, port {port}: .*try --port 0"):
            serve(path, host="127.0.0.1", port=port, author="examiner", say=lambda _: None)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot serve at 192\.0\.2\.1"):
        serve(book_of_four(tmp_path), host="192.0.2.1", port=0, author="examiner", say=lambda _: None)


def test_there_is_no_gradebook(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no gradebook"):
        serve(tmp_path / "none.db", host="127.0.0.1", port=0, author="examiner", say=lambda _: None)


def test_a_fault_of_ours_is_told_to_the_terminal_made_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("\x1b]0;evil\x07 <script>")

    monkeypatch.setattr(trail, "read", fail)
    with site(tmp_path) as own:
        monkeypatch.setattr(own.client._transport, "raise_server_exceptions", False)
        answer = own.get("/trail")
        assert answer.status_code == 500
        assert "RuntimeError" in answer.text
        assert "<script>" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    told = capsys.readouterr().err
    assert "RuntimeError" in told
    assert "\x1b" not in told
