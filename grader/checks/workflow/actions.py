"""What a workflow does: its actions, and its commands with the submission's own scripts followed."""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.checks.dockerfile.image import quoted
from grader.documents import Problem, parse_ini, parse_python
from grader.readers.makefile import recipe
from grader.readers.shell.containers import contained, image_program
from grader.readers.shell.parser import Command, commands, script_file
from grader.readers.shell.pattern import matches
from grader.readers.shell.wrappers import is_assignment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.workflow.facts import Job, Step, Workflow
    from grader.context import Context
    from grader.submission.model import Submission

MOST_NESTING = 4
"""How deep scripts are followed into one another."""
MOST_ACTS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """One thing that a step does: an action that it uses, or a command that it runs."""

    job: Job
    step: Step
    position: tuple[int, int]
    """The step's place in its job, and its own in the step."""
    where: str
    command: Command | None = None
    lines: tuple[Command, ...] = ()
    """The command, and those that it may run in a container."""
    through: tuple[str, ...] = ()
    """The programs that run this one, such as `coverage` or `make`."""
    forgiven: bool = False
    """Its failure does not fail the step."""

    @property
    def pardoned(self) -> bool:
        """Whether the workflow goes on, and ends well, when it fails."""
        return self.forgiven or self.step.forgiven or self.job.forgiven


def acts(context: Context, workflow: Workflow) -> tuple[Act, ...]:
    """Everything that the jobs do, in order, found once."""
    return context.memo.once(
        ("workflow.acts", workflow.file.name, workflow.branch),
        lambda: tuple(itertools.islice(_acts(context.submission, workflow), MOST_ACTS)),
    )


def _acts(submission: Submission, workflow: Workflow) -> Iterator[Act]:
    for job in workflow.jobs.values():
        for index, step in enumerate(job.steps):
            script, pipefail = step.script, step.shell.split()[:1] == ["bash"]
            if step.uses.startswith("docker://"):
                script = f"{quoted([image_program(step.uses)])} {step.inputs.get('args', '')}"
            elif step.uses:
                yield Act(job, step, (index, 0), step.where)
                continue
            reader = _Reader(submission, pipefail=pipefail or "pipefail" in script)
            first = (step.line or 1) + ("\n" in step.script) - 1
            for number, (command, through) in enumerate(
                reader.read(script, step.environment, step.directory)
            ):
                where = f"{step.file}:{first + command.line}"
                lines = tuple(_lines(command))
                yield Act(job, step, (index, number), where, command, lines, through, command.forgiven)


class _Reader:
    def __init__(self, submission: Submission, *, pipefail: bool) -> None:
        self._submission = submission
        self._pipefail = pipefail
        self._left = MOST_ACTS

    def read(
        self, script: str, environment: Any, directory: str, through: tuple[str, ...] = ()
    ) -> Iterator[tuple[Command, tuple[str, ...]]]:
        for command in commands(script, environment):
            self._left -= 1
            if self._left < 0:
                return
            if command.program == "cd" and command.arguments:
                directory = posixpath.normpath(posixpath.join(directory, command.arguments[0]))
            found = replace(command, forgiven=command.forgiven or (command.piped and not self._pipefail))
            found = replace(found, environment={**environment, **command.environment})
            yield found, through
            if len(through) < MOST_NESTING:
                yield from self._inside(found, directory, through)

    def _inside(
        self, command: Command, directory: str, through: tuple[str, ...]
    ) -> Iterator[tuple[Command, tuple[str, ...]]]:
        script = self._script(command, directory)
        given = (
            command.arguments[1:] if command.arguments[:1] == (script_file(command),) else command.arguments
        )
        positional = {str(number): word for number, word in enumerate(given[:9], start=1)}
        environment = {**command.environment, **positional}
        for inner, path in self.read(script, environment, directory, (*through, command.program)):
            yield replace(inner, line=command.line, forgiven=inner.forgiven or command.forgiven), path

    def _script(self, command: Command, directory: str) -> str:
        """The script behind a command, empty where there is none in the submission."""
        match command.program:
            case "make" | "gmake":
                return self._made(command, directory)
            case "coverage" if command.arguments[:1] == ("run",):
                words = command.arguments
                return quoted(words[words.index("-m") + 1 :]) if "-m" in words else ""
            case "tox":
                return self._toxed(directory)
            case "nox":
                return _noxed(self._text(posixpath.join(directory, "noxfile.py")))
        path = script_file(command)
        return self._text(posixpath.join(directory, path)) if path else ""

    def _text(self, path: str) -> str:
        file = self._submission.file(posixpath.normpath(path))
        return file.text if file is not None and isinstance(file.text, str) else ""

    def _made(self, command: Command, directory: str) -> str:
        folder = command.option("-C", "--directory") or "."
        name = command.option("-f", "--file", "--makefile")
        for candidate in (name,) if name else ("GNUmakefile", "makefile", "Makefile"):
            text = self._text(posixpath.join(directory, folder, candidate))
            if text:
                values = {command.option("-C", "--directory"), name, command.option("-j", "--jobs")}
                words = [
                    word for word in command.arguments if not word.startswith("-") and word not in values
                ]
                variables = dict(word.split("=", 1) for word in words if is_assignment(word))
                targets = [word for word in words if not is_assignment(word)]
                return recipe(text, targets, variables, partial(self._globbed, directory, folder))
        return ""

    def _globbed(self, directory: str, folder: str, pattern: str) -> list[str]:
        """The texts of the files that a glob names, as seen from a folder."""
        path = posixpath.normpath(posixpath.join(directory, folder, pattern))
        # A leading slash anchors the pattern: `*.mk` alone would match at any depth.
        names = [name for name in self._submission.files if PurePosixPath("/", name).match(f"/{path}")]
        return [self._text(str(name)) for name in names]

    def _toxed(self, directory: str) -> str:
        parser = parse_ini(self._text(posixpath.join(directory, "tox.ini")), "tox.ini")
        if isinstance(parser, Problem):
            return ""
        sections = [name for name in parser.sections() if name.startswith("testenv")]
        found = "\n".join(parser.get(name, "commands", fallback="") for name in sections)
        return re.sub(r"\{posargs(?::([^{}]*))?\}", r"\1", found)


def _noxed(text: str) -> str:
    """What a noxfile's sessions run: `session.run("pytest", "--cov")`."""
    tree = parse_python(text, "noxfile.py")
    if isinstance(tree, Problem):
        return ""
    lines: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="run"), args=args):
                words = [
                    arg.value for arg in args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                ]
                lines.append(quoted(words))
    return "\n".join(lines)


def _lines(command: Command) -> Iterator[Command]:
    """A command, and what it may run in a container."""
    yield command
    yield from contained(command)


def matching(act: Act, wanted: Sequence[str], idle: Sequence[str] = ()) -> Command | None:
    """The command of an act that does what one of the patterns names."""
    return next((match.command for match in matches(act.lines, wanted, idle)), None)


def uses(act: Act, actions: Sequence[str]) -> bool:
    """Whether an act is one of these actions, by `owner/repository` and path."""
    return bool(act.step.uses) and act.step.uses.lower() in {action.lower() for action in actions}
