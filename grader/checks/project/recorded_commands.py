"""Shell commands that a submission records, in whatever file and form."""

from __future__ import annotations

import posixpath
import shlex
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from grader.check import DeliverableIfAny, check
from grader.readers import declared_commands
from grader.readers.shell import sources
from grader.readers.shell.follow import Into, SubmissionFiles, follow
from grader.readers.shell.pattern import CommandPattern, parse_pattern
from grader.readers.tasks import names_a_runner
from grader.results import Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.context import Context
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_HELP = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A command, and the folder in which it would run."""

    command: Command
    folder: str

    def is_call(self, pattern: CommandPattern, arguments: Sequence[str]) -> bool:
        """Whether it is this command, with these arguments."""
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
    """A command with these arguments is recorded in a script, a task, a workflow, a README or other notes.

    Args:
        command: the program and its subcommands: `dvc remote add`.
        arguments: arguments that it must have; paths are relative to the project's root.
    """
    pattern = parse_pattern(command, _HELP)
    program = pattern.program
    known = context.memo.once(
        ("recorded commands", file, program), lambda: _all(context.submission, file, program)
    )
    if any(each.is_call(pattern, arguments) for each in known):
        return passed()
    near = [each.command.words for each in known if each.is_call(pattern, [])]
    message = f"the command {command} is not recorded"
    if near:
        message = f"{command} is recorded, but not with {shlex.join(arguments)}"
    unread, count = _count_unread(context.submission)
    if unread:
        # A file that nobody has looked at costs nobody a point.
        return unverified(f"{message} in the files that were read: {unread:,} of {count:,} were not")
    return failed(
        Finding(
            message=message,
            expected=shlex.join([*command.split(), *arguments]),
            actual=shlex.join(near[0])[:200] if near else "",
        )
    )


def _count_unread(submission: Submission) -> tuple[int, int]:
    """How many files that may record commands were not read, and how many there are."""
    kinds = (
        (sources.candidates(submission), sources.MAX_FILES),
        (declared_commands.candidates(submission), declared_commands.MAX_FILES),
    )
    unread = {file.path for files, limit in kinds for file in files[limit:]}
    return len(unread), len({file.path for files, _ in kinds for file in files})


def _all(submission: Submission, file: str, program: str) -> tuple[Recorded, ...]:
    """Every command in files that mention a program, and in the file that a manifest names."""
    named = submission.deliverable(file)
    found = [("", text) for _, (text, _) in sources.scripts(submission)]
    if named is not None and not any(sources.of(named)) and isinstance(named.text, str):
        found += [("", text) for text, _ in sources.notes(named.text)]
    found += [
        ("" if folder == "." else folder, text)
        for declaring, text in declared_commands.in_files(submission, program)
        for folder in {".", str(declaring.path.parent)}
    ]
    files = SubmissionFiles(submission)
    # Every script and Makefile is read by itself, so that only tasks and containers need be followed.
    return tuple(
        Recorded(each.command, each.folder)
        for folder, text in found
        if program in text or names_a_runner(text)
        for each in follow(text, files, {Into.CONTAINERS, Into.SESSIONS}, folder=folder)
    )


CHECKS = (recorded,)
