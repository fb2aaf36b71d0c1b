"""Lines that a backslash at their end continues, as in Makefiles and Dockerfiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def joined_lines(physical: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Lines with those that a backslash at the end continues, each with the number of its first, from 1."""
    index = 0
    while index < len(physical):
        start, parts = index, [physical[index]]
        while parts[-1].endswith("\\") and index + 1 < len(physical):
            index += 1
            parts[-1] = parts[-1][:-1]
            parts.append(physical[index].strip())
        index += 1
        yield start + 1, " ".join(parts)
