"""From marks to statistics. Pure: the same sheets and seed give the same numbers.

Definitions are those of Moodle's quiz statistics, with one difference: there an answer that is missing earns
nothing. Here `unverified` and `error` are our failure, so they are missing values. Where the rest of
somebody's marks has gaps, it is the share of the decided points that stands for it.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.cohort.statistics.model import (
    Bin,
    Counts,
    ExamStatistics,
    Flag,
    FlagKind,
    Interval,
    Item,
    Level,
    Row,
    Sheet,
    Statistics,
)
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

MIN_CANDIDATES = 10
"""Fewer allow nothing but counts."""
MIN_FULL = 30
"""Fewer are indicative."""
MIN_REST = 0.5
"""Share of the other points that must be decided for a candidate to count in a correlation."""
BINS = 10
RESAMPLES = 2_000
CHUNK = 2**20
"""Draws that are held in memory at once."""

MIN_CORRELATION = 0.2
MAX_BLOCKED = 0.25
MAX_ONE_FINDING = 0.6
MIN_LOSSES = 5
"""Of fewer losses it says nothing that one finding explains most."""
MAX_OVERRIDDEN = 0.05
ODD_FACTOR = 3.0
ODD_DEVIATIONS = 5.0
ODD_SECONDS = 10.0
"""Somebody's seconds are odd that exceed the median by all three: times, robust deviations, seconds."""
NORMAL_MAD = 1.4826
"""Median absolute deviation x this estimates the standard deviation of what is normally distributed."""
MAX_NAMED = 10
"""Candidates or findings that one item names."""


def compute(
    sheets: Iterable[Sheet],
    *,
    pass_mark: int,
    bonus: Collection[str] = (),
    seed: int = 0,
) -> Statistics:
    """The statistics of a cohort.

    Args:
        sheets: one for each candidate; canaries are not to be among them.
        pass_mark: in twentieths of a point; bonus counts towards it.
        bonus: tasks whose points do not count towards full marks.
        seed: for the intervals.
    """
    # By name, so that the order in which a database answers changes no interval.
    sheets = sorted(sheets, key=lambda sheet: sheet.candidate)
    table = _Table(sheets)
    level = _level(len(sheets))
    items = {name: _criterion(name, table) for name in table.criteria}
    tasks = {name: _task(name, table) for name in table.tasks}
    if level is not Level.COUNTS:
        items = {name: _described(item, table, (name,)) for name, item in items.items()}
        tasks = {name: _described(item, table, table.tasks[name]) for name, item in tasks.items()}
    return Statistics(
        level=level,
        exam=_exam(table, pass_mark, bonus, seed),
        tasks=tuple(tasks.values()),
        criteria=tuple(items.values()),
        seed=seed,
    )


def _level(number: int) -> Level:
    if number < MIN_CANDIDATES:
        return Level.COUNTS
    return Level.INDICATIVE if number < MIN_FULL else Level.FULL


@dataclass(frozen=True, slots=True)
class _Marks:
    """What one candidate has of one item, or of the rest."""

    earned: int
    possible: int


class _Table:
    """The sheets, and what is in them: criteria in the order in which they are met, tasks likewise."""

    def __init__(self, sheets: Sequence[Sheet]) -> None:
        self.sheets = sheets
        self.criteria: dict[str, int] = {}
        """Criterion -> the points possible."""
        task_of: dict[str, str] = {}
        # The longest first: a grade of some tasks must not decide the order of all.
        for sheet in sorted(sheets, key=lambda sheet: -len(sheet.rows)):
            for name, row in sheet.rows.items():
                self.criteria[name] = max(self.criteria.get(name, 0), row.possible)
                task_of.setdefault(name, row.task)
        self.tasks: dict[str, tuple[str, ...]] = dict.fromkeys(task_of.values(), ())
        for name, task in task_of.items():
            self.tasks[task] += (name,)
        self.task_of = task_of
        self.possible = sum(self.criteria.values())
        self._decided = {sheet.candidate: self._sum(sheet) for sheet in sheets}

    def row(self, sheet: Sheet, name: str) -> Row | None:
        """The mark for a criterion; None where it is missing. What a person has decided is decided."""
        row = sheet.rows.get(name)
        return None if row is None or (row.status.open and not row.overridden) else row

    def marks(self, sheet: Sheet, names: Iterable[str]) -> _Marks | None:
        """The sum over criteria; None where one is missing."""
        rows = [self.row(sheet, name) for name in names]
        if any(row is None for row in rows):
            return None
        found = [row for row in rows if row is not None]
        return _Marks(sum(row.earned for row in found), sum(row.possible for row in found))

    def decided(self, sheet: Sheet) -> _Marks:
        """The sum over all criteria that are decided."""
        return self._decided[sheet.candidate]

    def _sum(self, sheet: Sheet) -> _Marks:
        found = [row for name in self.criteria if (row := self.row(sheet, name)) is not None]
        return _Marks(sum(row.earned for row in found), sum(row.possible for row in found))


