"""Which runs a text names, in its order: by id, else by name, else by the value of a metric."""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.runtime.services.mlflow import RunInfo

_HEX = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{6,32}(?![0-9a-zA-Z])")
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}\.\d{1,17}|\d{2}(?= ?%))(?![\w.]*\d)( ?%)?")
_BOUND = re.compile(r"(?:[<>]=?|above|over|than|least|threshold|min\w*)['\"]?\s*[=:]?\s*$", re.IGNORECASE)
_SAME = 1e-9
_MIN_LABEL = 3
"""Characters of a metric's name by which it goes: `acc`."""
MAX_CHARACTERS = 400_000
_GRID = 5
"""So many numbers at equal distances are no measurements."""


class Mentions(NamedTuple):
    """Runs in the order of a text, and how they are named there."""

    runs: tuple[RunInfo, ...]
    by: str = ""
    guesses: int = 0
    """Where they are named by values of the metric: how many others were given that no run has."""


def mentions(text: str, runs: Sequence[RunInfo], metric: str, limit: float) -> Mentions:
    """The runs that a text names.

    Args:
        limit: a value of the metric that a text may speak of without meaning a run.
    """
    text = text[:MAX_CHARACTERS]
    values = list(_by_value(text, runs, metric, limit))
    ways = (
        ("run id", _by_id(text, runs), 0),
        ("run name", _by_name(text, runs), 0),
        (metric, (each.run for each in values if each.run is not None), _guesses(values)),
    )
    found = [Mentions(runs, by, guesses) for by, mentioned, guesses in ways if (runs := answer(mentioned))]
    # Three by name may be followed by the id of the best.
    lists = [each for each in found if len(each.runs) > 1]
    return next(iter(lists or found), Mentions(()))


def answer(mentioned: Iterable[RunInfo]) -> tuple[RunInfo, ...]:
    """Each run once. Where a text names runs again, the longer of its first and its last list.

    A text may list everything and then the best three, or the best three and then the best.
    """
    lists: list[list[RunInfo]] = [[]]
    for _, same in groupby(mentioned, key=lambda run: run.id):
        run = next(same)
        if any(run.id == each.id for each in lists[-1]):
            lists.append([])
        lists[-1].append(run)
    first, last = lists[0], lists[-1]
    return tuple(last if len(lists) > 1 and 1 < len(last) < len(first) else first)


def _by_id(text: str, runs: Sequence[RunInfo]) -> Iterator[RunInfo]:
    """By an id, or by the beginning of one."""
    for match in _HEX.finditer(text):
        found = [run for run in runs if run.id.startswith(match[0])]
        if len(found) == 1:
            yield found[0]


def _by_name(text: str, runs: Sequence[RunInfo]) -> Iterator[RunInfo]:
    names = {run.name: run for run in runs if run.name}
    if not names:
        return
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    for match in re.finditer(rf"(?<![\w-])(?:{pattern})(?![\w-])", text):
        yield names[match[0]]


class _Value(NamedTuple):
    """A number that may be a value of the metric."""

    number: float
    labelled: bool
    """The text says that it is, or it is the only number of its line."""
    run: RunInfo | None
    """The one that has it."""
    known: bool
    """Whether any has it."""


def _guesses(values: Sequence[_Value]) -> int:
    """How many values are given that no run has: a text may name every value that there could be."""
    in_grid = [False] * len(values)
    for first in range(len(values) - _GRID + 1):
        some = [each.number for each in values[first : first + _GRID]]
        steps = [after - before for before, after in pairwise(some)]
        if abs(steps[0]) > _SAME and all(abs(step - steps[0]) < _SAME for step in steps):
            in_grid[first : first + _GRID] = [True] * _GRID
    return sum(
        not each.known and (each.labelled or gridded) for each, gridded in zip(values, in_grid, strict=True)
    )


def _by_value(text: str, runs: Sequence[RunInfo], metric: str, limit: float) -> Iterator[_Value]:
    label = _label(metric)
    breaks = [match.start() for match in re.finditer(r"\n", text)]

    def line_of(match: re.Match[str]) -> int:
        return bisect(breaks, match.start())

    numbers = Counter(map(line_of, _NUMBER.finditer(text)))
    for match in _NUMBER.finditer(text):
        number, places = _share(match[1], percent=bool(match[2]))
        before = text[max(0, match.start() - 40) : match.start()]
        labelled = label.search(before) is not None
        if places < 2 or (abs(number - limit) < _SAME and (_BOUND.search(before) or not labelled)):
            continue
        half = 0.5 * 10**-places + 1e-9
        found = [run for run in runs if abs(run.metrics.get(metric, -1) - number) <= half]
        labelled = labelled or numbers[line_of(match)] == 1
        yield _Value(number, labelled, found[0] if len(found) == 1 else None, bool(found))


def _label(metric: str) -> re.Pattern[str]:
    """What stands before a value of the metric: `accuracy`, `acc:` or `'test_acc' =`."""
    words = (re.escape(word[:_MIN_LABEL]) for word in re.split(r"[\W_]+", metric) if word)
    return re.compile(rf"(?:{'|'.join(words)})\w*['\")]?\s*[=:]\s*$", re.IGNORECASE)


def _share(digits: str, *, percent: bool) -> tuple[float, int]:
    """A number as a share of 1, and how many places of it are known."""
    number, places = float(digits), len(digits.partition(".")[2])
    return (number / 100, places + 2) if percent or number > 1 else (number, places)
