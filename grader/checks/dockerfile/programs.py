"""What the commands of an image do: which requirement files they install, which scripts they run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.dockerfile.image import Image, quoted
from grader.documents import SourceFile
from grader.readers.shell.follow import Followed, follow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_PIP_COMMANDS = frozenset({"install", "wheel", "sync"})
_REQUIREMENT_OPTIONS = ("-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints")
_PYTHON_VALUES = frozenset({"-W", "-X"})
_SERVER_FOLDERS = ("--app-dir", "--chdir", "--pythonpath")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_RUNNERS = frozenset({"coverage", "accelerate", "mprof", "kernprof"})


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


def scripts_run(submission: Submission, image: Image, servers: Collection[str] = ()) -> frozenset[str]:
    """The files of the build context that the image's own command runs as Python, or has a server serve.

    Args:
        servers: programs that serve an application that they are given as `module:name`.
    """
    return frozenset(
        image.files[path]
        for each in commands_run(submission, image)
        for path in (
            *_started(each.command, image, each.folder, dict(each.command.environment)),
            *_served(each.command, image, each.folder, dict(each.command.environment), servers),
        )
        if path in image.files
    )


def _served(
    command: Command, image: Image, cwd: str, environment: dict[str, str], servers: Collection[str]
) -> Iterator[str]:
    """Where the module that a server serves would be."""
    if command.program not in servers:
        return
    below = command.option(*_SERVER_FOLDERS) or ""
    folder = image.path(below, cwd) if below else cwd
    for word in command.arguments:
        module, colon, _ = word.partition(":")
        if colon and _MODULE.fullmatch(module):
            yield from _module_paths(module, image, folder, environment)
            yield from _module_paths(f"{module}.__init__", image, folder, environment)
        elif word.endswith(".py"):
            yield image.path(word, folder)


def commands_run(submission: Submission, image: Image) -> Iterator[Followed]:
    """The commands that a container of the image runs, scripts from the build context followed."""
    files = _ImageFiles(submission, image)
    return follow(quoted(image.argv), files, environment=image.variables, folder=image.workdir)


class _Written(SourceFile):
    """A file that the Dockerfile itself holds."""

    def __init__(self, path: PurePosixPath, text: str) -> None:
        super().__init__(Path(), path)
        self.text = text


@dataclass(frozen=True, slots=True)
class _ImageFiles:
    """The files of an image that come from the build context or stand in the Dockerfile."""

    submission: Submission
    image: Image

    def join(self, folder: str, name: str) -> str:
        return self.image.path(name, folder)

    def find(self, path: str) -> SourceFile | None:
        origin = self.image.files.get(path)
        if origin is None:
            return None
        written = self.image.written.get(origin)
        return self.submission.file(origin) if written is None else _Written(PurePosixPath(path), written)

    def matching(self, path: str) -> Iterable[SourceFile]:
        names = [name for name in self.image.files if PurePosixPath(name).match(path)]
        return [file for name in names if (file := self.find(name)) is not None]

    def program(self, name: str, folder: str) -> str:
        paths = [self.image.path(name, start) for start in (folder, "/usr/local/bin", "/usr/bin", "/bin")]
        return next((path for path in paths if path in self.image.files), "")


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
