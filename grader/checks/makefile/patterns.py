"""Commands of a recipe against the commands that were asked for, scripts of the submission followed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.readers.precommit import CONFIGURATION
from grader.readers.shell.follow import EVERYTHING, Into, SubmissionFiles, follow
from grader.readers.shell.pattern import matches, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission


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

    def idle_because(self, planned: Iterable[Command], text: str) -> str | None:
        """Why the commands do not do what a pattern names: empty where they do, None where none is near."""
        pattern = parse_pattern(text, tuple(self.idle), tuple(self.only), tuple(self.values))
        aimed = frozenset[str]()
        why: str | None = None
        for command in planned:
            if any(matches([command], self.aims)):
                aimed = self._places(command)
            if (match := pattern.match(command)) is None:
                continue
            places = self._places(command) or aimed
            problem = match.problem
            if not problem and places and places.isdisjoint(self.at):
                problem = f"{pattern.name} goes to {', '.join(sorted(places))}"
            if not problem:
                return ""
            why = problem
        return why

    def _places(self, command: Command) -> frozenset[str]:
        """Which of the places a command names."""
        words = (command.program, *command.arguments, *command.environment.values())
        named = re.split(r"[^a-z0-9]+", " ".join(words).lower())
        return frozenset(named).intersection((*self.at, *self.not_at))


def followed(submission: Submission, planned: Sequence[Command], hooks: str) -> Iterator[Command]:
    """The commands, and those of the submission's own scripts and hooks that they run.

    Args:
        hooks: the deliverable from which `pre-commit run` takes what it runs, or nothing.
    """
    # Make itself has been asked what its own calls run.
    into = EVERYTHING - {Into.MAKE} - (set() if hooks else {Into.HOOKS})
    path = str(submission.deliverables.get(hooks, CONFIGURATION))
    for each in follow(planned, SubmissionFiles(submission), into, hooks=path):
        yield each.command
