"""A process that builds one image, and can be killed at any moment: `watcher.py` tidies up after it.

A request comes as one line of JSON on standard input, answers go as such lines to standard output:

    {"pulling": NAME}   that image is not on the engine yet
    {"images": {…}}     all images are there, with their ids; then it waits for a line that says "build"
    {"result": {…}}     how it went
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.docker_engine import Engine, labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

BUILT, FAILED, UNDECIDED = "built", "failed", "undecided"
MAX_TAIL = 8_000
CONTROL_SECONDS = 180
NETWORK = "GRADER_BUILD_NETWORK"
"""The network that builds get instead of the engine's usual one, such as one that leads to a mirror only."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Build arguments that every Dockerfile knows and no image remembers."""

Request = dict[str, Any]
Result = dict[str, Any]


def main() -> None:
    """Carry out the request on standard input."""
    request: Request = json.loads(sys.stdin.readline())
    engine = Engine(address=request["address"], version="")
    with contextlib.closing(engine.client(request["limits"]["wall_seconds"])) as client:
        images: dict[str, str] = {}
        for name in request["images"]:
            found = image_id(client, name, request["limits"]["disk_bytes"])
            if isinstance(found, dict):
                say(result=found)
                return
            images[name] = found
        say(images=images)
        if sys.stdin.readline().strip() == "build":
            say(result=built(client, request, images))


def say(**fact: object) -> None:
    """One line to whoever watches."""
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


def image_id(client: docker.DockerClient, name: str, most: int) -> str | Result:
    """The id of an image, which is pulled where it is not there; a result where it cannot be had."""
    from docker.errors import APIError, ImageNotFound

    with contextlib.suppress(ImageNotFound):
        return str(client.images.get(name).id)
    say(pulling=name)
    sizes: dict[str, int] = {}
    try:
        for event in client.api.pull(name, tag=None if _tagged(name) else "latest", stream=True, decode=True):
            if "error" in event:
                return undecided(f"the image {name} cannot be pulled: {event['error']}")
            sizes[event.get("id", "")] = (event.get("progressDetail") or {}).get("total", 0)
            if sum(sizes.values()) > most:
                return undecided(f"the image {name} is too big")
        return str(client.images.get(name).id)
    except (APIError, ImageNotFound) as error:
        return undecided(f"the image {name} cannot be pulled: {error.explanation or error}")


def _tagged(name: str) -> bool:
    return "@" in name or ":" in name.rpartition("/")[2]


def undecided(reason: str) -> Result:
    """The engine could not try."""
    return {"outcome": UNDECIDED, "reason": reason}


def built(client: docker.DockerClient, request: Request, images: dict[str, str]) -> Result:
    """Build; a failure counts where the network is there, and the second time too."""
    attempt = _by_buildkit if request["buildkit"] else _by_engine
    first = attempt(client, request)
    if first["outcome"] != FAILED or first.get("limit"):
        return first
    if request["control"] and images:
        complaint = control(client, request, next(iter(images.values())))
        if complaint:
            return undecided(f"build containers cannot reach what a build needs: {complaint}")
    return attempt(client, request)


def control(client: docker.DockerClient, request: Request, image: str) -> str:
    """What keeps a command that needs the network from working in a container; empty where it works."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        container = client.containers.create(
            image,
            request["control"],
            entrypoint="",
            labels=labels(request["use"]),
            environment=proxies(),
            network_mode=os.environ.get(NETWORK, "default"),
            mem_limit=request["limits"]["memory_bytes"],
        )
        container.start()
        status = container.wait(timeout=CONTROL_SECONDS)["StatusCode"]
        said = container.logs(tail=3).decode("utf-8", "replace").strip() if status else ""
    except APIError as error:
        return str(error.explanation or error)
    except (DockerException, RequestException) as error:
        return str(error)
    return said or (f"status {status}" if status else "")


def proxies() -> dict[str, str]:
    """This machine's way to the network, as far as variables say it."""
    names = (*PROXIES, *map(str.lower, PROXIES))
    return {name: os.environ[name] for name in names if os.environ.get(name)}


class _Output:
    """The end of what a build says, and how much it said."""

    def __init__(self, most: int) -> None:
        self._most, self._count, self.tail = most, 0, ""

    def add(self, text: str) -> bool:
        """Whether that is still within bounds."""
        self._count += len(text)
        self.tail = (self.tail + text)[-MAX_TAIL:]
        return self._count <= self._most

    def limit(self) -> Result:
        """That it was too much."""
        return failed(self, f"the build wrote more than {self._most >> 20} MiB of output", limit=True)


def failed(output: _Output, reason: str, **more: object) -> Result:
    """The engine tried."""
    return {"outcome": FAILED, "reason": reason, "log": output.tail, **more}


def _by_engine(client: docker.DockerClient, request: Request) -> Result:
    """By the classic builder, which the SDK speaks to."""
    from docker.errors import APIError

    output, step = _Output(request["limits"]["output_bytes"]), 0
    try:
        for event in _events(client, request):
            text = str(event.get("stream", ""))
            if begun := re.match(r"Step (\d+)/\d+ : ", text):
                step, output.tail = int(begun[1]), ""
            if not output.add(text):
                return output.limit() | {"step": step}
            if "error" in event:
                return failed(output, str(event["error"]).strip(), step=step)
    except APIError as error:
        return failed(output, str(error.explanation or error), step=step)
    return {"outcome": BUILT}


def _events(client: docker.DockerClient, request: Request) -> Iterator[dict[str, Any]]:
    limits = request["limits"]
    with Path(request["context"]).open("rb") as archive:
        yield from client.api.build(
            fileobj=archive,
            custom_context=True,
            dockerfile=request["dockerfile"],
            rm=True,
            forcerm=True,
            decode=True,
            buildargs=proxies(),
            network_mode=os.environ.get(NETWORK, "default"),
            container_limits={"memory": limits["memory_bytes"], "memswap": limits["memory_bytes"]},
            timeout=int(limits["wall_seconds"]),
        )


def _by_buildkit(client: docker.DockerClient, request: Request) -> Result:  # noqa: ARG001
    """By a client that speaks to BuildKit, which the SDK does not."""
    output = _Output(request["limits"]["output_bytes"])
    words = [*request["buildkit"], "--progress=plain", "--file", request["dockerfile"]]
    for name, value in proxies().items():
        words += ["--build-arg", f"{name}={value}"]
    if network := os.environ.get(NETWORK):
        words += ["--network", network]
    with (
        Path(request["context"]).open("rb") as archive,
        subprocess.Popen(
            [*words, "-"],
            stdin=archive,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101
        while data := os.read(process.stdout.fileno(), 2**16):
            if not output.add(data.decode("utf-8", "replace")):
                process.kill()
                return output.limit()
    if process.returncode == 0:
        return {"outcome": BUILT}
    return failed(output, output.tail.strip().rpartition("\n")[2])


if __name__ == "__main__":
    main()
