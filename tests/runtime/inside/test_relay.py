"""Carrying connections: whole, in both directions, and never more of them than one run may have."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.runtime.inside import relay
from tests.runtime.sandbox.isolation import eventually

Serve = Callable[[Callable[[socket.socket], None]], Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Something that answers on a Unix socket."""
    opened: list[socket.socket] = []

    def start(handle: Callable[[socket.socket], None]) -> Path:
        path = tmp_path / "service"
        server = socket.socket(socket.AF_UNIX)
        opened.append(server)
        server.bind(os.fspath(path))
        server.listen(4)

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                opened.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return path

    yield start
    for each in opened:
        with each:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@pytest.fixture
def carried() -> Iterator[Callable[[Path], int]]:
    """Starts a relay to a Unix socket; its port."""
    servers: list[tuple[socket.socket, threading.Thread]] = []

    def start(path: Path) -> int:
        server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        thread = threading.Thread(target=relay.forward, args=(server, os.fspath(path)), daemon=True)
        thread.start()
        servers.append((server, thread))
        return int(server.getsockname()[1])

    yield start
    for server, thread in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)
        assert not thread.is_alive()


def echo_to_the_end(connection: socket.socket) -> None:
    """Answer only when all has come: without half of a connection being closed, that would be never."""
    with connection:
        data = b""
        while chunk := connection.recv(2**16):
            data += chunk
        connection.sendall(data[::-1])


def hold(connection: socket.socket) -> None:
    """Say hello, then nothing as long as the other side is there, which may be gone already."""
    with contextlib.suppress(OSError), connection:
        connection.sendall(b"hello")
        while connection.recv(1):
            pass


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(2**16):
            answer += chunk
        return answer


@pytest.mark.parametrize("size", [0, 1, 2**16, 5 * 2**20 + 1])
def test_all_of_it_arrives_in_both_directions(
    serve: Serve, carried: Callable[[Path], int], size: int
) -> None:
    data = os.urandom(size)
    assert ask(carried(serve(echo_to_the_end)), data) == data[::-1]


def test_many_at_a_time(serve: Serve, carried: Callable[[Path], int]) -> None:
    port = carried(serve(echo_to_the_end))
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(port, b"ab" * 1000))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b"ba" * 1000] * 60


def test_nothing_behind_it_closes_the_connection(tmp_path: Path, carried: Callable[[Path], int]) -> None:
    assert ask(carried(tmp_path / "missing"), b"") == b""


def test_a_flood_holds_so_many_and_the_others_wait(
    serve: Serve, carried: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MAX_CONNECTIONS", 20)
    port = carried(serve(hold))
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
    flood = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]

    def greeted() -> int:
        for each in flood:
            each.setblocking(False)
        found = 0
        for each in flood:
            try:
                found += each.recv(5, socket.MSG_PEEK) == b"hello"
            except OSError:
                continue
        return found

    assert eventually(lambda: greeted() == 20)
    time.sleep(0.2)
    assert greeted() == 20
    assert len(os.listdir("/proc/self/fd")) - before <= 100 + 3 * 20 + 5  # noqa: PTH208
    assert threading.active_count() - threads <= 20 + 1  # the service's own
    for each in flood[:50]:
        each.close()
    assert eventually(lambda: greeted_of(flood[50:]) >= 20)
    for each in flood[50:]:
        each.close()


def greeted_of(sockets: list[socket.socket]) -> int:
    found = 0
    for each in sockets:
        try:
            found += each.recv(5, socket.MSG_PEEK) == b"hello"
        except OSError:
            continue
    return found


def test_a_full_queue_behind_it_is_waited_for(tmp_path: Path, carried: Callable[[Path], int]) -> None:
    path = tmp_path / "slow"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(0)
        port = carried(path)
        clients = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(5)]
        time.sleep(0.2)
        for number in range(5):
            connection, _ = server.accept()
            with connection:
                connection.sendall(str(number).encode())
        assert sorted(client.recv(1) for client in clients) == [b"0", b"1", b"2", b"3", b"4"]
        for client in clients:
            client.close()


def test_a_port_is_found_on_either_address(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6")
    with server, socket.socket(socket.AF_UNIX) as front, socket.socket(socket.AF_UNIX) as client:
        path = os.fspath(tmp_path / "front")
        front.bind(path)
        thread = threading.Thread(target=relay.answer, args=(front, server.getsockname()[1]), daemon=True)
        thread.start()

        def connected() -> bool:
            try:
                client.connect(path)
            except OSError:
                return False
            return True

        assert eventually(connected)
        inner, _ = server.accept()
        with inner:
            inner.sendall(b"six")
            assert client.recv(3) == b"six"
        front.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()
