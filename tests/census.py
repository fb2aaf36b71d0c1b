"""What is on this machine that a grade could leave: looked at before and after, and compared whole."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from tests.docker_engine import BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

Census = dict[str, set[str]]
CONTROL_GROUPS = Path("/sys/fs/cgroup")
CONTAINER = re.compile(r"(?:docker-)?[0-9a-f]{64}(?:\.scope)?")


def take_census(mark: str, *directories: Path, engine: docker.DockerClient | None = None) -> Census:
    """Everything of the kinds that outlive a process, by kind.

    Args:
        mark: in the environment, on the command line or among the mounts of the processes that count.
        directories: that a grade may write to, besides the usual ones of the machine.
    """
    return {
        "processes": set(_processes(mark)),
        "mounts": {line for line in _lines("/proc/self/mounts") if mark in line},
        "loop devices": set(_loop_devices(mark)),
        "files": {
            os.fspath(path)
            for directory in (*directories, Path("/dev/shm"), Path("/dev/mqueue"))
            if directory.is_dir()
            for path in directory.iterdir()
        },
        "locks": {path.name for path in Path(gettempdir()).glob("grader-*") if path.is_file()},
        "System V objects": {
            f"{kind} {line}" for kind in ("shm", "msg", "sem") for line in _lines(f"/proc/sysvipc/{kind}")[1:]
        },
        "control groups": set(_control_groups()),
        "listeners": set(_listeners()),
        "network namespaces": {path.name for path in Path("/run/netns").glob("*")},
        "containers and images": set(_on_engine(engine)) if engine is not None else set(),
    }


def left(before: Census, after: Census) -> Census:
    """What has come, by kind."""
    return {kind: found for kind in before if (found := after[kind] - before[kind])}


def _processes(mark: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ")
            texts = [words, (process / "mountinfo").read_bytes()]
            with contextlib.suppress(PermissionError):
                texts.append((process / "environ").read_bytes())
            if any(mark.encode() in text for text in texts):
                yield f"{process.name} {words.decode(errors='replace')[:200]}"


def _loop_devices(mark: str) -> Iterator[str]:
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if mark in (file := device.read_text()):
                yield file


def _control_groups() -> Iterator[str]:
    """Those of graders and of containers; an engine removes its own a moment later."""
    for directory, names, _ in os.walk(CONTROL_GROUPS):
        yield from (f"{directory}/{name}" for name in names if "grader" in name or CONTAINER.fullmatch(name))


def _listeners() -> Iterator[str]:
    """Ports of this machine, and names of abstract sockets."""
    for kind in ("tcp", "tcp6"):
        for words in (line.split() for line in _lines(f"/proc/net/{kind}")[1:]):
            if words[3] == "0A":
                yield f"{kind} {words[1]}"
    yield from (
        word for line in _lines("/proc/net/unix") for word in line.split() if word.startswith("@grader")
    )


def _on_engine(engine: docker.DockerClient) -> Iterator[str]:
    yield from (f"container {each['Id']}" for each in engine.api.containers(all=True))
    for image in engine.api.images(all=True):
        if BASE not in (image["RepoTags"] or ()):
            yield f"image {image['Id']}"


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace").splitlines()
    return []
