"""Commands of a recipe against the commands that were asked for, scripts of the submission followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks.makefile import inputs, places
from grader.checks.makefile.collected import finds_nothing
from grader.readers.precommit import CONFIGURATION
from grader.readers.shell.follow import EVERYTHING, Into, SubmissionFiles, follow
from grader.readers.shell.pattern import matches, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which commands do not count although they match."""

    idle: Sequence[str] = ()
    only: Sequence[str] = ()
    at: Sequence[str] = ()
    not_at: Sequence[str] = ()
    aims: Sequence[str] = ()
    """Commands that say where those after them work."""
    values: Sequence[str] = ()
    """Options whose value is the next word."""

    def idle_because(
        self, steps: Sequence[Step], text: str, submission: Submission, there: Collection[str], script: str
    ) -> str | None:
        """Why the commands do not do what a pattern names: empty where they do, None where none is near.

        Args:
            there: the files and folders that a command may name.
            script: the text of what runs, in which is looked for files that it makes itself.
        """
        pattern = parse_pattern(text, tuple(self.idle), tuple(self.only), tuple(self.values))
        aimed = frozenset[str]()
        why: str | None = None
        for step in steps:
            command = step.command
            if any(matches([command], self.aims)):
                aimed = places.named(command, (*self.at, *self.not_at))
            if (match := pattern.match(command)) is None:
                continue
            problem = match.problem
            if not problem and (wrong := places.elsewhere(step, aimed, self.at, self.not_at, submission)):
                problem = f"{pattern.name} targets {wrong}"
            absent = "" if problem else self._absent(step, there, script)
            if absent:
                problem = f"{pattern.name} needs {absent}, which the submission does not have"
                if not command.forgiven and not inputs.is_guarded(absent, script):
                    return problem  # make stops there
            if not problem:
                problem = finds_nothing(submission, command, step.folders[0]) if step.folders else ""
            if not problem:
                return ""
            why = problem
        return why

    def _absent(self, step: Step, there: Collection[str], script: str) -> str:
        """What the command, or one whose output it reads, needs and what is not there."""
        if not step.folders:
            return ""
        for command in (step.command, *step.sources):
            for needed in inputs.needs(command, self.values):
                made = any(inputs.is_made(path, script) for path in needed.paths)
                if not made and inputs.absent(there, needed, step.folders):
                    return needed.paths[0]
        return ""


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
