"""Where two submissions are alike: shared fingerprints put together to blocks of lines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.cohort.similarity.model import Block, Lines

if TYPE_CHECKING:
    from collections.abc import Collection

    from grader.cohort.similarity.reading import Reading

MAX_BLOCKS = 20
MAX_GAP = 3
"""Lines on either side between two pieces of one block."""


@dataclass(slots=True)
class _Run:
    files: tuple[int, int]
    first: tuple[int, int]
    last: list[int]
    count: int = 1

    def takes(self, files: tuple[int, int], first: tuple[int, int]) -> bool:
        """Whether something begins where it ends, on both sides."""
        return files == self.files and all(
            start - MAX_GAP - 1 <= end and start >= begin
            for start, end, begin in zip(first, self.last, self.first, strict=True)
        )


def blocks_of(left: Reading, right: Reading, shared: Collection[int]) -> tuple[tuple[Block, ...], int]:
    """The largest blocks, and how many others there are.

    Args:
        shared: fingerprints that count.
    """
    there: dict[int, list[int]] = defaultdict(list)
    for place, each in enumerate(right.hashes.tolist()):
        if each in shared:
            there[each].append(place)
    runs: list[_Run] = []
    for place, each in enumerate(left.hashes.tolist()):
        if each in shared:
            _add(runs, left, place, right, there[each])
    runs.sort(key=lambda run: (-run.count, run.files, run.first))
    blocks = tuple(
        Block(
            left=Lines(path=left.paths[run.files[0]], first=run.first[0], last=run.last[0]),
            right=Lines(path=right.paths[run.files[1]], first=run.first[1], last=run.last[1]),
            fingerprints=run.count,
        )
        for run in runs[:MAX_BLOCKS]
    )
    return blocks, max(0, len(runs) - MAX_BLOCKS)


def _add(runs: list[_Run], left: Reading, place: int, right: Reading, others: list[int]) -> None:
    """Let the last run go on with one of the places on the right, or begin another with the first of them."""
    begin, end = int(left.first[place]), int(left.last[place])
    for other in others:
        files = (int(left.files[place]), int(right.files[other]))
        first = (begin, int(right.first[other]))
        if runs and runs[-1].takes(files, first):
            run = runs[-1]
            run.last = [max(run.last[0], end), max(run.last[1], int(right.last[other]))]
            run.count += 1
            return
    other = others[0]
    runs.append(
        _Run(
            files=(int(left.files[place]), int(right.files[other])),
            first=(begin, int(right.first[other])),
            last=[end, int(right.last[other])],
        )
    )
