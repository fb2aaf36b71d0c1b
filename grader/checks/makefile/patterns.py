"""Commands of a recipe against the commands that were asked for, scripts of the submission followed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.documents import Problem
from grader.readers.python.module import Module
from grader.readers.shell.containers import contained
from grader.readers.shell.parser import Command, commands, script_file
from grader.readers.shell.pattern import matches, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.submission.model import Submission

MOST_SCRIPTS = 20
"""How many scripts are followed."""
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

    def idle_because(self, planned: Iterable[Command], text: str) -> str | None:
        """Why the commands do not do what a pattern names: empty where they do, None where none is near."""
        pattern = parse_pattern(text, tuple(self.idle), tuple(self.only), tuple(self.values))
        aimed = frozenset[str]()
        why: str | None = None
        for command in planned:
            if any(matches([command], self.aims)):
                aimed = self._places(command)
            for line in (command, *contained(command)):
                if (match := pattern.match(line)) is None:
                    continue
                places = self._places(line) or aimed
                problem = match.problem
                if not problem and places and places.isdisjoint(self.at):
                    problem = f"{pattern.name} goes to {', '.join(sorted(places))}"
                if not problem:
                    return ""
                why = problem
        return why

    def _places(self, command: Command) -> frozenset[str]:
        """Which of the places a command names."""
        words = (command.program, *command.arguments, *command.environment.values())
        named = re.split(r"[^a-z0-9]+", " ".join(words).lower())
        return frozenset(named).intersection((*self.at, *self.not_at))


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