def _criterion(name: str, table: _Table) -> Item:
    rows = [table.row(sheet, name) for sheet in table.sheets]
    found = [row for row in rows if row is not None]
    losses = Counter(row.fingerprint for row in _losses(found) if row.fingerprint)
    ranked = sorted(losses.items(), key=lambda each: (-each[1], each[0]))
    return Item(
        id=name,
        task=table.task_of[name],
        possible=table.criteria[name],
        counts=_count(found, len(rows)),
        findings=tuple(ranked[:MAX_NAMED]),
    )


def _losses(rows: Iterable[Row]) -> Iterator[Row]:
    """Losses of their own: what is blocked was lost elsewhere."""
    return (row for row in rows if row.earned < row.possible and row.status is not Status.BLOCKED)


def _count(found: Sequence[Row], candidates: int) -> Counts:
    statuses = Counter(_standing(row) for row in found)
    return Counts(
        earned=statuses[Status.EARNED],
        partial=statuses[Status.PARTIAL],
        lost=statuses[Status.LOST],
        blocked=statuses[Status.BLOCKED],
        missing=candidates - len(found),
    )


def _standing(row: Row) -> Status:
    """Its status as its points have it: an override changes these alone."""
    if row.earned >= row.possible:
        return Status.EARNED
    if row.earned > 0:
        return Status.PARTIAL
    return Status.BLOCKED if row.status is Status.BLOCKED else Status.LOST


def _task(name: str, table: _Table) -> Item:
    counts: Counter[Status] = Counter()
    for sheet in table.sheets:
        if table.marks(sheet, table.tasks[name]) is not None:
            counts[_task_standing([sheet.rows[each] for each in table.tasks[name]])] += 1
    return Item(
        id=name,
        task=name,
        possible=sum(table.criteria[each] for each in table.tasks[name]),
        counts=Counts(
            earned=counts[Status.EARNED],
            partial=counts[Status.PARTIAL],
            lost=counts[Status.LOST],
            blocked=counts[Status.BLOCKED],
            missing=len(table.sheets) - counts.total(),
        ),
    )


def _task_standing(rows: Sequence[Row]) -> Status:
    standings = {_standing(row) for row in rows}
    if len(standings) == 1:
        return standings.pop()
    return Status.PARTIAL if any(row.earned for row in rows) else Status.LOST


def _described(item: Item, table: _Table, names: tuple[str, ...]) -> Item:
    """The item with its numbers and flags."""
    of_task = item.id == item.task and names == table.tasks.get(item.id)
    own: list[int] = []
    rest: list[float] = []
    earned = possible = 0
    for sheet in table.sheets:
        marks = table.marks(sheet, names)
        if marks is None:
            continue
        earned += marks.earned
        possible += marks.possible
        whole = table.decided(sheet)
        others = _Marks(whole.earned - marks.earned, whole.possible - marks.possible)
        of_others = table.possible - item.possible
        if others.possible and others.possible >= MIN_REST * of_others:
            own.append(marks.earned)
            rest.append(others.earned / others.possible * of_others)
    rows = [row for sheet in table.sheets for name in names if (row := table.row(sheet, name)) is not None]
    times = _times(table, names)
    item = replace(
        item,
        facility=earned / possible if possible else None,
        correlation=correlation(own, rest),
        efficiency=efficiency(own, rest),
        blocked=_share(item.counts.blocked, item.counts.decided),
        overridden=_share(sum(row.overridden for row in rows), len(rows)),
        seconds=statistics.median(times.values()) if times else None,
    )
    return replace(item, flags=tuple(_flags(item, times, of_task=of_task)))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _times(table: _Table, names: tuple[str, ...]) -> dict[str, float]:
    """Candidate -> seconds, of those for whom all were measured."""
    found = {}
    for sheet in table.sheets:
        seconds = [sheet.rows[name].seconds for name in names if name in sheet.rows]
        known = [each for each in seconds if each is not None and math.isfinite(each)]
        if known and len(known) == len(names):
            found[sheet.candidate] = sum(known)
    return found


