"""The interface of every sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from grader.runtime.sandbox.model import (
        Bind,
        Job,
        Run,
    )
    from grader.runtime.sandbox.process import Process


class Sandbox(Protocol):
    """One way to isolate a program. Safe to use from several threads."""

    name: str
    """`bubblewrap`, `docker` or `none`."""

    def start(self, job: Job) -> Process:
        """Start a job; it runs when this returns.

        Raises:
            GraderFault: the sandbox failed before the command ran.
            SandboxClosed: it was closed, by an interrupt or at the end of the grade.
        """

    def run(self, job: Job) -> Run:
        """Start a job and wait for its end; an interrupt of the wait ends the job too."""

    def sees(self, bind: Bind) -> str:
        """The path at which a program finds a bound file: its target, or its own path without isolation."""

    def workspace(self, job_workspace: Path) -> str:
        """The path at which a program finds its workspace."""

    def close(self) -> None:
        """End everything that still runs, and start nothing more."""
