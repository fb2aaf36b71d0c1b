"""What `docker compose up` and `run` start: the commands that a compose file has for its services."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grader.documents import Problem, SourceFile
from grader.readers.shell.parser import Command
from grader.readers.shell.pattern import CommandPattern

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""Names of a compose file that need not be told, the first that is there counts."""
MAX_SERVICES = 100
_RUNNERS = (
    ("docker", "compose"),
    ("docker-compose",),
    ("podman", "compose"),
    ("podman-compose",),
    ("nerdctl", "compose"),
)
_VERBS = {
    verb: tuple(
        CommandPattern(program=program, words=(*before, verb), value_options=("-f", "-p"))
        for program, *before in _RUNNERS
    )
    for verb in ("up", "run")
}
_AS_ONE_OF = "--exit-code-from"
_AS_ANY = ("--abort-on-container-exit", "--abort-on-container-failure")

Find = Callable[[str], SourceFile | None]
"""The file of a name, as seen from where the command runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """What services run."""

    script: str
    """A line for each service that has a command of its own."""
    checked: bool
    """Whether the command ends as they do."""


def composed(command: Command, find: Find) -> Composed | None:
    """What the services run that a command starts; None where it starts none with a command of its own."""
    for verb, patterns in _VERBS.items():
        match = next((match for pattern in patterns if (match := pattern.match(command)) is not None), None)
        if match is None:
            continue
        services = _services(command, find)
        named = [word for word in match.rest if word in services]
        if verb == "run":
            # What follows the service takes the place of its command.
            named = named[:1] if match.rest[-1:] == tuple(named[:1]) else []
            if not named:
                return None
        looked_at = command.option(_AS_ONE_OF)
        if looked_at in services:
            named = [looked_at]
        lines = [line for name in named or services if (line := _line(services[name]))]
        checked = verb == "run" or looked_at is not None or command.has(*_AS_ANY)
        return Composed(script="\n".join(lines), checked=checked) if lines else None
    return None


def _services(command: Command, find: Find) -> dict[str, Mapping[str, Any]]:
    """The services of the files that a command names, else of the usual one; later files override."""
    named = command.values("-f", "--file")
    found = [file for name in named or COMPOSE_FILES if (file := find(name)) is not None]
    services: dict[str, Mapping[str, Any]] = {}
    for file in found if named else found[:1]:
        for name, service in itertools.islice(_listed(file), MAX_SERVICES):
            services[name] = {**services.get(name, {}), **service}
    return services


def _listed(file: SourceFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(file.yaml, Problem) or not file.yaml:
        return
    match file.yaml[0].data:
        case {"services": dict(services)}:
            for name, service in services.items():
                if isinstance(name, str) and isinstance(service, dict):
                    yield name, service


def _line(service: Mapping[str, Any]) -> str:
    """A service's own command; an entrypoint alone runs as well."""
    words = [*_words(service.get("entrypoint")), *_words(service.get("command"))]
    return shlex.join(word.replace("$$", "$") for word in words)


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(word) for word in value]
    try:
        return shlex.split(value) if isinstance(value, str) else []
    except ValueError:  # a quote that is not closed
        return []
