"""Sandboxes to try, and short ways of running something in one."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from grader.errors import ToolMissing
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Bind, Job, Run
from grader.runtime.sandbox.open import open_sandbox
from grader.runtime.sandbox.ownership import unused_user
from grader.runtime.sandbox.paths import PYTHON
from tests.docker_engine import use_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.runtime.sandbox.protocol import Sandbox

ISOLATED = ("bubblewrap", pytest.param("docker", marks=pytest.mark.slow))
"""What keeps candidate code to itself."""
ALL = (*ISOLATED, pytest.param("none", marks=pytest.mark.slow))
MARK = "CONFORMANCE_MARK"
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
QUICK = Limits(cpu_seconds=20, wall_seconds=20)


@contextmanager
def opened(isolation: str, scratch: Path, **options: Any) -> Iterator[Sandbox]:
    """A sandbox; skips the test where this machine has none of that kind."""
    try:
        with pytest.MonkeyPatch.context() as patch:  # no other test shall find this engine
            if isolation == "docker":
                use_engine(patch).close()
            sandbox = open_sandbox(isolation, scratch=scratch, **options)
    except ToolMissing as missing:
        pytest.skip(str(missing))
    try:
        yield sandbox
    finally:
        sandbox.close()


class Bench:
    """One sandbox with one workspace."""

    def __init__(self, sandbox: Sandbox, workspace: Path) -> None:
        self.sandbox = sandbox
        self.workspace = workspace
        self.mark = os.urandom(8).hex()

    @property
    def user(self) -> int:
        """Who a program is inside: a container has the machine's own numbers."""
        if self.sandbox.name != "docker":
            return 1000
        return os.geteuid() or unused_user()

    def job(self, *argv: str, limits: Limits = QUICK, env: dict[str, str] | None = None, **more: Any) -> Job:
        env = {**ENV, MARK: self.mark, **(env or {})}
        binds = (*more.pop("binds", ()), Bind(PYTHON.parents[1]))
        return Job(argv=argv, workspace=self.workspace, env=env, limits=limits, binds=binds, **more)

    def run(self, *argv: str, **more: Any) -> Run:
        return self.sandbox.run(self.job(*argv, **more))

    def python(self, code: str, *args: str, **more: Any) -> Run:
        return self.run(str(PYTHON), "-B", "-c", dedent(code), *args, **more)

    def survivors(self) -> list[str]:
        """Command lines of processes of this bench that are still there."""
        return marked(self.mark)


def marked(mark: str) -> list[str]:
    """Command lines of the processes that have a mark in their environment."""
    found = []
    for pid in pids(mark):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    return found


def pids(mark: str) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if f"{MARK}={mark}".encode() in (directory / "environ").read_bytes():
                    found.append(int(directory.name))
    return found


def eventually(condition: Any, seconds: float = 40) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
