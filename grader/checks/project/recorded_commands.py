"""Shell commands that a submission records, wherever and in whatever form it does."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from grader.check import DeliverableIfAny, check
from grader.readers.shell.parser import Command
from grader.readers.shell.parser import commands as read_commands
from grader.readers.shell.pattern import CommandPattern, parse_pattern
from grader.readers.shell.sources import notes, of, scripts
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.context import Context
    from grader.submission.model import Submission

_HELP = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command, and the folder in which the commands before it have left us."""

    command: Command
    folder: str

    def is_call(self, pattern: CommandPattern, arguments: Sequence[str]) -> bool:
        """Whether it is this command, and is given these arguments."""
        match = pattern.match(self.command)
        if match is None or match.problem:
            return False
        rest = [word for word in match.rest if not word.startswith("-")]
        return all(any(self._names(word, argument) for word in rest) for argument in arguments)

    def _names(self, word: str, argument: str) -> bool:
        """Whether a word is the argument, as it stands or as a path from the current folder."""
        paths = (word, posixpath.normpath(word), posixpath.normpath(posixpath.join(self.folder, word)))
        return any(fnmatchcase(argument, path) for path in paths)


@check("commands.recorded")
def recorded(
    context: Context, *, file: DeliverableIfAny, command: str, arguments: tuple[str, ...] = ()
) -> Outcome:
    """A command is recorded with these arguments, in a script, a recipe, a README or other notes.

    Args:
        command: the program and its first words: `dvc remote add`.
        arguments: what else it must be given; a path counts from the project's root.
    """
    pattern = parse_pattern(command, _HELP)
    program = pattern.program
    known = context.memo.once(
        ("recorded commands", file, program), lambda: _all(context.submission, file, program)
    )
    if any(each.is_call(pattern, arguments) for each in known):
        return passed()
    near = [each.command.words for each in known if each.is_call(pattern, [])]
    message = f"the command {command} is nowhere recorded"
    if near:
        message = f"{command} is recorded, and not with {' '.join(arguments)}"
    return failed(
        Finding(
            message=message,
            expected=" ".join([command, *arguments]),
            actual=" ".join(near[0])[:200] if near else "",
        )
    )


def _all(submission: Submission, file: str, program: str) -> tuple[Recorded, ...]:
    """Every command of scripts that speak of a program, and of the file that a manifest names."""
    named = submission.deliverable(file)
    found = [text for _, (text, _) in scripts(submission)]
    if named is not None and not any(of(named)) and isinstance(named.text, str):
        found += [text for text, _ in notes(named.text)]
    return tuple(each for text in found if program in text for each in _read(text))


def _read(text: str) -> tuple[Recorded, ...]:
    folder, found = "", list[Recorded]()
    for command in read_commands(text):
        if command.program == "cd":
            folder = _moved(folder, command.arguments)
        else:
            found.append(Recorded(command, folder))
    return tuple(found)


def _moved(folder: str, arguments: tuple[str, ...]) -> str:
    """Where `cd` leads; anywhere that the text does not tell is taken for the root."""
    target = next((word for word in arguments if not word.startswith("-")), "")
    moved = posixpath.normpath(posixpath.join(folder, target))
    return "" if not target or "$" in target or moved.startswith(("/", "..", "~")) else moved


CHECKS = (recorded,)
