"""Data for a drift detection script: such that nothing drifted in, and such that every column drifted.

What is not the values' distribution is alike in both: other rows than the reference's, as many of them, of
the same length each. A script that compares rows, digests, sizes, numbers of rows or exact means finds the
same in both, and is wrong about one.
"""

from __future__ import annotations

import math
import random
import string
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grader.readers.table import Table

_FEWEST_ROWS_CHANGED, _MAX_ROWS_CHANGED = 0.04, 0.08
_REACH = 0.05
"""How far in rank a value may lie from the one that it stands for: no test sees it, and few rows stay."""
_DRAWS = 20
_HIGH, _LOW = "789", "123"


def resampled(table: Table, seed: str) -> Table:
    """Another sample of the same data: no test of a column's distribution can find drift in it.

    Some rows are left out, and others stand for two. Every value is drawn anew from those near it in rank,
    so that a column keeps its distribution far better than a second sample of the same size would, and
    hardly a row is one of the reference's. Whole numbers and words come from the column itself: no new one
    appears.
    """
    header, *rows = table
    if not rows:
        return table
    dice = random.Random(seed)  # noqa: S311
    draws = [_neighbours(column, dice) for column in zip(*rows, strict=True)]
    known = {tuple(row) for row in rows}
    current = []
    for number in _picked(len(rows), dice):
        for _ in range(_DRAWS):
            row = [draw(number) for draw in draws]
            if tuple(row) not in known:
                break
        # A table of a few categories has no other rows than these.
        current.append(row)
    dice.shuffle(current)
    return [header, *current]


def reordered(table: Table, seed: str) -> Table:
    """The same rows in another order."""
    header, *rows = table
    return [header, *random.Random(seed).sample(rows, len(rows))]  # noqa: S311


def drifted(table: Table) -> Table:
    """The same rows, all of whose values moved far away without a letter or a digit more or less."""
    header, *rows = table
    columns = [_moved(column) for column in zip(*rows, strict=True)]
    return [header, *(list(row) for row in zip(*columns, strict=True))]


def _picked(count: int, dice: random.Random) -> list[int]:
    """Numbers of rows, as many as there were: some are missing, and others are there twice for them."""
    changed = min(count // 2, max(1, round(count * dice.uniform(_FEWEST_ROWS_CHANGED, _MAX_ROWS_CHANGED))))
    some = dice.sample(range(count), 2 * changed)
    return [*sorted(set(range(count)).difference(some[:changed])), *some[changed:]]


def _neighbours(column: Sequence[str], dice: random.Random) -> Callable[[int], str]:
    """A function that draws a value close in rank to that of a row. What is missing stays so."""
    numbers = [_number(cell) for cell in column]
    there = [n for n, cell in enumerate(column) if cell.strip()]
    numeric = all(numbers[n] is not None for n in there)
    ordered = sorted(there, key=lambda n: (numbers[n] if numeric else 0, column[n], dice.random()))
    ranks = {n: rank for rank, n in enumerate(ordered)}
    last, reach = len(ordered) - 1, max(1, round(len(ordered) * _REACH))
    between = numeric and _is_continuous([column[n] for n in there])
    places = max((_places(column[n]) for n in there), default=0) if between else 0

    def draw(row: int) -> str:
        if row not in ranks:
            return column[row]
        rank = _reflected(ranks[row] + dice.randint(-reach, reach), last)
        cell, following = column[ordered[rank]], column[ordered[min(rank + 1, last)]]
        if not between:
            return cell
        low, high = float(cell), float(following)
        return repr(round(low + (high - low) * dice.random(), places))

    return draw


def _reflected(rank: int, last: int) -> int:
    """As from a mirror at either end, so that no value gathers there."""
    rank = abs(rank)
    return max(0, min(rank, 2 * last - rank))


def _moved(column: Sequence[str]) -> list[str]:
    there = [cell for cell in column if cell.strip()]
    if any(_number(cell) is None for cell in there):
        return _other_words(column)
    high = sum(cell.strip()[0] in _HIGH for cell in there) > len(there) / 2
    return [_other_lead(cell, _LOW if high else _HIGH) for cell in column]


def _other_lead(cell: str, leads: str) -> str:
    """The number with another first digit; a sign becomes one."""
    number = cell.strip()
    if not number:
        return cell
    first = int(number[0]) if number[0].isdigit() else 0
    return cell.replace(number, leads[first % len(leads)] + number[1:], 1)


def _other_words(column: Sequence[str]) -> list[str]:
    """Every letter moved on in the alphabet by as many as it takes until no value is an old one."""
    old = set(column)
    words = list(column)
    for steps in range(1, len(string.ascii_lowercase)):
        words = [cell.translate(_alphabet(steps)) for cell in column]
        if not old.intersection(word for word in words if word.strip()):
            break
    return words


def _alphabet(steps: int) -> dict[int, int]:
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    return str.maketrans(lower + upper, lower[steps:] + lower[:steps] + upper[steps:] + upper[:steps])


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_continuous(cells: Sequence[str]) -> bool:
    """Not whole numbers, nor a few values again and again: a new one among those is a new category."""
    return not all(float(cell).is_integer() for cell in cells) and len(set(cells)) > len(cells) / 10


def _places(cell: str) -> int:
    exponent = Decimal(cell.strip()).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
