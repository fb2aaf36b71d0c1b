"""Text that a candidate wrote, made safe to print."""

from __future__ import annotations

import re

_CONTROL = re.compile(
    # C0 but for newline, DEL and C1 (terminal escapes), bidirectional overrides (text that reads backwards),
    # surrogates (names that are no UTF-8).
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe(text: str, *, longest: int = 4000) -> str:
    """The text without anything that steers a terminal, cut in the middle where it is too long."""
    clean = _CONTROL.sub(lambda match: " " if match[0] == "\t" else "\N{REPLACEMENT CHARACTER}", text)
    if len(clean) <= longest:
        return clean
    half = longest // 2
    return f"{clean[:half]}\n… {len(clean) - longest:,} characters left out …\n{clean[-half:]}"


def one_line(text: str, *, longest: int = 300) -> str:
    """The same on a single line."""
    line = " ".join(safe(text[: 20 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def points(value: float) -> str:
    """Points as people write them: `2`, `1.5`, `0.75`."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
