"""A control group for each run, where available: the kernel then counts all of its memory and processes.

Version 1 serves where we may write to its hierarchies, as root; version 2 where a group above ours was handed
to us with its controllers. Elsewhere looks at /proc (`limits.py`) and the kernel's limits for each process
are all there is.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.runtime.sandbox.group_memory import MOUNTS, GroupMemory
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "grader"
ROOM_BYTES = 64 * 2**20
"""What the sandbox's own processes use besides the program's: a run within its limit must not end by them."""
ROOM_PROCESSES = 32
END_SECONDS = 2.0
ENTER = 'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of one run: a directory in each hierarchy."""

    directories: tuple[Path, ...]
    memory: GroupMemory

    def add(self, pid: int) -> None:
        """Count a process, and what it starts from now on.

        Raises:
            OSError: it is gone, or the machine does not let us.
        """
        for directory in self.directories:
            _write(directory / "cgroup.procs", pid)

    def entering(self, argv: list[str]) -> list[str]:
        """The words that run `argv` in the group."""
        return ["/bin/sh", "-c", ENTER, "sh", *map(os.fspath, self.directories), "--", *argv]

    def close(self) -> None:
        """Remove it, with whatever is still in there."""
        deadline = time.monotonic() + END_SECONDS
        for directory in self.directories:
            while not _removed(directory) and time.monotonic() < deadline:
                _end_all(directory)
                time.sleep(0.005)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where groups can be made: the directory above them in each hierarchy."""

    tops: tuple[Path, ...]
    unified: bool


class Groups:
    """The control groups of one grader."""

    def __init__(self) -> None:
        """Find out what can be had, and remove what graders left that were killed."""
        self._place: _Place | None = None
        for place in _places():
            own = _Place(tuple(top / _name() for top in place.tops), place.unified)
            for top in place.tops:
                _sweep(top)
            if self._prepare(own):
                self._place = own
                return
            _remove_tops(own)

    @property
    def kind(self) -> str:
        """`v1`, `v2`, or nothing where there are none."""
        return "" if self._place is None else "v2" if self._place.unified else "v1"

    def make(self, limits: Limits) -> Group | None:
        """A group with these limits; None where none can be had."""
        if self._place is None:
            return None
        # A program can read it in /proc/self/cgroup: it says nothing of how many runs there were before.
        name = secrets.token_hex(8)
        for _ in range(2):  # another sandbox of this process may just have removed what is above
            with contextlib.suppress(OSError):
                return _make(self._place, name, limits)
        return None

    def close(self) -> None:
        """Be done with them."""
        if self._place is not None:
            _remove_tops(self._place)

    def _prepare(self, place: _Place) -> bool:
        """Whether a process can be put into a group there."""
        try:
            group = _make(place, f"trial-{id(self):x}", Limits())
        except OSError:
            return False
        try:
            trial = subprocess.run(
                group.entering(["/bin/true"]), capture_output=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        finally:
            group.close()
        return trial.returncode == 0


def _make(place: _Place, name: str, limits: Limits) -> Group:
    directories = tuple(top / name for top in place.tops)
    made: list[Path] = []
    try:
        for top, directory in zip(place.tops, directories, strict=True):
            _make_top(top, place.unified)
            directory.mkdir()
            made.append(directory)
        memory, processes = directories[0], directories[-1]
        most = limits.memory_bytes + ROOM_BYTES
        if place.unified:
            _write(memory / "memory.max", most)
            _write(memory / "memory.oom.group", 1)
        else:
            _write(memory / "memory.limit_in_bytes", most)
        with contextlib.suppress(OSError):  # not every kernel counts what is swapped out
            swap = "memory.swap.max" if place.unified else "memory.memsw.limit_in_bytes"
            _write(memory / swap, 0 if place.unified else most)
        _write(processes / "pids.max", limits.threads + ROOM_PROCESSES)
    except BaseException:
        for directory in made:
            _removed(directory)
        raise
    return Group(directories, GroupMemory(directories[0], place.unified))


def _remove_tops(place: _Place) -> None:
    for top in place.tops:
        with contextlib.suppress(OSError):  # another sandbox of this process has groups there
            top.rmdir()


def _make_top(top: Path, unified: bool) -> None:
    """What is above this process's groups, unless it is there: whoever was done with its own removed it."""
    try:
        top.mkdir()
    except FileExistsError:
        return
    if unified:
        _write(top / "cgroup.subtree_control", "+memory +pids")


def _places() -> Iterator[_Place]:
    """Where groups could be made, the best first."""
    own = {name: path for names, path in _own() for name in names.split(",")}
    if {"memory", "pids"} <= set(own):
        tops = []
        for name in ("memory", "pids"):
            top = MOUNTS / name / own[name].lstrip("/")
            tops.append(top if top.is_dir() else MOUNTS / name)  # a container has a path of the machine's
        yield _Place(tuple(tops), False)
    if "" in own:
        ours = MOUNTS / own[""].lstrip("/")
        for top in (ours, ours.parent):
            if MOUNTS in (top, *top.parents) and _has_controllers(top):
                yield _Place((top,), True)


def _has_controllers(top: Path) -> bool:
    """Whether groups below this one get the controllers: not where processes are in it, but at the root."""
    with contextlib.suppress(OSError):
        return {"memory", "pids"} <= set((top / "cgroup.subtree_control").read_text().split())
    return False


def _own() -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, names, path = line.split(":", 2)
            yield names, path


def _name() -> str:
    """This process's name, which no later one has while the machine runs."""
    return f"{NAME}-{_processes()}-{os.getpid()}-{_begin(os.getpid())}"


def _processes() -> str:
    """The namespace of processes that ours are numbered in."""
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _begin(pid: int | str) -> str:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()[19]
    return ""


def _sweep(top: Path) -> None:
    """Remove the groups of graders that are no more, with the processes that are left in there."""
    for directory in top.glob(f"{NAME}-{_processes()}-*"):
        pid, begin = directory.name.split("-")[-2:]
        if pid.isdigit() and _begin(pid) != begin:
            for group in [path for path in directory.glob("*") if path.is_dir()]:
                deadline = time.monotonic() + END_SECONDS
                while not _removed(group) and time.monotonic() < deadline:
                    _end_all(group)
                    time.sleep(0.005)
            _removed(directory)


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _end_all(directory: Path) -> None:
    with contextlib.suppress(OSError):
        _write(directory / "cgroup.kill", 1)
    with contextlib.suppress(OSError):
        for pid in (directory / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)


def _write(path: Path, value: object) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, str(value).encode())
    finally:
        os.close(handle)
