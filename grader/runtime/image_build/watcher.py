"""A process that watches one image build and removes all that it made, however the grader ends.

The grader's end closes our standard input, at which we end the build. What runs in a build is a candidate's:
it may compute for ever, fork, fill the disk. What it has made carries a label, by which we remove it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader import docker_engine
from grader.runtime.image_build.worker import FAILED, UNDECIDED, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

LOOK_SECONDS = 2
TIDY_SECONDS = 30
QUIET_LOOKS = 2
"""An engine that was just told to stop may be finishing something: this often nothing must be left."""

Request = dict[str, Any]
Result = dict[str, Any]


def main() -> None:
    """Read the request, have `worker.py` carry it out, tidy up, pass on the result."""
    line = _line()
    request: Request = json.loads(line)
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)  # the end of our input tells us
    found = docker_engine.Engine(address=request["address"], version="")
    with contextlib.closing(found.client()) as client:
        docker_engine.sweep(client)
        watch = Watch(client, request)
        try:
            watch.start(line)
            watch.follow()
        finally:
            watch.end()
    say(result=watch.result)


class Watch:
    """One build under way."""

    def __init__(self, client: docker.DockerClient, request: Request) -> None:
        self._client = client
        self._request = request
        self._limits: Mapping[str, float] = request["limits"]
        self._pulled: list[str] = []
        self._cached = _cached_layers(client) if request["buildkit"] else frozenset()
        self._threads = _threads()
        self._rest = b""
        self._crowd = False
        self.result: Result = {}

    def start(self, request: bytes) -> None:
        """Start the worker, in a process group of its own."""
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "grader.runtime.image_build.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._worker.stdin is not None  # noqa: S101
        self._worker.stdin.write(request)
        self._worker.stdin.flush()

    def follow(self) -> None:
        """Pass on what is said, look at what is used, until there is a result."""
        deadline = time.monotonic() + self._limits["wall_seconds"]
        worker = self._worker.stdout
        assert worker is not None  # noqa: S101
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._from_grader)
            selector.register(worker.fileno(), selectors.EVENT_READ, self._from_worker)
            while not self.result:
                for key, _ in selector.select(LOOK_SECONDS):
                    if not self.result:
                        key.data(os.read(key.fd, 2**20))
                if time.monotonic() > deadline:
                    minutes = self._limits["wall_seconds"] / 60
                    self._stop(UNDECIDED, f"the build was not done after {minutes:g} minutes")
                elif not self.result:
                    self._look()

    def end(self) -> None:
        """Kill what still works on it, and remove what it made."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._worker.pid, signal.SIGKILL)
        self._worker.wait()
        deadline, quiet = time.monotonic() + TIDY_SECONDS, 0
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            quiet = 0 if docker_engine.remove_all(self._client, self._request["use"]) else quiet + 1
            time.sleep(0.2)
        if self._crowd and _threads() < self._threads + self._limits["threads"] / 2:  # they went with it
            self._stop(FAILED, f"the build started more than {self._limits['threads']:g} processes")
        self._forget()

    def _forget(self) -> None:
        """Images that were pulled for this build alone, and what BuildKit remembers of it."""
        from docker.errors import APIError

        for name in self._pulled:
            with contextlib.suppress(APIError):  # it never came, or somebody uses it by now
                self._client.api.remove_image(name)
        deadline = time.monotonic() + TIDY_SECONDS
        while self._request["buildkit"] and time.monotonic() < deadline:
            layers = _cached_layers(self._client) - self._cached
            if not layers:
                break
            for layer in layers:  # one on which another is built goes after that
                which: Any = {"id": layer}  # the engine takes more filters than the SDK's types know
                with contextlib.suppress(APIError):
                    self._client.api.prune_builds(filters=which, all=True)
            time.sleep(0.2)

    def _from_grader(self, data: bytes) -> None:
        if not data:
            self._stop(UNDECIDED, "the grader ended")
            return
        assert self._worker.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._worker.stdin.write(data)
            self._worker.stdin.flush()

    def _from_worker(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            fact = json.loads(line)
            if name := fact.get("pulling"):
                self._pulled += [] if name in self._request["keep"] else [name]
            elif "images" in fact:
                say(**fact)
            else:
                self.result = fact["result"]
        if not data and not self.result:
            self._stop("", f"the build's own process ended with status {self._worker.wait()}")

    def _stop(self, outcome: str, reason: str) -> None:
        self.result = {"outcome": outcome, "reason": reason, "log": ""}

    def _look(self) -> None:
        """Whether what runs and what it has made keep within bounds."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        if _threads() > self._threads + self._limits["threads"]:
            self._crowd = True
            self._stop(UNDECIDED, "this machine had too many processes")
            return
        with contextlib.suppress(DockerException, RequestException):  # a moment later it may be gone
            if self._disk() > self._limits["disk_bytes"]:
                gib = self._limits["disk_bytes"] / 2**30
                self._stop(FAILED, f"the build wrote more than {gib:g} GiB")

    def _disk(self) -> int:
        """What the build's containers and images hold."""
        ours = docker_engine.selected(self._request["use"])
        running = self._client.api.containers(size=True, filters=ours)
        images = self._client.api.images(all=True, filters=ours)
        parents = {image.get("ParentId") for image in images}
        done = sum(int(image["Size"]) for image in images if image["Id"] not in parents)
        return done + sum(int(each.get("SizeRw") or 0) for each in running) + self._in_cache()

    def _in_cache(self) -> int:
        if not self._request["buildkit"]:
            return 0
        cache = self._client.api.df().get("BuildCache") or ()
        return sum(int(layer["Size"]) for layer in cache if layer["ID"] not in self._cached)


def _line() -> bytes:
    """The request, with nothing read ahead of what follows."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as raw:
        return raw.readline()


def _cached_layers(client: docker.DockerClient) -> frozenset[str]:
    """BuildKit's own memory, by ids."""
    return frozenset(layer["ID"] for layer in client.api.df().get("BuildCache") or ())


def _threads() -> int:
    """How many this machine has."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/loadavg").read_text(encoding="ascii").split()[3].partition("/")[2])
    return 0


if __name__ == "__main__":
    main()
