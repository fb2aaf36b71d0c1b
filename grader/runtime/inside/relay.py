"""Carries connections between a port on this loopback and a Unix socket. Standard library only."""

from __future__ import annotations

import _thread
import contextlib
import os
import socket
import time
from collections.abc import Callable

CHUNK = 2**16
LISTENING = "0A"  # the state's code in /proc/net/tcp


def listen(port: int) -> list[socket.socket]:
    """Sockets that listen on a port of the loopback: IPv4, and IPv6 where there is one."""
    sockets = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((address, port))
            server.listen(128)
        except OSError:
            server.close()
            if family == socket.AF_INET:
                raise
            continue
        sockets.append(server)
    return sockets


def forward(server: socket.socket, path: str) -> None:
    """Carry every connection that a listening socket takes to the Unix socket at `path`, for ever."""
    _accept(server, lambda: _connect_path(path))


def answer(server: socket.socket, port: int) -> None:
    """Carry every connection on a bound Unix socket to a port of this loopback, once something listens there.

    Until then connecting is refused, so that the other side can tell "not yet" from "not answering".
    """
    while not port_open(port):
        time.sleep(0.02)
    server.listen(128)
    _accept(server, lambda: _connect_port(port))


def port_open(port: int) -> bool:
    """Whether somebody listens on a port: read, not tried, since a trial connection may upset a server."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                next(lines)
                for line in lines:
                    fields = line.split()
                    if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                        return True
        except (OSError, StopIteration):
            continue
    return False


def _accept(server: socket.socket, connect: Callable[[], socket.socket]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            if server.fileno() < 0:
                return
            time.sleep(0.05)  # out of descriptors: some will come back
            continue
        try:
            _thread.start_new_thread(_serve, (client, connect))
        except RuntimeError:  # out of threads
            client.close()


def _serve(client: socket.socket, connect: Callable[[], socket.socket]) -> None:
    try:
        upstream = connect()
    except OSError:
        client.close()
        return
    with client, upstream:
        done = _thread.allocate_lock()
        done.acquire()

        def back() -> None:
            _pump(upstream, client)
            done.release()

        with contextlib.suppress(RuntimeError):  # out of threads: the connection just closes
            _thread.start_new_thread(back, ())
            _pump(client, upstream)
            done.acquire()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _connect_path(path: str) -> socket.socket:
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory, name = os.path.split(path)
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # a socket's path must be short, a directory's need not
        upstream.connect(f"/proc/self/fd/{handle}/{name}")
    except OSError:
        upstream.close()
        raise
    finally:
        os.close(handle)
    return upstream


def _connect_port(port: int) -> socket.socket:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        upstream = socket.socket(family, socket.SOCK_STREAM)
        try:
            upstream.connect((address, port))
        except OSError:
            upstream.close()
            continue
        return upstream
    raise ConnectionRefusedError(port)
