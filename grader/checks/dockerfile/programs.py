"""What the commands of an image do: which requirement files they install, which scripts they run."""

from __future__ import annotations

import posixpath
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.dockerfile.image import Image, quoted
from grader.readers.makefile import recipe
from grader.readers.shell.parser import MOST_CHARACTERS, Command, commands, script_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.submission.model import Submission

_PIP_COMMANDS = frozenset({"install", "wheel", "sync"})
_REQUIREMENT_OPTIONS = ("-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints")
_PYTHON_VALUES = frozenset({"-W", "-X"})
_RUNNERS = frozenset({"coverage", "accelerate", "mprof", "kernprof"})
MOST_NESTING = 4
MOST_SCRIPTS = 50
MOST_GIVEN = 2_000
"""How much of a script's arguments is handed on."""


def requirement_files(command: Command) -> Iterator[str]:
    """The requirement and constraint files from which a command installs or builds wheels."""
    words = list(command.arguments)
    if command.program == "uv" and "pip" in words:
        words = words[words.index("pip") + 1 :]
    elif command.program == "pip-sync":
        words = ["sync", *words]
    elif command.program != "pip":
        return
    verb = next((index for index, word in enumerate(words) if word in _PIP_COMMANDS), None)
    if verb is None:
        return
    if words[verb] == "sync":
        yield from (word for word in words[verb + 1 :] if word.endswith(".txt"))
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _REQUIREMENT_OPTIONS:
            yield value if equals else "".join(words[index + 1 : index + 2])
        elif word.startswith(("-r", "-c")) and len(word) > 2 and not equals:
            yield word[2:]


def scripts_run(submission: Submission, image: Image) -> frozenset[str]:
    """The files of the build context that the image's own command runs as Python."""
    reader = _Reader(submission, image)
    return frozenset(reader.run(quoted(image.argv), image.workdir, 0))


class _Reader:
    def __init__(self, submission: Submission, image: Image) -> None:
        self._submission = submission
        self._image = image
        self._left = MOST_SCRIPTS

    def run(self, script: str, cwd: str, depth: int) -> Iterator[str]:
        """The Python files that a script runs, the shell scripts that it calls followed."""
        image = self._image
        self._left -= 1
        if self._left < 0 or depth > MOST_NESTING:
            return
        for command in commands(script, image.variables):
            if command.program == "cd" and command.arguments:
                cwd = image.path(command.arguments[0], cwd)
            environment = {**image.variables, **command.environment}
            for path in _started(command, image, cwd, environment):
                if path in image.files:
                    yield image.files[path]
            if inner := self._inside(command, cwd):
                yield from self.run(inner, cwd, depth + 1)

    def _inside(self, command: Command, cwd: str) -> str:
        """The shell script or the recipe that a command runs, `"$@"` being what it is given."""
        if command.program == "make":
            text = self._text(self._image.path("Makefile", cwd))
            return recipe(text, command.arguments, {}, partial(self._globbed, cwd))
        # `entrypoint.sh` may be on the PATH, or an absolute path.
        name = script_file(command) or "".join(command.words[:1])
        folders = [cwd] if "/" in name else [cwd, "/usr/local/bin", "/usr/bin", "/bin"]
        paths = [self._image.path(name, folder) for folder in folders]
        at = next((path for path in paths if path in self._image.files), "")
        if not at or posixpath.splitext(at)[1] == ".py":
            return ""
        script = self._text(at)[:MOST_CHARACTERS]
        given = command.arguments[1:] if name in command.arguments[:1] else command.arguments
        for spelling in ('"$@"', '"${@}"', '"$*"', "$@", "${@}", "$*"):
            script = script.replace(spelling, quoted(given)[:MOST_GIVEN], 3)
        return script

    def _globbed(self, cwd: str, pattern: str) -> list[str]:
        """The texts of the files that a glob names, as seen from a folder."""
        path = self._image.path(pattern, cwd)
        return [self._text(name) for name in self._image.files if PurePosixPath(name).match(path)]

    def _text(self, path: str) -> str:
        """What a file of the image holds, empty where it is not from the build context."""
        origin = self._image.files.get(path)
        file = None if origin is None else self._submission.file(origin)
        return file.text if file is not None and isinstance(file.text, str) else ""


def _started(command: Command, image: Image, cwd: str, environment: dict[str, str]) -> Iterator[str]:
    """Where the Python file that a command starts would be."""
    if command.module:
        yield from _module_paths(command.program, image, cwd, environment)
        if command.program in _RUNNERS:
            yield from _nested(command.arguments, image, cwd, environment)
    elif command.program == "python":
        yield from _nested(command.arguments, image, cwd, environment)
    elif command.program in _RUNNERS:
        yield from _nested(command.arguments[1:], image, cwd, environment)
    elif command.words and "/" in command.words[-1 - len(command.arguments)]:
        yield image.path(command.words[-1 - len(command.arguments)], cwd)


def _nested(words: tuple[str, ...], image: Image, cwd: str, environment: dict[str, str]) -> Iterator[str]:
    index = 0
    while index < len(words) and words[index].startswith("-"):
        if words[index] == "-m":
            yield from _module_paths("".join(words[index + 1 : index + 2]), image, cwd, environment)
            return
        if words[index] == "-c":
            return
        index += 2 if words[index] in _PYTHON_VALUES else 1
    if index < len(words):
        yield image.path(words[index], cwd)


def _module_paths(module: str, image: Image, cwd: str, environment: dict[str, str]) -> Iterator[str]:
    relative = module.replace(".", "/")
    for start in (cwd, *environment.get("PYTHONPATH", "").split(":")):
        if start:
            yield image.path(f"{relative}.py", image.path(start, cwd))
