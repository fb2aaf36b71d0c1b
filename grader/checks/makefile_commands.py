"""Commands of a recipe against the commands that were asked for, scripts of the submission followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from grader.checks.python_facts import Module
from grader.checks.shell import Command, commands, script_file
from grader.documents import Problem
from grader.submission import Submission

MOST_SCRIPTS = 20
"""How many scripts are followed."""
_CONTAINERS = frozenset({"docker", "podman", "nerdctl"})
_RUNNERS = frozenset({"run", "call", "check_call", "check_output", "Popen", "system"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which commands do not count although they match."""

    idle: Sequence[str]
    only: Sequence[str]
    at: Sequence[str]
    not_at: Sequence[str]

    def takes(self, command: Command, pattern: str) -> bool:
        """Whether a command is the one that a pattern names, and does it."""
        if command.words[:1] == ("command",) and {"-v", "-V"}.intersection(command.words[1:2]):
            return False  # it asks where a program is
        lines = [(command.program, *command.arguments), *_inside_container(command)]
        return any(self._takes(line, tuple(pattern.split())) for line in lines)

    def _takes(self, line: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
        rest = _after(line, pattern)
        if rest is None or any(word in self.idle for word in line):
            return False
        operands = [re.split(r"[=<>~!\[;]", word)[0] for word in rest if not word.startswith("-")]
        if operands and all(operand in self.only for operand in operands):
            return False
        named = set(re.split(r"[^a-z0-9]+", " ".join(line).lower()))
        return not named.intersection(self.not_at) or bool(named.intersection(self.at))


def _after(line: tuple[str, ...], pattern: tuple[str, ...]) -> tuple[str, ...] | None:
    """What follows a pattern in a line, None where it does not match.

    Between the pattern's words only options stand, and the words after options, which may be their values.
    """
    if not line or line[0] != pattern[0]:
        return None
    flags = [word for word in pattern[1:] if word.startswith("-")]
    if any(flag not in line for flag in flags):
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
