"""What the commands of an image do: which requirement files they install, which scripts they run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from grader.checks.dockerfile_image import Image, quoted
from grader.checks.shell import Command, commands, script_file
from grader.submission import Submission

_PIP_COMMANDS = frozenset({"install", "wheel", "sync"})
_REQUIREMENT_OPTIONS = ("-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints")
_PYTHON_VALUES = frozenset({"-W", "-X"})
_RUNNERS = frozenset({"coverage", "accelerate", "mprof", "kernprof"})
MOST_NESTING = 4


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
    script = quoted(image.argv)
    return frozenset(_run_by(script, image, image.workdir, submission, 0))


def _run_by(script: str, image: Image, cwd: str, submission: Submission, depth: int) -> Iterator[str]:
    for command in commands(script, image.variables):
        if command.program == "cd" and command.arguments:
            cwd = image.path(command.arguments[0], cwd)
        environment = {**image.variables, **command.environment}
        for path in _started(command, image, cwd, environment):
            if path in image.files:
                yield image.files[path]
        if depth < MOST_NESTING:
            yield from _inside(command, image, cwd, submission, depth)


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


def _inside(command: Command, image: Image, cwd: str, submission: Submission, depth: int) -> Iterator[str]:
    """What a shell script of the build context runs, `"$@"` being what it is given."""
    name = script_file(command)
    if not name and command.words:
        name = command.words[0]  # `entrypoint.sh` on the PATH, or an absolute path
    path = image.path(name, cwd)
    on_path = (
        [f"{folder}/{name}" for folder in ("/usr/local/bin", "/usr/bin", "/bin")] if "/" not in name else []
    )
    origin = next((image.files[at] for at in (path, *on_path) if at in image.files), None)
    file = submission.file(origin) if origin is not None else None
    if file is None or posixpath.splitext(file.name)[1] == ".py" or not isinstance(file.text, str):
        return
    given = command.arguments[1:] if name in command.arguments[:1] else command.arguments
    script = file.text
    for spelling in ('"$@"', '"${@}"', '"$*"', "$@", "${@}", "$*"):
        script = script.replace(spelling, quoted(given))
    yield from _run_by(script, image, cwd, submission, depth + 1)