def correlation(own: Sequence[float], rest: Sequence[float]) -> float | None:
    """Pearson's; None where either does not vary, or there are fewer than MIN_CANDIDATES pairs."""
    if len(own) < MIN_CANDIDATES or not _varies(own) or not _varies(rest):
        return None
    return max(-1.0, min(1.0, statistics.correlation(own, rest)))


def efficiency(own: Sequence[float], rest: Sequence[float]) -> float | None:
    """Covariance over the most that it could be, with both in order; None like `correlation`."""
    if len(own) < MIN_CANDIDATES or not _varies(own) or not _varies(rest):
        return None
    return statistics.covariance(own, rest) / statistics.covariance(sorted(own), sorted(rest))


def _varies(values: Sequence[float]) -> bool:
    # Shares of different wholes differ by rounding where they are equal.
    return not math.isclose(min(values), max(values), rel_tol=1e-9, abs_tol=1e-9)


# --- flags ------------------------------------------------------------------------------------------


def _flags(item: Item, times: Mapping[str, float], *, of_task: bool) -> Iterator[Flag]:
    counts, r = item.counts, item.correlation
    enough = counts.decided >= MIN_CANDIDATES
    if enough and counts.earned == counts.decided:
        yield Flag(kind=FlagKind.NOBODY_LOST)
    if enough and not counts.earned + counts.partial:
        yield Flag(kind=FlagKind.NOBODY_EARNED)
    if r is not None and r < 0:
        yield Flag(kind=FlagKind.NEGATIVE, value=r)
    elif r is not None and r < MIN_CORRELATION:
        yield Flag(kind=FlagKind.WEAK, value=r)
    if enough and item.blocked is not None and item.blocked > MAX_BLOCKED:
        yield Flag(kind=FlagKind.BLOCKED, value=item.blocked)
    if not of_task:
        yield from _one_finding(item)
        if enough and item.overridden is not None and item.overridden > MAX_OVERRIDDEN:
            yield Flag(kind=FlagKind.OVERRIDDEN, value=item.overridden)
        yield from _odd_seconds(times)


def _one_finding(item: Item) -> Iterator[Flag]:
    losses = item.counts.partial + item.counts.lost
    if losses < MIN_LOSSES or not item.findings:
        return
    fingerprint, count = item.findings[0]
    if count > MAX_ONE_FINDING * losses:
        yield Flag(kind=FlagKind.ONE_FINDING, value=count / losses, fingerprint=fingerprint)


def _odd_seconds(times: Mapping[str, float]) -> Iterator[Flag]:
    if len(times) < MIN_CANDIDATES:
        return
    middle = statistics.median(times.values())
    spread = NORMAL_MAD * statistics.median(abs(each - middle) for each in times.values())
    limit = max(middle * ODD_FACTOR, middle + ODD_DEVIATIONS * spread, middle + ODD_SECONDS)
    odd = sorted((name for name, each in times.items() if each > limit), key=lambda name: -times[name])
    if odd:
        yield Flag(kind=FlagKind.ODD_SECONDS, value=times[odd[0]], candidates=tuple(odd[:MAX_NAMED]))


# --- the exam ---------------------------------------------------------------------------------------


def _exam(table: _Table, pass_mark: int, bonus: Collection[str], seed: int) -> ExamStatistics:
    rows = [
        [marks.earned for marks in found if marks is not None]
        for sheet in table.sheets
        if None not in (found := [table.marks(sheet, names) for names in table.tasks.values()])
    ]
    rows = rows if table.tasks else []
    totals = [sum(row) for row in rows]
    possible = sum(
        table.criteria[name] for task, names in table.tasks.items() if task not in bonus for name in names
    )
    passed = sum(total >= pass_mark for total in totals)
    counts = ExamStatistics(
        possible=possible,
        pass_mark=pass_mark,
        candidates=len(table.sheets),
        complete=len(rows),
        passed=passed,
    )
    if len(rows) < MIN_CANDIDATES:
        return counts
    alpha = cronbach_alpha(rows)
    deviation = statistics.stdev(totals)
    intervals = _intervals(rows, pass_mark, seed)
    return replace(
        counts,
        mean=statistics.fmean(totals),
        mean_interval=intervals["mean"],
        median=statistics.median(totals),
        deviation=deviation,
        skewness=skewness(totals),
        alpha=alpha,
        alpha_interval=None if alpha is None else intervals["alpha"],
        # With a negative alpha the error is larger than the deviation; above 1 it cannot be.
        standard_error=None if alpha is None else deviation * math.sqrt(1 - alpha),
        pass_rate=passed / len(rows),
        pass_rate_interval=intervals["pass_rate"],
        histogram=histogram(totals, possible),
    )


