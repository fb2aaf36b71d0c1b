"""What `docker run image …` and its kin run in a container."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from grader.readers.shell.pattern import CommandPattern
from grader.readers.shell.wrappers import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.readers.shell.parser import Command

_ENGINES = ("docker", "podman", "nerdctl")
_STARTS = tuple(
    CommandPattern(program=program, words=(*before, verb))
    for verb in ("run", "exec")
    for program, *before in (
        *((engine, *words) for engine in _ENGINES for words in ((), ("container",), ("compose",))),
        ("docker-compose",),
        ("podman-compose",),
    )
)
_FLAGS = frozenset(
    {
        "--build",
        "--detach",
        "--disable-content-trust",
        "--help",
        "--init",
        "--interactive",
        "--no-deps",
        "--no-healthcheck",
        "--no-TTY",
        "--no-tty",
        "--oom-kill-disable",
        "--privileged",
        "--publish-all",
        "--quiet",
        "--quiet-build",
        "--quiet-pull",
        "--read-only",
        "--remove-orphans",
        "--replace",
        "--rm",
        "--service-ports",
        "--sig-proxy",
        "--tty",
        "--use-aliases",
    }
)
"""Options of `run` and `exec` that take no value."""
_SHORT_FLAGS = frozenset("diPqtT")


def image_program(image: str) -> str:
    """The program after which an image is named: `aquasec/trivy:0.50` runs trivy."""
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def contained(command: Command) -> Iterator[Command]:
    """The commands that it may run in a container, alone or as arguments of the image's own program."""
    match = next((match for start in _STARTS if (match := start.match(command)) is not None), None)
    words = match.rest if match is not None else ()
    start = _image_index(words)
    # A variable that nobody knows may be the image, or options.
    unknown = any(word.startswith("$") for word in words[start : start + 1])
    for index in (start, start + 1) if unknown else (start,):
        for image in words[index : index + 1]:
            rest = words[index + 1 :]
            entry = _entrypoint(words[:index])
            for line in ((entry, *rest),) if entry else (rest, (image_program(image), *rest)):
                if line:
                    yield _unwrapped(command, line)


def _unwrapped(command: Command, line: tuple[str, ...]) -> Command:
    found = unwrap(line)
    return replace(
        command,
        program=found.program,
        arguments=found.arguments,
        environment={**command.environment, **found.environment},
        module=found.module,
        stdin="",
    )


def _entrypoint(words: Sequence[str]) -> str:
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--entrypoint":
            return value if equals else "".join(words[index + 1 : index + 2])
    return ""


def _image_index(words: Sequence[str]) -> int:
    """Where the options end, and the image, the service or the container stands."""
    index = 0
    while index < len(words) and words[index].startswith("-"):
        word = words[index]
        if word == "--":
            return index + 1
        if word.startswith("--"):
            index += 1 if "=" in word or word in _FLAGS else 2
        else:
            valued = next(
                (place for place, letter in enumerate(word[1:]) if letter not in _SHORT_FLAGS), None
            )
            index += 2 if valued == len(word) - 2 else 1
    return index
