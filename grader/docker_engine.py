"""The Docker engine, where there is one: finding it, naming what we made on it, removing that again.

Everything that the grader makes on an engine carries a label that names the process that made it, so that
what a killed grader left is found by the next one.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import ToolMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import docker

ADDRESS = "DOCKER_HOST"
USUAL_SOCKET = Path("/var/run/docker.sock")
PING_SECONDS = 5
SECONDS = 60
"""What one request may take, but for builds and pulls, which are watched."""
MARK = "grader.made."
"""What the label of all that is ours begins with; then the use, a random word, and as its value the process
that is to remove the thing again. A Dockerfile sets labels too, but not one whose name it cannot know."""
INSTALL = "apt-get install docker.io, and start dockerd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answered."""

    address: str
    """Empty for the usual one."""
    version: str

    def client(self, timeout: float = SECONDS) -> docker.DockerClient:
        """A new connection; the caller closes it."""
        return _client(self.address, timeout)


def find_engine() -> Engine:
    """The engine that `DOCKER_HOST` names, or the one at the usual place.

    Raises:
        ToolMissing: none answers. A `docker` program alone is no engine.
    """
    address = os.environ.get(ADDRESS, "")
    version, complaint = _ask(address)
    if not version:
        raise ToolMissing("a Docker engine", install=f"{complaint}: {INSTALL}")
    return Engine(address=address, version=version)


def _ask(address: str) -> tuple[str, str]:
    """The engine's version, or why there is none. Imports the SDK only where something listens."""
    scheme, _, path = (address or f"unix://{USUAL_SOCKET}").partition("://")
    if scheme == "unix":
        try:
            with socket.socket(socket.AF_UNIX) as trial:
                trial.connect(path)
        except OSError as error:
            return "", f"{path}: {error.strerror}"
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with contextlib.closing(_client(address, PING_SECONDS)) as client:
            client.ping()
            return str(client.version()["Version"]), ""
    except (DockerException, RequestException, OSError) as error:
        return "", str(error)


def _client(address: str, timeout: float) -> docker.DockerClient:
    import docker

    place = {**os.environ, ADDRESS: address} if address else None
    return docker.DockerClient.from_env(timeout=int(timeout), environment=place)


@cache
def owner() -> str:
    """This process, so that no later one is taken for it."""
    return f"{_machine()}/{os.getpid()}/{_begin(os.getpid())}"


def labels(use: str) -> dict[str, str]:
    """What to put on whatever is made."""
    return {f"{MARK}{use}": owner()}


def selected(use: str) -> dict[str, Any]:
    """A filter for what was made for one use."""
    return {"label": f"{MARK}{use}"}


def remove_all(client: docker.DockerClient, use: str) -> int:
    """Remove what was made for one use; how much there was."""
    return _remove(client, selected(use), lambda _: True)


def sweep(client: docker.DockerClient) -> None:
    """Remove what graders of this machine left that are no more."""
    _remove(client, {}, _orphaned)


def _remove(
    client: docker.DockerClient, which: Mapping[str, Any], wanted: Callable[[Mapping[str, str]], bool]
) -> int:
    """Containers first, then images from the last to the first."""
    from docker.errors import APIError

    containers = [each for each in client.api.containers(all=True, filters=dict(which)) if _is(each, wanted)]
    for each in containers:
        with contextlib.suppress(APIError):  # it is just being removed, by the engine or another grader
            client.api.remove_container(each["Id"], force=True, v=True)
    images = [each for each in client.api.images(all=True, filters=dict(which)) if _is(each, wanted)]
    for each in sorted(images, key=lambda image: -image["Created"]):
        with contextlib.suppress(APIError):  # it went with the one before, or a container uses it
            client.api.remove_image(each["Id"], force=True)
    return len(containers) + len(images)


def _is(found: Mapping[str, Any], wanted: Callable[[Mapping[str, str]], bool]) -> bool:
    return wanted(found.get("Labels") or {})


def _orphaned(found: Mapping[str, str]) -> bool:
    return any(_has_ended(owner) for name, owner in found.items() if name.startswith(MARK))


def _has_ended(owner: str) -> bool:
    """Whether that is a process of this machine which is no more."""
    machine, pid, begin = [*owner.split("/"), "", ""][:3]
    return pid.isdigit() and machine == _machine() and _begin(pid) != begin


@cache
def _machine() -> str:
    """This machine since it was started, as far as its processes can be seen from here."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def _begin(pid: int | str) -> str:
    """When a process of this machine began; empty where there is none."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[19]
    return ""
