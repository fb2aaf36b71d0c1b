"""What a workflow does: its actions, and its commands with the submission's own scripts followed."""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.checks.dockerfile.image import quoted
from grader.documents import Problem, parse_ini, parse_python
from grader.readers.makefile import recipe
from grader.readers.shell.parser import Command, commands, script_file
from grader.readers.shell.wrappers import is_assignment, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.checks.workflow.facts import Job, Step, Workflow
    from grader.context import Context
    from grader.submission.model import Submission

MOST_NESTING = 4
"""How deep scripts are followed into one another."""
MOST_ACTS = 2_000
MOST_SUFFIXES = 30

_CONTAINERS = frozenset({"docker", "podman", "nerdctl", "docker-compose"})


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
        ("workflow.acts", workflow.file.name),
        lambda: tuple(itertools.islice(_acts(context.submission, workflow), MOST_ACTS)),
    )


def _acts(submission: Submission, workflow: Workflow) -> Iterator[Act]:
    for job in workflow.jobs.values():
        for index, step in enumerate(job.steps):
            script, pipefail = step.script, step.shell.split()[:1] == ["bash"]
            if step.uses.startswith("docker://"):
                script = f"{quoted([_image_program(step.uses)])} {step.inputs.get('args', '')}"
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


def _image_program(image: str) -> str:
    """`aquasec/trivy:0.50` runs trivy."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


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
    """A command, and what it may run in a container: where `docker run`'s image ends, only docker knows."""
    yield command
    words = command.arguments
    if command.program not in _CONTAINERS or not {"run", "exec"}.intersection(words):
        return
    for index in range(1, min(len(words), MOST_SUFFIXES)):
        first = _image_program(words[index]) if "/" in words[index] else words[index]
        found = unwrap([first, *words[index + 1 :]])
        yield replace(command, program=found.program.partition(":")[0], arguments=found.arguments)


def matching(act: Act, wanted: Sequence[str], idle: Sequence[str] = ()) -> Command | None:
    """The command of an act that one of the patterns names, such as `docker buildx build --push`.

    Plain words must stand in this order, with options and their values between them; options anywhere.
    """
    patterns = _by_program(tuple(wanted))
    for line in act.lines:
        for rest in patterns.get(line.program, ()):
            if _fits(line, rest) and not line.has(*idle):
                return line
    return None


@cache
def _by_program(patterns: tuple[str, ...]) -> Mapping[str, list[list[str]]]:
    """The patterns' other words by their first."""
    found: dict[str, list[list[str]]] = {}
    for program, *rest in filter(None, map(str.split, patterns)):
        found.setdefault(program, []).append(rest)
    return found


def _fits(command: Command, pattern: Sequence[str]) -> bool:
    flags = [word for word in pattern if word.startswith("-")]
    if not all(command.has(flag) for flag in flags):
        return False
    words = command.arguments
    index = 0
    for wanted in (word for word in pattern if not word.startswith("-")):
        while index < len(words) and words[index] != wanted:
            if not words[index].startswith("-") and not (index and words[index - 1].startswith("-")):
                return False
            index += 1
        if index == len(words):
            return False
        index += 1
    return True


def uses(act: Act, actions: Sequence[str]) -> bool:
    """Whether an act is one of these actions, by `owner/repository` and path."""
    return bool(act.step.uses) and act.step.uses.lower() in {action.lower() for action in actions}
