"""Carries connections between a port on this loopback and a Unix socket. Standard library only.

One loop for each listening socket, and no thread for a connection: a program that opens thousands of them
costs whoever serves it a bounded number of descriptors, and waits itself for the rest.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable

CHUNK = 2**16
MAX_CONNECTIONS = 256
"""At a time, for each listening socket; the next wait in its queue until one ends."""
RETRY_SECONDS = 0.05
LISTENING = "0A"  # the state's code in /proc/net/tcp

FOR_NOW = {errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What passes: a full queue, too many descriptors."""

Attempt = Callable[[], socket.socket]
"""Begins to connect."""


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
    """Carry every connection that a listening socket takes to the Unix socket at `path`, until it is shut."""
    _Loop(server, [lambda: _begin_path(path)]).run()


def answer(server: socket.socket, port: int) -> None:
    """Carry every connection on a bound Unix socket to a port of this loopback, once something listens there.

    Until then connecting is refused, so that the other side can tell "not yet" from "not answering".
    """
    while not port_open(port):
        time.sleep(0.02)
    server.listen(128)
    _Loop(
        server,
        [
            lambda: _begin_port(socket.AF_INET, "127.0.0.1", port),
            lambda: _begin_port(socket.AF_INET6, "::1", port),
        ],
    ).run()


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


class _Half:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.pending = b""
        self.ended = False
        """Whether nothing more comes, or nobody takes it."""

    def read(self) -> None:
        """Take what has come, and pass on as much as goes."""
        try:
            self.pending = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.pending = b""
        if self.pending:
            self.write()
        else:
            self._end()

    def write(self) -> None:
        """Pass on as much as goes."""
        try:
            self.pending = self.pending[self.sink.send(self.pending) :]
        except BlockingIOError:
            return
        except OSError:
            self._end()

    def _end(self) -> None:
        self.ended, self.pending = True, b""
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


class _Pair:
    """A connection, and the one that it is carried on."""

    def __init__(self, client: socket.socket, attempts: list[Attempt]) -> None:
        self.client = client
        self.upstream: socket.socket | None = None
        self.attempts = list(attempts)
        self.connected = False
        self.halves: tuple[_Half, ...] = ()
        self.retry = 0.0
        """When to try again to connect; 0 where that is not what it waits for."""

    def connect(self) -> bool:
        """Begin to connect; whether there is still a way."""
        self.retry = 0.0
        while self.attempts:
            try:
                self.upstream = self.attempts[0]()
            except OSError as error:
                if error.errno in FOR_NOW:
                    self.retry = time.monotonic() + RETRY_SECONDS
                    return True
                del self.attempts[0]
                continue
            return True
        return False

    def settle(self) -> bool:
        """Having waited for a connection to be made: whether it was, or another is on its way."""
        assert self.upstream is not None  # noqa: S101
        if self.upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.upstream.close()
            self.upstream = None
            del self.attempts[0]
            return self.connect()
        self.connected = True
        self.halves = _Half(self.client, self.upstream), _Half(self.upstream, self.client)
        return True

    def interest(self) -> dict[socket.socket, int]:
        """What is to be waited for, on which socket."""
        if self.upstream is None:
            return {}
        if not self.connected:
            return {self.upstream: select.EPOLLOUT}
        wanted: dict[socket.socket, int] = {}
        for half in self.halves:
            if half.pending:
                wanted[half.sink] = wanted.get(half.sink, 0) | select.EPOLLOUT
            elif not half.ended:
                wanted[half.source] = wanted.get(half.source, 0) | select.EPOLLIN
        return wanted

    def advance(self, ready: socket.socket, events: int) -> bool:
        """Do what can be done; whether anything is left to do."""
        if not self.connected:
            return self.settle()
        for half in self.halves:
            if half.pending and half.sink is ready and events & ~select.EPOLLIN:
                half.write()
            elif not half.pending and not half.ended and half.source is ready and events & ~select.EPOLLOUT:
                half.read()
        return not all(half.ended for half in self.halves)

    def close(self) -> None:
        self.client.close()
        if self.upstream is not None:
            self.upstream.close()


