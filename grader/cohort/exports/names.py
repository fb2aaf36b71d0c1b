"""The one door through which a candidate's name becomes the name of a file."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 100
"""Of a name in UTF-8: file systems take 255, and suffixes, numbers and folders come on top."""
NOBODY = "candidate"
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\..*)?", re.IGNORECASE
)
"""Which Windows takes for devices, with any suffix."""
_PUNCTUATION = frozenset("-_. ")


def file_name(text: str) -> str:
    """A name that is a file's on every system, inside of no other folder, and hidden on none.

    Letters, digits and marks of all scripts stay; whatever steers a terminal, a shell, a reader's eye or a
    path becomes `-`.
    """
    composed = unicodedata.normalize("NFC", text[: 20 * MAX_BYTES])
    kept = "".join(each if _is_harmless(each) else "-" for each in composed)
    name = re.sub(r"-{2,}", "-", " ".join(kept.split()))
    name = name.encode()[:MAX_BYTES].decode(errors="ignore").strip("-_. ~")
    if not any(map(str.isalnum, name)):
        return NOBODY
    return f"{NOBODY}-{name}" if _RESERVED.fullmatch(name) else name


def _is_harmless(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LNM"


class FileNames:
    """Names that differ from each other, also where case and ways to write a letter count for nothing."""

    def __init__(self) -> None:
        """None is taken yet."""
        self._taken: set[str] = set()

    def take(self, text: str) -> str:
        """A safe name that nobody has yet: the second of a name gets a number."""
        name = chosen = file_name(text)
        number = 1
        while (same := unicodedata.normalize("NFKC", chosen).casefold()) in self._taken:
            number += 1
            chosen = f"{name}-{number}"
        self._taken.add(same)
        return chosen
