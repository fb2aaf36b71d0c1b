"""What a Python program said when it crashed, cut to the frames that its author wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'^  File "(?P<path>[^"\n]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?$')
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
_FOREIGN = {"site-packages", "dist-packages", ".venv", "venv"}
MAX_FRAMES = 8
_MAX_MESSAGE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Traceback:
    """The last traceback in a stream."""

    exception: str
    """The bare class name, `KeyError`."""
    message: str
    where: str
    """`src/train.py:33`, the innermost frame that is the author's; empty where none is."""
    text: str
    """The author's frames and the exception."""
    last: bool
    """Nothing but blank lines follows it, as after an exception that nobody caught."""

    @property
    def summary(self) -> str:
        """`KeyError: 'target'`."""
        said = " ".join(self.message.split())[:_MAX_MESSAGE]
        return f"{self.exception}: {said}" if said else self.exception


def last_traceback(text: str, roots: Iterable[str]) -> Traceback | None:
    """The last traceback in `text`; frames under one of `roots` are the author's.

    A SyntaxError in the program itself has no header, only a frame and the exception.
    """
    lines = text.splitlines()
    start = _start(lines)
    if start is None:
        return None
    end = next((n for n in range(start, len(lines)) if _ends(lines[n])), None)
    if end is None:
        return None
    match = _EXCEPTION.match(lines[end])
    if match is None:
        return None
    frames = _own_frames(lines[start:end], tuple(root.rstrip("/") + "/" for root in roots))
    more = _message_lines(lines[end + 1 :])
    return Traceback(
        exception=match["name"].rpartition(".")[2],
        message="\n".join([match["message"] or "", *more]).strip(),
        where=frames[-1][0] if frames else "",
        text="\n".join([*(line for _, shown in frames[-MAX_FRAMES:] for line in shown), lines[end], *more]),
        last=not any(line.strip() for line in lines[end + 1 + len(more) :]),
    )


def _start(lines: list[str]) -> int | None:
    headers = [n for n, line in enumerate(lines) if line.strip() == _HEADER]
    if headers:
        return headers[-1] + 1
    frames = [n for n, line in enumerate(lines) if _FRAME.match(line)]
    return frames[-1] if frames else None


def _ends(line: str) -> bool:
    return bool(line) and not line[0].isspace() and _EXCEPTION.match(line) is not None


def _message_lines(lines: list[str]) -> list[str]:
    """What an exception's message goes on with: up to a blank line, as much as helps."""
    more: list[str] = []
    for line in lines[:6]:
        if not line.strip():
            break
        more.append(line[:_MAX_MESSAGE])
    return more


def _own_frames(lines: list[str], roots: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """(where, lines to show) for each frame under a root."""
    frames: list[tuple[str, list[str]]] = []
    current: list[str] | None = None
    for line in lines:
        match = _FRAME.match(line)
        if match is None:
            if current is not None:
                current.append(line[:_MAX_MESSAGE])
            continue
        inside = _inside(match["path"], roots)
        current = None
        if inside:
            function = f", in {match['function']}" if match["function"] else ""
            current = [f'  File "{inside}", line {match["line"]}{function}']
            frames.append((f"{inside}:{match['line']}", current))
    return frames


def _inside(path: str, roots: tuple[str, ...]) -> str:
    """The path under its root, or empty for a library's file."""
    root = next((root for root in roots if path.startswith(root)), None)
    if root is None:
        return ""
    relative = path.removeprefix(root)
    return "" if _FOREIGN & set(PurePosixPath(relative).parts) else relative
