"""The one door for text that a candidate may have written: nothing in it is a command to who shows it.

A terminal obeys escape sequences, a reader believes what invisible and reversing characters make of a line,
and a CI service obeys lines of its log. Reports are made of `Text` objects: markup means nothing in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_CHARACTERS = "".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
)
_CONTROL = re.compile(
    "["
    "\x00-\x09\x0b-\x1f\x7f-\x9f"  # C0 but for newline, DEL, C1: terminal escapes
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # bidirectional: text that reads in another order
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d\u2060-\u2065\u3164\ufeff\uffa0"  # unseen
    "\u2028\u2029"  # newlines of some
    "\ufff0-\ufffb"  # annotations
    f"\ufdd0-\ufdef{_NO_CHARACTERS}"  # which XML and HTML forbid
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # unseen, of shorthand and music
    "\U000e0000-\U000e0fff"  # tags and variation selectors, in which whole texts hide
    "\ud800-\udfff"  # surrogates: of names that are not UTF-8
    "]"
)
# By name, wherever they are: a report's lines are wrapped, and any word may come to begin one. Services look
# past spaces, and some look for their mark in all of a line.
_GITHUB = re.compile(
    r"::(?=(?:error|warning|notice|debug|group|endgroup|echo|add-mask|add-matcher|remove-matcher|add-path"
    r"|set-env|set-output|save-state|stop-commands|internal-set-repo-path)\b)",
    re.IGNORECASE,
)
_OTHERS = re.compile(
    r"##(?=\[|vso\[|teamcity\[)|\bsection_(?=(?:start|end):)|\btravis_(?=fold:|time:)", re.IGNORECASE
)


def clean(text: str) -> str:
    """The text without anything that steers a terminal, a reader's eye or a CI service."""
    shown = _CONTROL.sub(lambda match: " " if match[0] == "\t" else "\N{REPLACEMENT CHARACTER}", text)
    shown = _GITHUB.sub(": :", shown)
    return _OTHERS.sub(lambda match: f"{match[0][:-1]} {match[0][-1]}", shown)


def safe(text: str, *, longest: int = 4000) -> str:
    """The same, cut in the middle where it is too long."""
    if len(text) <= longest:
        return clean(text)
    half = longest // 2
    # Cut first: megabytes of which nothing is shown are not worth cleaning.
    return f"{clean(text[:half])}\n… {len(text) - 2 * half:,} characters left out …\n{clean(text[-half:])}"


def one_line(text: str, *, longest: int = 300) -> str:
    """The same on a single line."""
    line = " ".join(safe(text[: 20 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def points(value: float) -> str:
    """Points as people write them: `2`, `1.5`, `0.75`."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def counted(number: int, one: str, many: str) -> str:
    """`1 criterion`, `2 criteria`."""
    return f"{number:,} {one if number == 1 else many}"


def few(names: Sequence[str], most: int) -> str:
    """The first of some names: `a, b and 3 more`."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left:,} more" if left > 0 else "")


def counted_points(value: float) -> str:
    """`1 point`, `2.5 points`."""
    return f"{points(value)} point{'' if value == 1 else 's'}"


def exact(value: float) -> str:
    """Points as programs read them: `2`, `1.5`, every digit that there is."""
    return repr(float(value)).removesuffix(".0")
