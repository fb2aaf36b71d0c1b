"""Commands of a recipe against the commands that were asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks.makefile import inputs, places
from grader.readers.shell.pattern import matches, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from grader.checks.makefile.collected import Collection as Tests
    from grader.checks.makefile.steps import Step
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

    def idle_because(
        self,
        steps: Sequence[Step],
        text: str,
        submission: Submission,
        there: Collection[str],
        script: str,
        tests: Tests,
    ) -> str | None:
        """Why the commands do not do what a pattern names: empty where they do, None where none is near.

        Args:
            there: the files and folders that a command may name.
            script: the text of what runs, in which is looked for files that it makes itself.
            tests: what commands that run tests find.
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
                if not command.failure_ignored and not inputs.is_guarded(absent, script):
                    return problem  # make stops there
            if not problem:
                problem = tests.finds_nothing(command, step.folders[0]) if step.folders else ""
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
