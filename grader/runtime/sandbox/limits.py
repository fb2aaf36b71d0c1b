"""What a run may use, and how much of it it does: read from /proc, so that it works without any privilege."""

# ruff: noqa: PTH115, PTH116, PTH208  (/proc is read by name, often)

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
THREADS_PER_PROCESS = 8
"""Numerical libraries start a thread a core in each process, so there may be more of those."""
DEEPEST = 200
"""Directories below which a workspace counts as too full: nobody nests that deep but to hide something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use of the machine, all its processes together unless said otherwise."""

    cpu_seconds: float = 120
    wall_seconds: float = 240
    memory_bytes: int = 4 * 2**30
    processes: int = 256
    file_bytes: int = 2**30
    """Size of one file."""
    workspace_bytes: int = 2 * 2**30
    workspace_files: int = 100_000
    scratch_bytes: int = 512 * 2**20
    """Each of /tmp, the home and /dev/shm, which live in memory."""
    output_bytes: int = 2**20
    """Kept of each of the two output streams, half from the beginning and half from the end."""
    answer_bytes: int = 64 * 2**20
    """Of a program that may answer; a longer answer counts as none."""
    open_files: int = 4096

    @property
    def threads(self) -> int:
        """Threads of all processes."""
        return self.processes * THREADS_PER_PROCESS


@dataclass(slots=True)
class Usage:
    """What a process tree uses at one moment."""

    processes: int = 0
    threads: int = 0
    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    pids: tuple[int, ...] = ()


def measure(root: int, most: int) -> Usage:
    """Walk the tree under `root` (which is ours and counts for CPU only); stop soon after `most` processes.

    Stopping early keeps this quick while a program forks as fast as it can.
    """
    usage = Usage()
    waiting, pids = [root], []
    while waiting and usage.processes <= most:
        pid = waiting.pop()
        fields = _stat(pid)
        if fields is None:
            continue
        threads = int(fields[17])
        usage.cpu_seconds += sum(map(int, fields[11:15])) / TICKS
        if pid != root:
            usage.processes += 1
            usage.threads += threads
            usage.memory_bytes += int(fields[21]) * PAGE
            pids.append(pid)
        waiting.extend(children(pid))
    usage.pids = tuple(pids)
    return usage


def children(pid: int) -> Iterator[int]:
    """The processes that a process started, or took over when their parents ended."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat after the command's name, which may itself hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def proportional_memory(pids: Iterable[int]) -> int:
    """Memory with every shared page counted once: slower, for when the plain sum says that it is too much."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a process tree holds that no directory shows."""

    memory_bytes: int = 0
    """In anonymous memory files."""
    disk_bytes: int = 0
    """In deleted files that are still open."""
    out_of_sight: bool = False
    """Files may be held that cannot be measured: by descriptors on their way through a socket, or by maps."""


def find_hidden(pids: Iterable[int]) -> Hidden:
    """Look at what the processes have open and mapped."""
    memory: dict[tuple[int, int], int] = {}
    disk: dict[tuple[int, int], int] = {}
    out_of_sight = False
    for pid in pids:
        for number, name in _open_files(pid):
            with contextlib.suppress(OSError, ValueError):
                if name.startswith("socket:"):
                    out_of_sight = out_of_sight or _carries_descriptors(pid, number)
                elif name.endswith(" (deleted)"):
                    where = memory if name.startswith("/memfd:") else disk
                    status = os.stat(f"/proc/{pid}/fd/{number}")
                    if stat.S_ISREG(status.st_mode):
                        where[status.st_dev, status.st_ino] = status.st_blocks * 512
        out_of_sight = out_of_sight or _maps_deleted_files(pid, disk)
    return Hidden(sum(memory.values()), sum(disk.values()), out_of_sight)


def _open_files(pid: int) -> Iterator[tuple[str, str]]:
    directory = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for number in os.listdir(directory):
            with contextlib.suppress(OSError):
                yield number, os.readlink(f"{directory}/{number}")


def _carries_descriptors(pid: int, number: str) -> bool:
    """Whether descriptors were sent to a socket and not yet received."""
    facts = Path(f"/proc/{pid}/fdinfo/{number}").read_bytes().split()
    return b"scm_fds:" in facts and int(facts[facts.index(b"scm_fds:") + 1]) > 0


def _maps_deleted_files(pid: int, known: Container[tuple[int, int]]) -> bool:
    """Whether a deleted file of a disk is mapped and no longer open."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
            if line.endswith(b" (deleted)"):
                device, inode, name = line.split(maxsplit=5)[3:]
                major, minor = (int(part, 16) for part in device.split(b":"))
                in_memory = major == 0 or name.startswith((b"/memfd:", b"/dev/shm/", b"/SYSV"))
                if not in_memory and (os.makedev(major, minor), int(inode)) not in known:
                    return True
    return False


def written_bytes(pids: Iterable[int]) -> int:
    """Bytes that processes, and those of their children that have ended, ever wrote to disks."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            facts = dict(line.split(b": ") for line in Path(f"/proc/{pid}/io").read_bytes().splitlines())
            total += max(0, int(facts[b"write_bytes"]) - int(facts[b"cancelled_write_bytes"]))
    return total


def memory_file_systems(pid: int, paths: Iterable[str]) -> int:
    """Bytes in a process's private memory file systems."""
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.statvfs(f"/proc/{pid}/root{path}")
            total += (status.f_blocks - status.f_bfree) * status.f_frsize
    return total


def exceeds(directories: Iterable[Path], already: int, *, most_bytes: int, most_files: int) -> bool:
    """Whether these directories, and `already`, hold more than allowed. Counts a hard link once."""
    total, files = already, 0
    seen: set[tuple[int, int]] = set()
    waiting = [(os.fspath(directory), 0) for directory in directories]
    while waiting:
        directory, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        for entry in _entries(directory):
            files += 1
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((entry.path, depth + 1))
                elif (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
            if total > most_bytes or files > most_files:
                return True
    return total > most_bytes


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            yield from found
    except OSError:  # it went away, or the program locked it
        return
