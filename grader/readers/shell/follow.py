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

from grader.documents import Problem, SourceFile, parse_ini
from grader.readers.makefile import recipe
from grader.readers.precommit import CONFIGURATION, list_hooks
from grader.readers.python.module import Module
from grader.readers.shell.containers import contained
from grader.readers.shell.parser import MAX_CHARACTERS, SHELLS, Command, commands, script_file
from grader.readers.shell.sources import started
from grader.readers.shell.wrappers import is_assignment

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
_POSITIONAL = re.compile(r"\{posargs(?::([^{}]*))?\}")


class Into(StrEnum):
    """What a command may start that is worth following."""

    SCRIPTS = "shell scripts"
    MAKE = "Makefile targets"
    PYTHON = "Python scripts"
    SESSIONS = "tox and nox sessions, and what coverage runs"
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
    pipefail: bool = True,
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
        pipefail: whether a pipe fails with each of its commands.
        hooks: the path of pre-commit's configuration.
        scripts: how many scripts, targets and the like are read.
    """
    follower = _Follower(files, frozenset(into), hooks, scripts)
    return follower.read(script, environment or {}, {}, folder, (), pipefail)


class _Follower:
    def __init__(self, files: Files, into: frozenset[Into], hooks: str, scripts: int) -> None:
        self._files = files
        self._into = into
        self._hooks = hooks
        self._commands_left = MAX_COMMANDS
        self._scripts_left = scripts

    def read(
        self,
        script: str | Iterable[Command],
        environment: Mapping[str, str],
        positional: Mapping[str, str],
        folder: str,
        through: tuple[str, ...],
        pipefail: bool,
    ) -> Iterator[Followed]:
        root = folder
        if isinstance(script, str):
            pipefail = pipefail or "pipefail" in script
            script = commands(script, {**environment, **positional})
        for command in script:
            self._commands_left -= 1
            if self._commands_left < 0:
                return
            if command.program in ("cd", "pushd"):
                folder = self._moved(folder, root, command.arguments)
            found = replace(
                command,
                environment={**environment, **command.environment},
                forgiven=command.forgiven or (command.piped and not pipefail),
            )
            yield Followed(command=found, folder=folder, through=through)
            if len(through) < MAX_NESTING:
                yield from self._inside(found, folder, through, pipefail)

    def _moved(self, folder: str, root: str, arguments: tuple[str, ...]) -> str:
        """Where `cd` leads; anywhere that the text does not tell is taken for where the script began."""
        target = next((word for word in arguments if not word.startswith("-")), "")
        return root if not target or "$" in target else self._files.join(folder, target)

    def _inside(
        self, command: Command, folder: str, through: tuple[str, ...], pipefail: bool
    ) -> Iterator[Followed]:
        positional: dict[str, str] = {}
        inner: str | tuple[Command, ...] = ()
        if Into.CONTAINERS in self._into:
            inner = tuple(each for line in contained(command) for each in _whole(line))
        if not inner and self._scripts_left > 0:
            inner, given = self._script(command, folder)
            positional = {str(number): word for number, word in enumerate(given[:9], start=1)}
        if not inner:
            return
        self._scripts_left -= 1
        path = (*through, command.program)
        for each in self.read(inner, command.environment, positional, folder, path, pipefail):
            forgiven = each.command.forgiven or command.forgiven
            yield replace(each, command=replace(each.command, line=command.line, forgiven=forgiven))

    def _script(self, command: Command, folder: str) -> tuple[str | tuple[Command, ...], tuple[str, ...]]:
        """What a command starts, empty where that cannot be read, and the arguments that it hands on."""
        match command.program:
            case "make" | "gmake" if Into.MAKE in self._into:
                return self._made(command, folder), ()
            case "coverage" if Into.SESSIONS in self._into and command.arguments[:1] == ("run",):
                words = command.arguments
                return shlex.join(words[words.index("-m") + 1 :]) if "-m" in words else "", ()
            case "tox" if Into.SESSIONS in self._into:
                return self._toxed(folder), ()
            case "nox" if Into.SESSIONS in self._into:
                file = self._files.find(self._files.join(folder, "noxfile.py"))
                return self._started(file, watched=True), ()
            case "pre-commit" if Into.HOOKS in self._into and command.arguments[:1] == ("run",):
                return self._hooked(command), ()
        name = executable(command)
        if Into.PYTHON in self._into and (command.program == "python" or name.endswith(".py")):
            own = () if name.endswith(".py") else command.arguments
            name = next((word for word in own if word.endswith(".py")), name)
            return self._started(self._files.find(self._files.join(folder, name))), ()
        if not name or Into.SCRIPTS not in self._into:
            return "", ()
        path = self._files.join(folder, name)
        file = self._files.find(path if "/" in name or command.program in _READERS else "")
        file = file or self._files.find(self._files.program(name, folder))
        given = command.arguments[1:] if command.arguments[:1] == (name,) else command.arguments
        text = "" if file is None or file.path.suffix == ".py" else _text(file)[:MAX_CHARACTERS]
        for spelling in _ALL_ARGUMENTS:
            text = text.replace(spelling, shlex.join(given)[:MAX_GIVEN], 3)
        return text, given

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

    def _toxed(self, folder: str) -> str:
        parser = parse_ini(_text(self._files.find(self._files.join(folder, "tox.ini"))), "tox.ini")
        if isinstance(parser, Problem):
            return ""
        sections = [name for name in parser.sections() if name.startswith("testenv")]
        found = "\n".join(parser.get(name, "commands", fallback="") for name in sections)
        return _POSITIONAL.sub(r"\1", found)

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

    def _started(self, file: SourceFile | None, *, watched: bool = False) -> tuple[Command, ...]:
        """What a Python script starts; a status that nobody looks at fails nothing."""
        if file is None or not isinstance(file.python, ast.Module):
            return ()
        watched = watched or re.search(r"returncode|exit\s*\(", _text(file)) is not None
        return tuple(
            replace(command, forgiven=command.forgiven or not (checked or watched))
            for script, checked in started(Module(file))
            for command in commands(script)
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