def skewness(values: Sequence[float]) -> float | None:
    """k3 / k2^1.5; None where nothing varies or there are fewer than three."""
    n = len(values)
    if n < 3 or not _varies(values):
        return None
    mean = statistics.fmean(values)
    second = math.fsum((each - mean) ** 2 for each in values)
    third = math.fsum((each - mean) ** 3 for each in values)
    k2 = second / (n - 1)
    k3 = n * third / ((n - 1) * (n - 2))
    return float(k3 / k2**1.5)


def cronbach_alpha(rows: Sequence[Sequence[int]]) -> float | None:
    """Of one row for each candidate and one column for each task; None with fewer than two, or no spread."""
    items = len(rows[0]) if rows else 0
    if items < 2 or len(rows) < 2:
        return None
    spread = statistics.variance([sum(row) for row in rows])
    if not spread:
        return None
    own = math.fsum(statistics.variance(column) for column in zip(*rows, strict=True))
    return items / (items - 1) * (1 - own / spread)


def histogram(totals: Sequence[int], possible: int) -> tuple[Bin, ...]:
    """Ten bars of equal width from 0 % to full marks, and as many more of that width as bonus takes."""
    if possible <= 0 or not totals:
        return ()
    # In integers: a mark on the border of two bars is on the right side of it.
    places = Counter(max(0, total) * BINS // possible for total in totals)
    if max(totals) <= possible:  # nobody has more than full marks, which then belong to the last bar
        places[BINS - 1] += places.pop(BINS, 0)
    width = 100 / BINS
    return tuple(
        Bin(low=place * width, high=(place + 1) * width, count=places[place])
        for place in range(max(BINS, max(places) + 1))
    )


def _intervals(rows: Sequence[Sequence[int]], pass_mark: int, seed: int) -> dict[str, Interval | None]:
    """Percentiles of what candidates drawn with replacement would give."""
    import numpy as np

    marks = np.asarray(rows, dtype=np.float64)
    totals = marks.sum(axis=1)
    people, tasks = marks.shape
    # Sums of these columns are all that mean, pass rate and every variance need; they are exact integers.
    columns = np.column_stack([totals, totals**2, totals >= pass_mark, marks, marks**2])
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK // people)
    sums = np.concatenate(
        [
            np.matmul(_times_drawn(generator, min(step, RESAMPLES - done), people), columns)
            for done in range(0, RESAMPLES, step)
        ]
    )

    spread = _variance(sums[:, 0], sums[:, 1], people)
    own = _variance(sums[:, 3 : 3 + tasks], sums[:, 3 + tasks :], people).sum(axis=1)
    vary = spread > 1e-6
    alphas = tasks / max(1, tasks - 1) * (1 - own[vary] / spread[vary])
    return {
        "mean": _interval(sums[:, 0] / people),
        "pass_rate": _interval(sums[:, 2] / people),
        "alpha": _interval(alphas),
    }


def _variance(sums: Numbers, squares: Numbers, people: int) -> Numbers:
    return (squares - sums**2 / people) / (people - 1)


def _times_drawn(generator: np.random.Generator, samples: int, people: int) -> NDArray[np.int64]:
    """How often each candidate is drawn, a row for each sample."""
    import numpy as np

    drawn = generator.integers(0, people, size=(samples, people))
    drawn += np.arange(samples)[:, None] * people
    counts: NDArray[np.int64] = np.bincount(drawn.ravel(), minlength=samples * people)
    return counts.reshape(samples, people)


def _interval(values: Numbers) -> Interval | None:
    """None where all samples agree: what never varied says nothing of how much it might."""
    import numpy as np

    if not len(values) or values.min() == values.max():
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(low=float(low), high=float(high))
