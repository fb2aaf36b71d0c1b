"""Which runs a text names, in its order: by id, else by name, else by the value of a metric."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.runtime.services.mlflow import RunInfo

_HEX = re.compile(r"(?<![0-9a-zA-Z])[0-9a-f]{6,32}(?![0-9a-zA-Z])")
_NUMBER = re.compile(r"(?<![\w.])(\d{1,3}\.\d{1,17}|\d{2}(?= ?%))(?![\w.]*\d)( ?%)?")
_BOUND = re.compile(r"(?:[<>]=?|above|over|than|least|threshold|min\w*)['\"]?\s*[=:]?\s*$", re.IGNORECASE)
_MIN_LABEL = 3
"""Characters of a metric's name by which it goes: `acc`."""
MAX_CHARACTERS = 400_000


class Mentions(NamedTuple):
    """Runs in the order of a text, and how they are named there."""

    runs: tuple[RunInfo, ...]
    by: str = ""


def mentions(text: str, runs: Sequence[RunInfo], metric: str, limit: float) -> Mentions:
    """The runs that a text names.

    Args:
        limit: a value of the metric that a text may speak of without meaning a run.
    """
    text = text[:MAX_CHARACTERS]
    ways = (
        ("run id", _by_id(text, runs)),
        ("run name", _by_name(text, runs)),
        (metric, _by_value(text, runs, metric, limit)),
    )
    found = [Mentions(runs, by) for by, mentioned in ways if (runs := answer(mentioned))]
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


def _by_value(text: str, runs: Sequence[RunInfo], metric: str, limit: float) -> Iterator[RunInfo]:
    label = _label(metric)
    for match in _NUMBER.finditer(text):
        number, places = _share(match[1], percent=bool(match[2]))
        before = text[max(0, match.start() - 40) : match.start()]
        spoken_of = _BOUND.search(before) or not label.search(before)
        if places < 2 or (abs(number - limit) < 1e-9 and spoken_of):
            continue
        half = 0.5 * 10**-places + 1e-9
        found = [run for run in runs if abs(run.metrics.get(metric, -1) - number) <= half]
        if len(found) == 1:
            yield found[0]


def _label(metric: str) -> re.Pattern[str]:
    """What stands before a value of the metric: `accuracy`, `acc:` or `'test_acc' =`."""
    words = (re.escape(word[:_MIN_LABEL]) for word in re.split(r"[\W_]+", metric) if word)
    return re.compile(rf"(?:{'|'.join(words)})\w*['\")]?\s*[=:]\s*$", re.IGNORECASE)


def _share(digits: str, *, percent: bool) -> tuple[float, int]:
    """A number as a share of 1, and how many places of it are known."""
    number, places = float(digits), len(digits.partition(".")[2])
    return (number / 100, places + 2) if percent or number > 1 else (number, places)
