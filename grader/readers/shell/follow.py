"""What a script runs in the end: its commands, and those of the scripts, targets and hooks that they start.

Followed by reading, for every place where a command stands; where the files are, only the caller knows.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from grader.documents import Problem, SourceFile
from grader.readers.makefile import recipe
from grader.readers.precommit import CONFIGURATION, list_hooks
from grader.readers.python.module import Module
from grader.readers.shell.compose import composed
from grader.readers.shell.containers import contained
from grader.readers.shell.failure import STOPS_AT_FAILURE, Manner, Trace
from grader.readers.shell.parser import (
    MAX_CHARACTERS,
    SHELLS,
    Command,
    commands,
    script_file,
    shell_manner,
)
from grader.readers.shell.sources import started
from grader.readers.shell.wrappers import is_assignment
from grader.readers.tasks import task_script

if TYPE_CHECKING:
    from grader.submission.model import Submission

MAX_NESTING = 4
"""How deep scripts are followed into one another."""
MAX_COMMANDS = 2_000
MAX_SCRIPTS = 50
MAX_GIVEN = 2_000
"""Characters of a script's arguments that are handed on."""
_ALL_ARGUMENTS = ('"$@"', '"${@}"', '"$*"', "$@", "${@}", "$*")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


class Into(StrEnum):
    """What a command may start that is worth following."""

    SCRIPTS = "shell scripts"
    MAKE = "Makefile targets"
    PYTHON = "Python scripts"
    SESSIONS = "tasks and sessions of task runners, and what coverage runs"
    HOOKS = "pre-commit hooks"
    CONTAINERS = "commands in containers"


EVERYTHING = frozenset(Into)


class Files(Protocol):
    """Where the files are that a command may name."""

    def join(self, folder: str, name: str) -> str:
        """The path of a name, as seen from a folder."""

    def find(self, path: str) -> SourceFile | None:
        """The file at a path; None where there is none."""

    def matching(self, path: str) -> Iterable[SourceFile]:
        """The files at the paths that a glob matches."""

    def program(self, name: str, folder: str) -> str:
        """The path of a program that is called by its bare name, empty where it is none of these files."""


