"""Containers for the grader's own helpers, used where candidate code runs in containers too.

    python -m grader.runtime.helpers.container REQUEST

runs a helper with our own input and output, ends with its status, and takes it along when it is killed.
See `grader.runtime.helpers.jail`, which makes such command lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import secrets
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import docker_engine
from grader.runtime.sandbox.docker import mounts as container_view
from grader.runtime.sandbox.docker.container import (
    FIRST_FREE,
    LIFELINE,
    STATUS,
    Container,
    hand,
    in_memory,
    listening,
)
from grader.runtime.sandbox.docker.mounts import Shown, View, settings
from grader.runtime.sandbox.limits import Limits
from grader.runtime.temporary import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
LIMITS = Limits(memory_bytes=8 * 2**30, processes=512, scratch_bytes=2**30)


@dataclass(frozen=True, slots=True)
class Contained:
    """An engine with an image for containers."""

    image: str
    use: str
    address: str
    scratch: str
    """A directory of the grade's for the helpers' own files: a helper that is killed leaves them."""

    def command(
        self,
        argv: Sequence[str],
        *,
        readable: Sequence[Path],
        writable: Sequence[Path],
        hidden: Sequence[Path],
        env: Mapping[str, str],
    ) -> list[str]:
        """The words that run `argv` in a container."""
        places = {name: [*map(os.fspath, paths)] for name, paths in (("readable", readable),)}
        places |= {"writable": [*map(os.fspath, writable)], "hidden": [*map(os.fspath, hidden)]}
        request = {**asdict(self), **places, "argv": list(argv), "env": dict(env), "parent": os.getpid()}
        return [sys.executable, "-m", __name__, json.dumps(request)]


@contextlib.contextmanager
def contained(scratch: Path) -> Iterator[Contained]:
    """A wall, as long as the block lasts.

    Args:
        scratch: a new private directory for it.

    Raises:
        ToolMissing: there is no engine.
    """
    scratch.mkdir(mode=0o700)
    on, use = docker_engine.find_engine(), secrets.token_hex(8)
    with contextlib.closing(on.client()) as client:
        image = container_view.make_image(client, use)
    try:
        yield Contained(image, use, on.address, os.fspath(scratch))
    finally:
        with contextlib.closing(on.client()) as client:
            docker_engine.remove_all(client, use)


def main() -> None:
    """Carry out the request on the command line."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    end_with_parent(request["parent"])
    with ExitStack() as undo:
        status = _begin(request, undo)
        ended = _ended(status)
    if ended < 0:
        signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    sys.exit(ended)


def end_with_parent(parent: int) -> None:
    """Be killed with the thread that started us, as bubblewrap is; the lifeline then ends the container."""
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the grader has ended")


def _begin(request: dict[str, Any], undo: ExitStack) -> int:
    """Start the container; where it says how it ends."""
    directory = Path(tempfile.mkdtemp(prefix="helper-", dir=request["scratch"]))
    undo.callback(remove_tree, directory)
    status, status_end = os.pipe()
    lifeline_end, _lifeline = os.pipe()  # closes with us
    file = directory / "control"
    place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)  # for a path that is short enough
    undo.callback(os.close, place)
    with ExitStack() as ours, listening(f"/proc/self/fd/{place}/control", file, undo) as server:
        for end in (status_end, lifeline_end):
            ours.callback(os.close, end)
        container = Container(docker_engine.Engine(address=request["address"], version=""))
        undo.callback(container.remove)
        info = container.client.info()
        user = 0 if "name=rootless" in (info.get("SecurityOptions") or ()) else os.geteuid()
        view = View(directory / "accounts", map(Path, request["hidden"]))
        container.start(
            image=request["image"],
            user=f"{user}:{user}",
            labels=docker_engine.labels(request["use"]),
            host_config=settings(
                container.client, LIMITS, info, view.mounts(_shown(request), user, file), user
            ),
        )
        ends = {0: in_memory(_inner(request), ours), 1: 1, 2: 2, STATUS: status_end, LIFELINE: lifeline_end}
        with container.connection(server) as connection:
            hand(connection, ends | {FIRST_FREE: 0})
    return status


def _shown(request: dict[str, Any]) -> Iterator[Shown]:
    for path in request["readable"]:
        yield path, (Path(path), False)
    for path in request["writable"]:
        yield path, (Path(path), True)


def _inner(request: dict[str, Any]) -> bytes:
    return json.dumps(
        {
            "argv": request["argv"],
            "cwd": "/",
            "env": request["env"],
            "inbound": {},
            "outbound": {},
            "rlimits": {},
            "status": STATUS,
            "lifeline": LIFELINE,
            "stdin": FIRST_FREE,
        }
    ).encode()


def _ended(status: int) -> int:
    """The helper's status, minus a signal that ended it; as if killed where nothing is heard of it."""
    with open(status, "rb") as lines:
        for line in lines:
            fact = json.loads(line)
            if "ended" in fact:
                return int(fact["ended"])
    return -signal.SIGKILL


if __name__ == "__main__":
    main()
