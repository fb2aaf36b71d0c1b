"""How reports are put on a stream: colours, width, and what a stream cannot show."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, Literal, NoReturn, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable

Colour = Literal["auto", "always", "never"]

PIPE_WIDTH = 110
_MIN_WIDTH = 40
_PLAIN = {
    "✔": "+",
    "◐": "~",
    "✘": "x",
    "⊘": "-",
    "─": "-",
    "━": "-",
    "│": "|",
    "·": "-",
    "—": "-",
    "\N{EN DASH}": "-",
    "…": ".",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}
"""Marks for streams of another encoding, each as wide as what it stands for; a `?` would be a mark, too."""
_OTHER = "."


class ReportConsole(Console):
    """A console that leaves it to its caller what a reader who has gone means."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what rich would turn into exit status 1, which says that a submission did not pass."""
        raise BrokenPipeError


def console(stream: TextIO, colour: Colour = "auto") -> Console:
    """A console on a stream.

    Args:
        colour: `auto` obeys `NO_COLOR` and then `FORCE_COLOR`; else a terminal has colours, a pipe has none.
    """
    coloured = has_colour(stream, colour)
    if stream.isatty():
        return ReportConsole(file=stream, force_terminal=True, no_color=not coloured, highlight=False)
    return ReportConsole(
        file=stream,
        force_terminal=coloured,
        color_system="standard" if coloured else None,
        no_color=not coloured,
        highlight=False,
        width=_width(),
    )


def has_colour(stream: TextIO, colour: Colour) -> bool:
    """Whether a stream gets colours."""
    if colour != "auto":
        return colour == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _width() -> int:
    """Of what is no terminal: `COLUMNS` where somebody set it."""
    columns = os.environ.get("COLUMNS", "")
    return max(int(columns), _MIN_WIDTH) if columns.isdecimal() and int(columns) else PIPE_WIDTH


def speaks_unicode(stream: TextIO) -> bool:
    """Whether every character can be written to a stream."""
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name.startswith("utf")
    except LookupError:
        return False


def tolerate(streams: Iterable[TextIO]) -> None:
    """Let no character end the program that a stream's encoding does not have."""
    codecs.register_error("grader", _replace)
    for stream in streams:
        if not speaks_unicode(stream) and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="grader")


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(each, _OTHER) for each in error.object[error.start : error.end]), error.end
