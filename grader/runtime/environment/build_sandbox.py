"""A short-lived sandbox for packages of a lock file: building and importing them runs their code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from grader.runtime.helpers.container import Contained
from grader.runtime.helpers.jail import ENVIRONMENT, Wall
from grader.runtime.sandbox.model import Bind, Job, Run
from grader.runtime.sandbox.open import open_sandbox
from grader.runtime.temporary import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from grader.runtime.sandbox.limits import Limits
    from grader.runtime.sandbox.protocol import Sandbox

_VARIABLES = {name: ENVIRONMENT[name] for name in ("PATH", "LANG", "TZ")}


class BuildSandbox:
    """Runs commands one after the other in one workspace, which is the candidate's from then on."""

    def __init__(self, sandbox: Sandbox, workspace: Path) -> None:
        self._sandbox = sandbox
        self.workspace = workspace

    def run(self, words: Sequence[str | Path], *, readable: Sequence[Path], limits: Limits) -> Run:
        """Run a command that sees `readable`, each at its own path.

        Raises:
            GraderFault: the sandbox did not come to run it.
        """
        job = Job(
            argv=tuple(map(str, words)),
            workspace=self.workspace,
            env=_VARIABLES,
            limits=limits,
            binds=tuple(map(Bind, readable)),
            fresh=True,
        )
        return self._sandbox.run(job)


@contextmanager
def build_sandbox(wall: Wall | None) -> Iterator[BuildSandbox]:
    """A sandbox of the kind that the wall is made of; it is gone, with its workspace, after the block."""
    isolation = "none" if wall is None else "docker" if isinstance(wall, Contained) else "bubblewrap"
    with temporary_directory() as place:
        workspace, scratch = place / "workspace", place / "scratch"
        for directory in (workspace, scratch):
            directory.mkdir()
        sandbox = open_sandbox(isolation, scratch=scratch)
        try:
            yield BuildSandbox(sandbox, workspace)
        finally:
            sandbox.close()
