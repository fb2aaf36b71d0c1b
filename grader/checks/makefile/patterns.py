"""Commands of a recipe against the commands that were asked for, scripts of the submission followed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.documents import Problem
from grader.readers.python.module import Module
from grader.readers.shell.parser import Command, commands, script_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.submission.model import Submission

MOST_SCRIPTS = 20
"""How many scripts are followed."""
_CONTAINERS = frozenset({"docker", "podman", "nerdctl"})
_RUNNERS = frozenset({"run", "call", "check_call", "check_output", "Popen", "system"})


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

    def idle_because(self, planned: Iterable[Command], pattern: str) -> str | None:
        """Why the commands do not do what a pattern names: empty where they do, None where none is near."""
        aimed = frozenset[str]()
        why: str | None = None
        for command in planned:
            if command.words[:1] == ("command",) and {"-v", "-V"}.intersection(command.words[1:2]):
                continue  # it asks where a program is
            own = (command.program, *command.arguments)
            if any(_after(own, tuple(aim.split())) is not None for aim in self.aims):
                aimed = self._places(own)
            for line in (own, *_inside_container(command)):
                places = self._places((*line, *command.environment.values())) or aimed
                found = self._complaint(line, pattern, places)
                if found == "":
                    return ""
                why = found or why
        return why

    def _places(self, words: Iterable[str]) -> frozenset[str]:
        """Which of the places some words name."""
        named = re.split(r"[^a-z0-9]+", " ".join(words).lower())
        return frozenset(named).intersection((*self.at, *self.not_at))

    def _complaint(self, line: tuple[str, ...], pattern: str, places: frozenset[str]) -> str | None:
        """Why a line does not do what a pattern names, None where it is another command altogether."""
        words = [word for word in pattern.split() if word != "*"]
        rest = _after(line, tuple(words))
        if rest is None:
            return None
        name = " ".join(words)
        if idle := next((word for word in line if word in self.idle), ""):
            return f"with {idle}, {name} does nothing of the kind"
        if pattern.endswith(" *") and not self._operands(line, rest):
            return f"{name} is not told what to work on"
        operands = [re.split(r"[=<>~!\[;]", word)[0] for word in rest if not word.startswith("-")]
        if operands and all(operand in self.only for operand in operands):
            return f"{name} is only for {', '.join(operands)}"
        if places and places.isdisjoint(self.at):
            return f"{name} goes to {', '.join(sorted(places))}"
        return ""

    def _operands(self, line: tuple[str, ...], rest: tuple[str, ...]) -> list[str]:
        """The words of a line's rest that are no options, and not their values."""
        before = (line[-len(rest) - 1], *rest)
        return [
            word
            for last, word in zip(before, rest, strict=False)
            if word == "-" or (not word.startswith("-") and last not in self.values)
        ]


def _after(line: tuple[str, ...], pattern: tuple[str, ...]) -> tuple[str, ...] | None:
    """What follows a pattern in a line, None where it does not match.

    Between the pattern's words only options stand, and the words after options, which may be their values.
    """
    if not line or line[0] != pattern[0]:
        return None
    flags = [word for word in pattern[1:] if word.startswith("-")]
    if not all(any(_gives(word, flag) for word in line) for flag in flags):
        return None
    index = 1
    for wanted in (word for word in pattern[1:] if not word.startswith("-")):
        while index < len(line) and line[index] != wanted:
            if not line[index].startswith("-") and not line[index - 1].startswith("-"):
                return None
            index += 1
        if index == len(line):
            return None
        index += 1
    return line[index:]


def _gives(word: str, flag: str) -> bool:
    """Whether a word is a flag, with its value or without: `-f`, `-fk8s/`, `--filename=k8s/`."""
    return word.partition("=")[0] == flag or (len(flag) == 2 and word.startswith(flag))


def _inside_container(command: Command) -> Iterator[tuple[str, ...]]:
    """The command lines that `docker run image …` may hold: where the image ends, only docker knows."""
    words = command.arguments
    if command.program in _CONTAINERS and {"run", "exec"}.intersection(words):
        for index in range(2, len(words)):
            yield words[index:]


def followed(submission: Submission, planned: Sequence[Command], hooks: str) -> Iterator[Command]:
    """The commands, and those of the submission's own scripts and hooks that they run."""
    waiting, seen = list(planned), set[str]()
    while waiting:
        command = waiting.pop(0)
        yield command
        for name, inner in _inner(submission, command, hooks):
            if name not in seen and len(seen) < MOST_SCRIPTS:
                seen.add(name)
                waiting += inner


def _inner(submission: Submission, command: Command, hooks: str) -> Iterator[tuple[str, tuple[Command, ...]]]:
    if command.program == "pre-commit" and hooks and command.arguments[:1] == ("run",):
        yield f"pre-commit {' '.join(command.arguments)}", tuple(_hooks(submission, command, hooks))
    script = script_file(command)
    if not script and command.program == "python":
        script = next((word for word in command.arguments if word.endswith(".py")), "")
    if command.program == "nox":
        script = "noxfile.py"
    file = submission.file(PurePosixPath(script)) if script else None
    if file is None or isinstance(file.text, Problem):
        return
    if not script.endswith(".py"):
        yield file.name, commands(file.text)
    elif not isinstance(file.python, Problem):
        yield file.name, tuple(_started(Module(file)))


def _started(module: Module) -> Iterator[Command]:
    """What a Python script starts: `subprocess.run([…])`, `os.system("…")`, `session.run("black", ".")`."""
    for call in module.calls():
        owner, _, name = call.name.rpartition(".")
        if name not in _RUNNERS or not owner:
            continue
        values = [module.constant(argument) for argument in call.node.args]
        if values and isinstance(values[0], str) and " " in values[0]:
            yield from commands(values[0])
            continue
        words = values[0] if values and isinstance(values[0], list | tuple) else values
        yield from commands(" ".join(_quoted(word) for word in words if isinstance(word, str)))


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _hooks(submission: Submission, command: Command, hooks: str) -> Iterator[Command]:
    """The hooks that `pre-commit run [id]` runs, each as a command by the first word of its id."""
    source = submission.deliverable(hooks)
    if source is None or isinstance(source.yaml, Problem) or not source.yaml:
        return
    wanted = [word for word in command.arguments[1:] if not word.startswith("-")]
    for hook in _each_hook(source.yaml[0].data):
        identity = hook.get("id")
        if isinstance(identity, str) and (not wanted or identity in wanted):
            yield from commands(_quoted(identity.partition("-")[0]))
            if isinstance(entry := hook.get("entry"), str):
                yield from commands(entry)


def _each_hook(data: Any) -> Iterator[dict[Any, Any]]:
    repos = data.get("repos") if isinstance(data, dict) else None
    for repo in repos if isinstance(repos, list) else ():
        hooks = repo.get("hooks") if isinstance(repo, dict) else None
        yield from (hook for hook in (hooks if isinstance(hooks, list) else ()) if isinstance(hook, dict))
