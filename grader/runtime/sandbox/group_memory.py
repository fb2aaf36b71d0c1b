"""The memory of a run as the kernel counts it: with what belongs to no process, such as files in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RECLAIMABLE = 256 * 2**20
"""Version 1 does not tell what the kernel remembers of files, and can give back, from its other memory."""
MOUNTS = Path("/sys/fs/cgroup")
NEW_KINDS = ("anon", "shmem", "kernel_stack", "pagetables", "slab_unreclaimable")
OLD_KINDS = ("total_rss", "total_shmem")
"""What cannot be given back when memory is short: files on disk that are kept in memory can."""


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """A control group, of either version, while it is there."""

    directory: Path
    unified: bool

    @classmethod
    def of(cls, pid: int) -> GroupMemory | None:
        """The group that counts a process's memory; None where that is the group of all."""
        for unified, directory in _groups(pid):
            if (directory / "memory.stat").is_file() and not _is_root(directory):
                return cls(directory, unified)
        return None

    def used(self) -> int:
        """Bytes at this moment; 0 where the group has gone."""
        kinds = NEW_KINDS if self.unified else OLD_KINDS
        facts = dict(self._facts("memory.stat"))
        total = sum(facts.get(kind, 0) for kind in kinds)
        if not self.unified:
            total += max(0, self._number("memory.kmem.usage_in_bytes") - RECLAIMABLE)
        return total

    def has_killed(self) -> bool:
        """Whether the kernel has ended processes of the group because it was at its limit."""
        name = "memory.events" if self.unified else "memory.oom_control"
        return dict(self._facts(name)).get("oom_kill", 0) > 0

    def _facts(self, name: str) -> Iterator[tuple[str, int]]:
        with contextlib.suppress(OSError):
            for line in (self.directory / name).read_text(encoding="ascii").splitlines():
                key, _, value = line.partition(" ")
                if value.isdigit():
                    yield key, int(value)

    def _number(self, name: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int((self.directory / name).read_text(encoding="ascii"))
        return 0


def _groups(pid: int) -> Iterator[tuple[bool, Path]]:
    """Where the memory controller may have a process: (whether that is version 2, directory)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            number, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                yield False, MOUNTS / "memory" / path.lstrip("/")
            elif number == "0":
                yield True, MOUNTS / path.lstrip("/")


def _is_root(directory: Path) -> bool:
    return directory in (MOUNTS, MOUNTS / "memory")
