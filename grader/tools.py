"""Programs that checks use: where they are, and what their absence means."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from grader.command import run
from grader.errors import GraderFault, ToolMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.docker_engine import Engine

ENGINE = "docker"
"""Not a program but what answers behind it: a client alone builds and isolates nothing."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on which some criteria depend."""

    name: str
    purpose: str
    install: str
    """What to do where it is missing."""
    version: tuple[str, ...] = ("--version",)


KNOWN: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("git", "which files are ignored; repositories in workspaces", "apt-get install git"),
        Tool("make", "what Makefile targets would run", "apt-get install make"),
        Tool("promtool", "whether alert rules are valid and when they fire", "apt-get install prometheus"),
        Tool("bwrap", "isolation of candidate code", "apt-get install bubblewrap"),
        Tool("uv", "environments from lock files", "it comes with the grader's packages"),
        Tool(
            ENGINE,
            "real image builds, --isolation docker",
            "apt-get install docker.io, and start dockerd",
        ),
    )
}


class Tools:
    """The programs of this machine. `hidden` ones count as missing (for tests and `--without`)."""

    def __init__(self, hidden: frozenset[str] = frozenset()) -> None:
        self._hidden = hidden

    def find(self, name: str) -> Path | None:
        """Where a program is: on the PATH, or else among the grader's own packages."""
        if name not in KNOWN:
            raise KeyError(name)
        return None if name in self._hidden else _find(name)

    def lacks(self, name: str) -> str:
        """Why a tool is of no use here; empty where it is."""
        if name != ENGINE:
            return "" if self.find(name) else f"missing: {KNOWN[name].install}"
        try:
            self.engine()
        except ToolMissing as missing:
            return f"only a client: {missing}" if self.find(name) else str(missing)
        return ""

    def version(self, name: str) -> str:
        """What the tool says of its own version, on one line; empty where it is missing or silent."""
        if self.lacks(name):
            return ""
        if name == ENGINE:
            return self.engine().version
        path = self.find(name)
        return "" if path is None else _version(path, KNOWN[name].version)

    def require(self, name: str) -> Path:
        """The program, for a check that cannot decide without it.

        Raises:
            ToolMissing: it is not on this machine.
        """
        found = self.find(name)
        if found is None:
            raise ToolMissing(name, install=KNOWN[name].install)
        return found

    def engine(self) -> Engine:
        """The Docker engine, asked once.

        Raises:
            ToolMissing: none answers here.
        """
        if ENGINE in self._hidden:
            raise ToolMissing("a Docker engine", install=KNOWN[ENGINE].install)
        answer = _engine()
        if isinstance(answer, ToolMissing):
            raise answer
        return answer


@cache
def _engine() -> Engine | ToolMissing:
    from grader.docker_engine import find_engine

    try:
        return find_engine()
    except ToolMissing as missing:
        return missing


@cache
def _find(name: str) -> Path | None:
    own = sysconfig.get_path("scripts")
    found = (
        shutil.which(name)
        or shutil.which(name, path=own)
        or shutil.which(name, path=str(Path(sys.executable).parent))
    )
    return Path(found) if found else None


@cache
def _version(path: Path, arguments: tuple[str, ...]) -> str:
    try:
        completed = run((path, *arguments), timeout=10)
    except GraderFault:
        return ""
    words = completed.output.partition("\n")[0].split()
    return next((word.strip(",") for word in words if word.lstrip("v")[:1].isdigit()), " ".join(words))
