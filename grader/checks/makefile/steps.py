"""What a recipe runs, command by command, scripts of the submission followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.readers.precommit import CONFIGURATION
from grader.readers.shell.follow import EVERYTHING, Into, SubmissionFiles, follow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.checks.makefile.dry_run import Plan
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command that a recipe runs, directly or through a script."""

    command: Command
    folders: tuple[str, ...]
    """Where it may run; nothing where that is no folder of the submission, but one of a container."""
    sources: tuple[Command, ...] = ()
    """The commands whose output it reads."""


def followed(submission: Submission, plan: Plan, hooks: str) -> Iterator[Step]:
    """The commands of a plan, and those of the submission's own scripts and hooks that they run.

    Args:
        hooks: the deliverable from which `pre-commit run` takes what it runs, or nothing.
    """
    # Make itself has been asked what its own calls run, but not where.
    into = EVERYTHING - {Into.MAKE} - (set() if hooks else {Into.HOOKS})
    path = str(submission.deliverables.get(hooks, CONFIGURATION))
    made_in = [
        folder
        for line in plan.lines
        for command in line
        if command.program in ("make", "gmake")
        for folder in command.values("-C", "--directory")
    ]
    for line in plan.lines:
        sources: list[Command] = []
        for each in follow(line, SubmissionFiles(submission), into, hooks=path):
            inside = any(program in _CONTAINERS for program in each.through)
            folders = () if inside else tuple(dict.fromkeys((each.folder, *made_in)))
            yield Step(command=each.command, folders=folders, sources=tuple(sources))
            sources = [*sources, each.command] if each.command.piped else []


_CONTAINERS = frozenset({"docker", "podman", "docker-compose", "podman-compose", "nerdctl", "kubectl", "oc"})
