"""The machine's own ports, for runs without a network of their own: one user at a time."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.errors import GraderFault
from grader.runtime.inside import relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

PATIENCE_SECONDS = 900
TICK = 0.05


@dataclass(slots=True)
class _Held:
    """A port that this process has, and what answers there."""

    path: Path | None
    lock: int
    users: int = 1
    servers: list[socket.socket] = field(default_factory=list)


class Ports:
    """Takes ports for this process; a name for each keeps other graders of the machine out.

    Runs that want the same socket behind a port share it; any others wait for each other.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}

    def take(self, outbound: Mapping[int, Path], inbound: Iterable[int]) -> None:
        """Have every port, in order, so that two runs never wait for each other.

        Raises:
            GraderFault: a port did not come free.
        """
        wanted = {**dict.fromkeys(inbound), **outbound}
        taken: list[int] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            for port in sorted(wanted):
                while not self._try(port, wanted[port]):
                    self._check()
                    if time.monotonic() > deadline:
                        raise GraderFault(f"port {port} is in use by another grade")
                    time.sleep(TICK)
                taken.append(port)
        except BaseException:
            for port in taken:
                self._give(port)
            raise

    def give_back(self, outbound: Mapping[int, Path], inbound: Iterable[int]) -> None:
        """Be done with what `take` took."""
        for port in {*outbound, *inbound}:
            self._give(port)

    def close(self) -> None:
        """Give everything back."""
        with self._lock:
            held, self._held = self._held, {}
        for each in held.values():
            _release(each)

    def _try(self, port: int, path: Path | None) -> bool:
        with self._lock:
            held = self._held.get(port)
            if held is not None:
                if path is None or held.path != path:
                    return False
                held.users += 1
                return True
            lock = _reserve(port)
            if lock is None:
                return False
            try:
                self._held[port] = _Held(path, lock, servers=_serve(port, path))
            except BaseException:
                os.close(lock)
                raise
            return True

    def _give(self, port: int) -> None:
        with self._lock:
            held = self._held.get(port)
            if held is None:
                return
            held.users -= 1
            if held.users:
                return
            del self._held[port]
        _release(held)


def _serve(port: int, path: Path | None) -> list[socket.socket]:
    if path is None:
        return []
    try:
        servers = relay.listen(port)
    except OSError as error:
        raise GraderFault(
            f"port {port} of this machine is in use, and without isolation it is needed"
        ) from error
    for server in servers:
        threading.Thread(target=relay.forward, args=(server, os.fspath(path)), daemon=True).start()
    return servers


def _release(held: _Held) -> None:
    for server in held.servers:
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        server.close()
    os.close(held.lock)


def _reserve(port: int) -> int | None:
    """A port for this grader, or None while another has it; closing the descriptor gives it back.

    A name of an abstract socket: it is of the same network as the port, and goes with whoever held it.
    """
    with socket.socket(socket.AF_UNIX) as name:
        try:
            name.bind(f"\0grader-port-{port}")
        except OSError:
            return None
        return name.detach()
