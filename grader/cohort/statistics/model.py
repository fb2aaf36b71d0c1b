"""What statistics are made of, and what they are. All points are integers in twentieths of a point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.results import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate's mark for one criterion: the latest result with live overrides."""

    task: str
    status: Status
    earned: int
    possible: int
    fingerprint: str = ""
    """Of the finding to which points were lost; losses of one fingerprint look the same."""
    seconds: float | None = None
    """How long it took to grade; None where it was not measured."""
    overridden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All that one candidate was marked for."""

    candidate: str
    rows: Mapping[str, Row]
    """Criterion id -> mark. A criterion that is not in here is a missing value."""


class Level(StrEnum):
    """How much the number of candidates allows to say."""

    COUNTS = "counts"
    """Too few for anything but counts."""
    INDICATIVE = "indicative"
    FULL = "full"


class FlagKind(StrEnum):
    """What makes a criterion or a task worth a look."""

    NOBODY_LOST = "nobody-lost"
    NOBODY_EARNED = "nobody-earned"
    NEGATIVE = "negative-correlation"
    WEAK = "weak-correlation"
    BLOCKED = "often-blocked"
    ONE_FINDING = "one-finding"
    OVERRIDDEN = "often-overridden"
    ODD_SECONDS = "odd-seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One reason to look at a criterion or a task."""

    kind: FlagKind
    value: float | None = None
    """The share, correlation or seconds that raised it."""
    fingerprint: str = ""
    """The finding, for `one-finding`."""
    candidates: tuple[str, ...] = ()
    """Who is meant, where it is a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Candidates by outcome."""

    earned: int = 0
    partial: int = 0
    lost: int = 0
    blocked: int = 0
    missing: int = 0
    """Unverified, failed by the grader, or not marked at all."""

    @property
    def decided(self) -> int:
        """All but the missing ones."""
        return self.earned + self.partial + self.lost + self.blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A criterion or a task. A number is None where too few or too equal marks leave it undefined."""

    id: str
    task: str
    """The same as `id` for a task."""
    possible: int
    """Twentieths."""
    counts: Counts
    facility: float | None = None
    """Share of the points that was earned by those for whom it is decided; what is blocked earned none."""
    correlation: float | None = None
    """With the rest of the marks, without this item (corrected item-rest correlation)."""
    efficiency: float | None = None
    """Discriminative efficiency: its covariance with the rest, as a share of the most that the same marks
    could have in another order."""
    blocked: float | None = None
    """Share of the decided that was blocked by an earlier loss."""
    overridden: float | None = None
    """Share of the decided that a person has overridden."""
    seconds: float | None = None
    """Median of what was measured."""
    findings: tuple[tuple[str, int], ...] = ()
    """Fingerprints and how many lost to each, the most frequent first."""
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A bar of the histogram: candidates with `low` <= percentage < `high`; the last has both ends."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamStatistics:
    """The exam as a whole, over candidates for whom every criterion is decided. Marks in twentieths."""

    possible: int
    """Full marks, without bonus."""
    pass_mark: int
    candidates: int
    complete: int
    """Candidates for whom every criterion is decided: all that follows is about them."""
    passed: int = 0
    mean: float | None = None
    mean_interval: Interval | None = None
    median: float | None = None
    deviation: float | None = None
    """Of a sample (n - 1)."""
    skewness: float | None = None
    """Adjusted for the size of the sample, as k3 / k2^1.5."""
    alpha: float | None = None
    """Cronbach's, over tasks."""
    alpha_interval: Interval | None = None
    standard_error: float | None = None
    """Of measurement: deviation x sqrt(1 - alpha)."""
    pass_rate: float | None = None
    pass_rate_interval: Interval | None = None
    histogram: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What `compute` returns."""

    level: Level
    exam: ExamStatistics
    tasks: tuple[Item, ...]
    criteria: tuple[Item, ...]
    seed: int
    """Of the intervals."""
