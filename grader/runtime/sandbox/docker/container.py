"""One container: started, and handed the descriptors over which it talks."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from grader.errors import GraderFault
from grader.runtime.sandbox import ownership
from grader.runtime.sandbox.bubblewrap.mounts import INSIDE
from grader.runtime.sandbox.docker.mounts import CONTROL
from grader.runtime.sandbox.paths import PYTHON, START
from grader.runtime.sandbox.process import START_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader import docker_engine

STATUS, LIFELINE, ANSWER, FIRST_FREE = 10, 11, 12, 13
"""Numbers of descriptors inside."""
COMMAND = (os.fspath(PYTHON), *START, f"{INSIDE}/enter.py", CONTROL)


@contextlib.contextmanager
def listening(path: str, file: Path, undo: ExitStack) -> Iterator[socket.socket]:
    """A socket for a container's first process to connect to, at `file`, for which `path` is short enough."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        undo.callback(file.unlink, missing_ok=True)
        ownership.let_connect(file)
        server.listen(1)
        yield server


class Container:
    """One container on the engine."""

    def __init__(self, on: docker_engine.Engine) -> None:
        self.client = on.client()
        self._name = ""

    def start(self, **settings: Any) -> None:
        """Create it and have it run.

        Raises:
            GraderFault: the engine refuses.
        """
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            created = self.client.api.create_container(
                command=list(COMMAND), hostname="localhost", **settings
            )
            self._name = created["Id"]
            self.client.api.start(self._name)
        except (DockerException, RequestException) as error:
            raise GraderFault("the engine starts no container", log_tail=str(error)) from error

    def connection(self, server: socket.socket) -> socket.socket:
        """The connection that its first process makes.

        Raises:
            GraderFault: it makes none.
        """
        server.settimeout(1)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                return server.accept()[0]
            if not self._lives():
                break
        raise GraderFault("the container ended before it began")

    def _lives(self) -> bool:
        from docker.errors import APIError

        try:
            return bool(self.client.api.inspect_container(self._name)["State"]["Running"])
        except APIError:
            return False

    def remove(self) -> None:
        """Have it gone; the engine does that too when it ends."""
        from docker.errors import APIError

        if self._name:
            with contextlib.suppress(APIError):  # it is being removed
                self.client.api.remove_container(self._name, force=True, v=True)
        self.client.close()


def in_memory(content: bytes, ours: ExitStack) -> int:
    """A descriptor from which to read this."""
    handle = os.memfd_create("request", os.MFD_CLOEXEC)
    ours.callback(os.close, handle)
    with open(handle, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def peer(connection: socket.socket) -> int:
    """The process at the other end; it is the container's first, since nothing else runs yet."""
    size = struct.calcsize("3i")
    pid: int = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[0]
    if pid == 0:
        raise GraderFault("the engine's processes cannot be seen from here")
    return pid


def hand(connection: socket.socket, ends: dict[int, int]) -> None:
    """Give descriptors, each with the number that it is to have."""
    handles = array.array("i", ends.values())
    numbers = " ".join(map(str, ends)).encode()
    connection.sendmsg([numbers], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)])