class _Loop:
    """All connections of one listening socket."""

    def __init__(self, server: socket.socket, attempts: list[Attempt]) -> None:
        self._server = server.dup()  # whoever shuts it closes its own at once
        self._server.setblocking(False)
        self._attempts = attempts
        self._events = select.epoll()
        self._pairs: set[_Pair] = set()
        self._waited: dict[int, tuple[_Pair, socket.socket, int]] = {}
        self._events.register(self._server.fileno(), 0)
        self._listens = False
        self._rest = 0.0
        """Until when nothing is accepted, because descriptors ran out."""

    def run(self) -> None:
        """Carry, until the listening socket is shut."""
        try:
            while self._turn():
                pass
        finally:
            for pair in self._pairs:
                pair.close()
            self._events.close()
            self._server.close()

    def _turn(self) -> bool:
        self._listen(len(self._pairs) < MAX_CONNECTIONS and time.monotonic() >= self._rest)
        for number, events in self._events.poll(self._patience()):
            if number == self._server.fileno():
                if events & select.EPOLLHUP or not self._accept():
                    return False
            elif number in self._waited:
                pair, ready, _ = self._waited[number]
                if not pair.connected:  # another attempt has another socket
                    self._forget(number)
                self._update(pair, pair.advance(ready, events))
        now = time.monotonic()
        for pair in [pair for pair in self._pairs if pair.retry and pair.retry <= now]:
            self._update(pair, pair.connect())
        return True

    def _patience(self) -> float:
        """Seconds until something is to be done even if nothing comes; -1 for ever."""
        if time.monotonic() < self._rest or any(pair.retry for pair in self._pairs):
            return RETRY_SECONDS
        return -1

    def _listen(self, wanted: bool) -> None:
        """Wait for connections or not; that the socket is shut is noticed at any time."""
        if wanted != self._listens:
            self._events.modify(self._server.fileno(), select.EPOLLIN if wanted else 0)
            self._listens = wanted

    def _accept(self) -> bool:
        try:
            client, _ = self._server.accept()
        except ConnectionAbortedError:
            return True
        except OSError as error:
            if error.errno not in FOR_NOW:
                return False
            self._rest = time.monotonic() + RETRY_SECONDS  # some will come back
            return True
        client.setblocking(False)
        pair = _Pair(client, self._attempts)
        self._pairs.add(pair)
        self._update(pair, pair.connect())
        return True

    def _update(self, pair: _Pair, goes_on: bool) -> None:
        """Wait for what a connection now waits for; close one that is done."""
        wanted = pair.interest() if goes_on else {}
        numbers = {each.fileno(): (each, mask) for each, mask in wanted.items()}
        sockets = [each for each in (pair.client, pair.upstream) if each is not None]
        for each in sockets:
            number = each.fileno()
            known = self._waited.get(number)
            if number not in numbers:
                if known is not None:
                    self._forget(number)
                continue
            mask = numbers[number][1]
            if known is None:
                self._events.register(number, mask)
            elif known[2] != mask:
                self._events.modify(number, mask)
            self._waited[number] = pair, each, mask
        if not goes_on:
            self._pairs.discard(pair)
            pair.close()

    def _forget(self, number: int) -> None:
        self._events.unregister(number)
        del self._waited[number]


def _begin_path(path: str) -> socket.socket:
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    upstream.setblocking(False)
    directory, name = os.path.split(path)
    try:
        handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # a socket's path must be short, a directory's need not
            upstream.connect(f"/proc/self/fd/{handle}/{name}")
        finally:
            os.close(handle)
    except OSError:
        upstream.close()
        raise
    return upstream


def _begin_port(family: int, address: str, port: int) -> socket.socket:
    upstream = socket.socket(family, socket.SOCK_STREAM)
    upstream.setblocking(False)
    try:
        upstream.connect((address, port))
    except BlockingIOError:  # under way
        return upstream
    except OSError:
        upstream.close()
        raise
    return upstream