@dataclass(frozen=True, slots=True)
class SubmissionFiles:
    """The files as they stand in a submission, whose root is the folder `""`."""

    submission: Submission

    def join(self, folder: str, name: str) -> str:
        """The path from the root; a path that leads out of it counts from it."""
        path = posixpath.normpath(posixpath.join(folder, name))
        return "" if path == "." or path.startswith(("/", "..", "~")) else path

    def find(self, path: str) -> SourceFile | None:
        """The file, if it is handed in."""
        return self.submission.file(PurePosixPath(path)) if path else None

    def matching(self, path: str) -> Iterable[SourceFile]:
        """The files that a glob names, which crosses no folder."""
        # A leading slash anchors the pattern: `*.mk` alone would match at any depth.
        names = [name for name in self.submission.files if PurePosixPath("/", name).match(f"/{path}")]
        return [file for name in names if (file := self.submission.file(name)) is not None]

    def program(self, name: str, folder: str) -> str:
        """Nothing: a submission is on nobody's PATH."""
        del name, folder
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A command that runs."""

    command: Command
    folder: str
    """Where it runs."""
    through: tuple[str, ...] = ()
    """The programs that start it, the outermost first: `make`, `coverage`."""


def follow(
    script: str | Iterable[Command],
    files: Files,
    into: Collection[Into] = EVERYTHING,
    *,
    environment: Mapping[str, str] | None = None,
    folder: str = "",
    manner: Manner = STOPS_AT_FAILURE,
    hooks: str = CONFIGURATION,
    scripts: int = MAX_SCRIPTS,
) -> Iterator[Followed]:
    """The commands of a script, each before those that it starts.

    Args:
        script: shell source, or its commands.
        files: where scripts, Makefiles and configurations are looked up.
        into: what is followed.
        environment: variables that are known beforehand.
        folder: where the script runs.
        manner: how the script is run.
        hooks: the path of pre-commit's configuration.
        scripts: how many scripts, targets and the like are read.
    """
    follower = _Follower(files, frozenset(into), hooks, scripts)
    return follower.read(_Inner(script, manner=manner), environment or {}, folder, (), ())


@dataclass(frozen=True, slots=True)
class _Inner:
    """What a command starts."""

    script: str | Iterable[Command] = ""
    """Empty where that cannot be read."""
    given: tuple[str, ...] = ()
    """The arguments that it is handed."""
    manner: Manner = STOPS_AT_FAILURE


_LINES = Manner(by_line=True)
_NOTHING = _Inner()


class _Follower:
    def __init__(self, files: Files, into: frozenset[Into], hooks: str, scripts: int) -> None:
        self._files = files
        self._into = into
        self._hooks = hooks
        self._commands_left = MAX_COMMANDS
        self._scripts_left = scripts

    def read(
        self,
        inner: _Inner,
        environment: Mapping[str, str],
        folder: str,
        through: tuple[str, ...],
        around: Trace,
    ) -> Iterator[Followed]:
        root = folder
        script = inner.script
        if isinstance(script, str):
            positional = {str(number): word for number, word in enumerate(inner.given[:9], start=1)}
            script = commands(script, {**environment, **positional}, inner.manner)
        for command in script:
            self._commands_left -= 1
            if self._commands_left < 0:
                return
            if command.program in ("cd", "pushd"):
                folder = self._moved(folder, root, command.arguments)
            found = replace(
                command,
                environment={**environment, **command.environment},
                trace=(*around, *command.trace),
            )
            yield Followed(command=found, folder=folder, through=through)
            if len(through) < MAX_NESTING:
                yield from self._inside(found, folder, through, inner.manner)

    def _moved(self, folder: str, root: str, arguments: tuple[str, ...]) -> str:
        """Where `cd` leads; anywhere that the text does not tell is taken for where the script began."""
        target = next((word for word in arguments if not word.startswith("-")), "")
        return root if not target or "$" in target else self._files.join(folder, target)

    def _inside(
        self, command: Command, folder: str, through: tuple[str, ...], manner: Manner
    ) -> Iterator[Followed]:
        inner = _NOTHING
        if Into.CONTAINERS in self._into:
            services = composed(command, partial(self._found, folder))
            if services is None:
                inner = _Inner(tuple(each for line in contained(command) for each in _whole(line)))
            else:
                inner = _Inner(services.script, manner=Manner(checked=services.checked))
        if not inner.script and self._scripts_left > 0:
            inner = self._started_by(command, folder, manner)
        if not inner.script:
            return
        self._scripts_left -= 1
        path = (*through, command.program)
        for each in self.read(inner, command.environment, folder, path, command.trace):
            yield replace(each, command=replace(each.command, line=command.line))

    def _started_by(self, command: Command, folder: str, manner: Manner) -> _Inner:
        match command.program:
            case "make" | "gmake" if Into.MAKE in self._into:
                return _Inner(self._made(command, folder), manner=_LINES)
            case "coverage" if Into.SESSIONS in self._into and command.arguments[:1] == ("run",):
                words = command.arguments
                return _Inner(shlex.join(words[words.index("-m") + 1 :]) if "-m" in words else "")
            case "pre-commit" if Into.HOOKS in self._into and command.arguments[:1] == ("run",):
                return _Inner(self._hooked(command))
        if Into.SESSIONS in self._into:
            find = partial(self._found, folder)
            if tasks := task_script(command.words, command.program, command.arguments, find):
                return _Inner(tasks, manner=_LINES)
        name = executable(command)
        if Into.PYTHON in self._into and (command.program == "python" or name.endswith(".py")):
            own = () if name.endswith(".py") else command.arguments
            name = next((word for word in own if word.endswith(".py")), name)
            return _Inner(self._started(self._found(folder, name)))
        if not name or Into.SCRIPTS not in self._into:
            return _NOTHING
        return self._script(command, name, folder, manner)

    def _found(self, folder: str, name: str) -> SourceFile | None:
        return self._files.find(self._files.join(folder, name))

    def _script(self, command: Command, name: str, folder: str, manner: Manner) -> _Inner:
        """A script of the submission."""
        file = self._found(folder, name) if "/" in name or command.program in _READERS else None
        file = file or self._files.find(self._files.program(name, folder))
        given = command.arguments[1:] if command.arguments[:1] == (name,) else command.arguments
        text = "" if file is None or file.path.suffix == ".py" else _text(file)[:MAX_CHARACTERS]
        first = text.partition("\n")[0]
        if command.program not in ("source", "."):  # which are run by the shell at hand
            called = command.arguments if command.program in SHELLS else first.split()[1:]
            manner = shell_manner(called if command.program in SHELLS or first.startswith("#!") else ())
        for spelling in _ALL_ARGUMENTS:
            text = text.replace(spelling, shlex.join(given)[:MAX_GIVEN], 3)
        return _Inner(text, given, manner)

    def _made(self, command: Command, folder: str) -> str:
        chosen = command.option("-C", "--directory") or "."
        name = command.option("-f", "--file", "--makefile")
        inside = self._files.join(folder, chosen)
        for candidate in (name,) if name else _MAKEFILES:
            text = _text(self._files.find(self._files.join(inside, candidate)))
            if text:
                values = {command.option("-C", "--directory"), name, command.option("-j", "--jobs")}
                words = [
                    word for word in command.arguments if not word.startswith("-") and word not in values
                ]
                variables = dict(word.split("=", 1) for word in words if is_assignment(word))
                targets = [word for word in words if not is_assignment(word)]
                return recipe(text, targets, variables, partial(self._globbed, inside))
        return ""

    def _globbed(self, folder: str, pattern: str) -> list[str]:
        """The texts of the files that a glob names, as seen from a folder."""
        return [_text(file) for file in self._files.matching(self._files.join(folder, pattern))]

    def _hooked(self, command: Command) -> str:
        """The hooks that `pre-commit run [id]` runs."""
        path = command.option("-c", "--config") or self._hooks
        file = self._files.find(path)
        if file is None or isinstance(file.yaml, Problem) or not file.yaml:
            return ""
        wanted = [word for word in command.arguments[1:] if not word.startswith("-")]
        hooks = list(list_hooks(file.yaml[0].data))
        named = [hook for hook in hooks if hook.id in wanted]
        return "\n".join(hook.script for hook in named or ([] if wanted else hooks))

    def _started(self, file: SourceFile | None) -> tuple[Command, ...]:
        """What a Python script starts; a status that nobody looks at fails nothing."""
        if file is None or not isinstance(file.python, ast.Module):
            return ()
        watched = re.search(r"returncode|exit\s*\(", _text(file)) is not None
        return tuple(
            command
            for script, checked in started(Module(file))
            for command in commands(script, manner=Manner(checked=checked or watched))
        )


_READERS = SHELLS | {"source", "."}
"""Programs that take a script by its name alone."""


def executable(command: Command) -> str:
    """The file that a command names to run: `bash test.sh`, `source env.sh`, `./test.sh`, `entry.sh`."""
    if command.program in _READERS:
        return script_file(command)
    if command.module or len(command.words) <= len(command.arguments):
        return ""
    return command.words[-1 - len(command.arguments)]


def _whole(line: Command) -> tuple[Command, ...]:
    """The commands of one that is given as words, those of `sh -c` among them."""
    inner = commands(shlex.join((line.program, *line.arguments)), line.environment)
    return (*inner[:-1], line)


def _text(file: SourceFile | None) -> str:
    return file.text if file is not None and isinstance(file.text, str) else ""
