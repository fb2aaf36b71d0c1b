"""Commands behind the prompts of bash, zsh, fish, PowerShell, cmd and IPython, as they stand in notes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PROMPT = 200
"""Characters of a line in which a prompt is looked for."""

_ENVIRONMENTS = r"\s*(?:\([^()\n]{1,60}\)\s*){0,3}"
_WINDOWS = re.compile(_ENVIRONMENTS + r"(?:PS\b[^<>|\n]*>|[A-Za-z]:[\\/][^<>|\"\n]*>)\s*")
_PART = r"""(?:
      \[[^\[\]\n]{1,80}+\]              # [jo@host exam], a time
    | \([^()\n]{1,60}+\)                # an environment, a branch
    | \w[\w.-]*+@[\w.-]++(?>(?:[:\s][\w.~/-]++)?)  # jo@host:~/exam, jo@host exam
    | [~/][\w.@~/-]*+                   # a folder
    | [\w.]{1,20}-\d[\d.]*+(?=[$\#])    # bash-5.2
    | [\u2500-\u257f]++                 # lines of a frame
)"""
_POSIX = re.compile(
    _ENVIRONMENTS.replace("#", r"\#")
    + rf"""(?:
      (?:{_PART}\s?){{1,5}}[$%\#>](?:\s+|$)
    | [\w.@:/~-]*[$%](?:\s+|$)
    | [^`"'|;&\n]{{0,80}}?[\u276f\u276d\u03bb\u00bb](?:\s+|$)
    | [\u279c\u2192](?>(?:\s{{2,}}[\w.~/-]+(?=\s+\S))?)\s+(?:git:\([^()\n]{{1,60}}\)\s*[\u2717\u2718]?\s*)?
    | In\ \[\d*\]:\s*(?=!)
    | (?=!\w)
    )!?""",
    re.VERBOSE,
)
_PLAIN = re.compile(r"\s*(?:>{1,3}\s+)")
"""Also what a shell says that waits for the rest of a command, and Markdown's mark of a quotation."""
_NUMBER_SIGN = re.compile(r"\s*#\s+(?=\w)")
_CONTINUATION = re.compile(r"\s*(?:[\w ]{0,20}>{1,2}|More\?)\s+")
_MARKS = ("\\", " `", " ^")
"""At the end of a line that goes on: of POSIX shells, PowerShell and cmd."""
_SEPARATOR = re.compile(r"(?<=[\w.])\\(?=[\w.])")


def split_prompt(line: str) -> tuple[str, str] | None:
    """A line's prompt and the command behind it; None where it has no prompt.

    The paths of a command behind a prompt of Windows have slashes.
    """
    if found := _WINDOWS.match(line[:MAX_PROMPT]):
        return found[0], with_slashes(line[found.end() :])
    found = _POSIX.match(line[:MAX_PROMPT])
    return (found[0], line[found.end() :]) if found else None


def with_slashes(command: str) -> str:
    """A command of Windows, its paths as other systems write them and its lines continued as theirs."""
    command = _SEPARATOR.sub("/", command)
    return command[:-1] + "\\" if command.endswith(_MARKS[1:]) else command


def without_prompt(line: str) -> str:
    """The command of a single line, also behind `>`, which any prompt may end with."""
    split = split_prompt(line)
    if split is not None:
        return split[1]
    return line[found.end() :] if (found := _PLAIN.match(line[:MAX_PROMPT])) else line


def read_session(lines: Sequence[str]) -> list[str]:
    """The commands of a terminal session, in the places of their lines, which are else empty.

    Where no line has a prompt, all of it is commands.
    """
    if any(split_prompt(line) for line in lines):
        return _behind_prompts(lines)
    if any(_PLAIN.match(line) for line in lines):
        return [line[found.end() :] if (found := _PLAIN.match(line)) else "" for line in lines]
    return list(lines)


def read_administrator(lines: Sequence[str]) -> list[str]:
    """The commands of a session whose prompt is a bare `#`; empty if these lines may be comments.

    It is a prompt where nothing contradicts: it begins the first line, and no line without it calls a program
    that a line with it calls.
    """
    said = [line for line in lines if line.strip()]
    called = {line[found.end() :].split()[0] for line in said if (found := _NUMBER_SIGN.match(line))}
    others = {line.split()[0] for line in said if not _NUMBER_SIGN.match(line)}
    if not said or not _NUMBER_SIGN.match(said[0]) or called & others:
        return []
    return [line[found.end() :] if (found := _NUMBER_SIGN.match(line)) else "" for line in lines]


def _behind_prompts(lines: Sequence[str]) -> list[str]:
    commands = list[str]()
    goes_on = False
    for line in lines:
        split = None if goes_on else split_prompt(line)
        command = _CONTINUATION.sub("", line, count=1) if goes_on else split[1] if split else ""
        goes_on = (goes_on or split is not None) and line.endswith(_MARKS)
        commands.append(command[:-1] + "\\" if goes_on and not command.endswith("\\") else command)
    return commands
