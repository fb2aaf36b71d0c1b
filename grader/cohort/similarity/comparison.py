"""From readings to pairs.

Fingerprints that come with the exam, or that a quarter of the cohort has, say nothing and are taken out; of
what is left, what few have weighs more. An inverted index names the pairs that share something rare, so the
cost grows with the cohort and not with its square; only these are compared in full.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from grader.cohort.similarity.matching import blocks_of
from grader.cohort.similarity.model import Pair, Reason, Similarity, Trace, Work
from grader.cohort.similarity.reading import Given, Reading, read_all, read_given

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

THRESHOLD = 0.3
"""Pairs below it are left out. Of whole submissions of the bundled exam, independent ones are below 0.1,
disguised copies above 0.85, and those that took one program above 0.55 (`benchmarks/similarity.py`)."""
MIN_COMMON = 5
COMMON_SHARE = 0.25
"""What so many of the cohort have, at least MIN_COMMON of them, is everybody's."""
MIN_SHARED = 6
"""Fingerprints that a pair, or two files, must share to be alike in text."""
DAMPING = 8.0
"""A file's share counts in full only where much is shared: x / (x + DAMPING)."""
MAX_POSTING = 24
"""Of a fingerprint that more have, each is paired with a neighbour only."""
MAX_CANDIDATES = 20
"""Pairs for each submission that are compared in full."""
MOST = 0.5
MAX_PAIRS = 200
MAX_REASONS = 12
MIN_PARALLEL = 40
"""Fewer submissions are read sooner in this process than in others."""
STRENGTH = {Trace.RUN: 0.9, Trace.EMAIL: 0.9, Trace.HOME: 0.8, Trace.OUTPUT: 0.5, Trace.FILE: 0.4}
"""What a pair's score is at least, with such a trace."""


def compute(
    works: Iterable[Work],
    *,
    subtract: Sequence[Path] = (),
    threshold: float = THRESHOLD,
    max_pairs: int = MAX_PAIRS,
    jobs: int = 0,
) -> Similarity:
    """Compare submissions.

    Args:
        works: this cohort's and earlier ones'; names are unique.
        subtract: files and folders that come with the exam: starter, reference solution, given data.
        threshold: pairs with a lower score are left out.
        max_pairs: how many are kept.
        jobs: processes that read; 0: as many as there are cores.
    """
    works = sorted(works, key=lambda work: work.name)
    cores = jobs or len(os.sched_getaffinity(0))
    readings = read_all(works, cores if len(works) >= MIN_PARALLEL or jobs > 1 else 1)
    return compare(works, readings, read_given(subtract), threshold=threshold, max_pairs=max_pairs)


def compare(
    works: Sequence[Work],
    readings: Sequence[Reading],
    given: Given,
    *,
    threshold: float = THRESHOLD,
    max_pairs: int = MAX_PAIRS,
) -> Similarity:
    """The same of submissions that have been read, in the same order."""
    cohort = _Cohort(works, readings, given)
    pairs = [pair for pair in cohort.pairs() if pair.score >= threshold]
    pairs.sort(key=lambda pair: (-pair.score, pair.left, pair.right))
    kept = [cohort.detailed(pair) for pair in pairs[:max_pairs]]
    return Similarity(
        works=sum(not work.earlier for work in works),
        earlier=sum(work.earlier for work in works),
        files=sum(len(reading.paths) for reading in readings),
        pairs=tuple(kept),
        more_pairs=len(pairs) - len(kept),
        mostly_shared=tuple(cohort.mostly_shared),
        skipped=tuple(skipped for reading in readings for skipped in reading.skipped),
    )


@dataclass(frozen=True, slots=True)
class _Own:
    """What is left of a submission once everybody's is taken out."""

    weights: dict[int, float]
    """Hash -> weight."""
    files: dict[int, tuple[int, ...]]
    """Hash -> the files in which it is."""
    total: float
    by_file: dict[int, float]
    """File -> the weight of its hashes."""


class _Cohort:
    def __init__(self, works: Sequence[Work], readings: Sequence[Reading], given: Given) -> None:
        self.readings = readings
        self.earlier = [work.earlier for work in works]
        self.places = {reading.name: place for place, reading in enumerate(readings)}
        of_now = self.earlier.count(False)
        self.common_from = max(MIN_COMMON, math.ceil(COMMON_SHARE * of_now))
        self.given = given
        found = [frozenset(reading.hashes.tolist()) - given.hashes for reading in readings]
        self.frequency = Counter(each for some in found for each in some)
        now: Counter[int] = Counter()
        for place, some in enumerate(found):
            if not self.earlier[place]:
                now.update(some)
        self.common = {each for each, count in now.items() if count >= self.common_from}
        self.own = [self._own(reading, some) for reading, some in zip(readings, found, strict=True)]
        self.mostly_shared = [
            reading.name
            for reading, some, own in zip(readings, found, self.own, strict=True)
            if len(some) >= MIN_SHARED and len(own.weights) < (1 - MOST) * len(some)
        ]

    def _own(self, reading: Reading, found: frozenset[int]) -> _Own:
        weights = {each: self._weight(each) for each in found if each not in self.common}
        files: dict[int, set[int]] = defaultdict(set)
        for each, file in zip(reading.hashes.tolist(), reading.files.tolist(), strict=True):
            if each in weights:
                files[each].add(file)
        by_file: Counter[int] = Counter()
        for each, places in files.items():
            for place in places:
                by_file[place] += weights[each]  # type: ignore[assignment]
        return _Own(
            weights,
            {each: tuple(sorted(places)) for each, places in files.items()},
            math.fsum(weights.values()),
            dict(by_file),
        )

    def _weight(self, fingerprint: int) -> float:
        """1 for what one has, towards 0 for what nearly enough have for it to be everybody's."""
        count = min(self.frequency[fingerprint], self.common_from)
        return 1 - math.log(count) / math.log(self.common_from + 1)

    # --- which pairs ------------------------------------------------------------------------------

    def pairs(self) -> Iterable[Pair]:
        """Every pair that shares a trace, or enough that is rare."""
        reasons = self._reasons()
        for left, right in sorted(reasons.keys() | self._candidates()):
            found = reasons.get((left, right), [])
            score, whole = self.score(left, right)
            yield Pair(
                left=self.readings[left].name,
                right=self.readings[right].name,
                score=max([score, *(STRENGTH[reason.trace] for reason in found)]),
                whole=whole,
                reasons=tuple(found[:MAX_REASONS]),
            )

    def _candidates(self) -> set[tuple[int, int]]:
        postings: dict[int, list[int]] = defaultdict(list)
        for place, own in enumerate(self.own):
            for each in own.weights:
                if self.frequency[each] > 1:
                    postings[each].append(place)
        shared: Counter[tuple[int, int]] = Counter()
        for places in postings.values():
            shared.update(self._paired(places))
        best: dict[int, list[tuple[int, tuple[int, int]]]] = defaultdict(list)
        for pair, count in shared.items():
            for place in pair:
                best[place].append((count, pair))
        return {
            pair
            for found in best.values()
            for count, pair in sorted(found, reverse=True)[:MAX_CANDIDATES]
            if count >= 2
        }

    def _paired(self, places: Sequence[int]) -> Iterable[tuple[int, int]]:
        """Pairs of those who have something: all, or of many each with the next one."""
        found = combinations(places, 2) if len(places) <= MAX_POSTING else pairwise(places)
        return (pair for pair in found if not (self.earlier[pair[0]] and self.earlier[pair[1]]))

    # --- how alike --------------------------------------------------------------------------------

    def score(self, left: int, right: int) -> tuple[float, float]:
        """How alike in text: the larger share, of the smaller work or of one file, and that of the work."""
        small, large = sorted((self.own[left], self.own[right]), key=lambda own: own.total)
        both = small.weights.keys() & large.weights.keys()
        if len(both) < MIN_SHARED:
            return 0.0, 0.0
        whole = _damped(len(both)) * math.fsum(small.weights[each] for each in both) / small.total
        shared: dict[tuple[int, int], list[float]] = defaultdict(list)
        for each in both:
            for one in small.files[each]:
                for other in large.files[each]:
                    shared[one, other].append(small.weights[each])
        best = 0.0
        for (one, other), weights in shared.items():
            if len(weights) >= MIN_SHARED:
                smaller = min(small.by_file[one], large.by_file[other])
                best = max(best, _damped(len(weights)) * min(1.0, math.fsum(weights) / smaller))
        return max(whole, best), whole

    def _reasons(self) -> dict[tuple[int, int], list[Reason]]:
        """Pair -> the traces that both have and few others."""
        holders: dict[tuple[Trace, str], list[int]] = defaultdict(list)
        for place, reading in enumerate(self.readings):
            for each in reading.traces.keys() - self.given.traces:
                holders[each].append(place)
        found: dict[tuple[int, int], list[Reason]] = defaultdict(list)
        for key, places in holders.items():
            trace, value = key
            if sum(not self.earlier[place] for place in places) >= self.common_from:
                continue
            for left, right in self._paired(places):
                one, other = (self.readings[place].traces[key] for place in (left, right))
                if one or other:
                    shown = (one or other) if trace is Trace.FILE else value
                    found[left, right].append(Reason(trace=trace, value=shown, left=one, right=other))
        for reasons in found.values():
            reasons.sort(key=lambda reason: (-STRENGTH[reason.trace], reason.left, reason.value))
        return found

    def detailed(self, pair: Pair) -> Pair:
        """The pair with its blocks, an earlier cohort's on the right."""
        left, right = self.places[pair.left], self.places[pair.right]
        both = self.own[left].weights.keys() & self.own[right].weights.keys()
        if self.earlier[left]:
            left, right = right, left
        blocks, more = blocks_of(self.readings[left], self.readings[right], both)
        turned = pair.left != self.readings[left].name
        return Pair(
            left=self.readings[left].name,
            right=self.readings[right].name,
            score=pair.score,
            whole=pair.whole,
            reasons=tuple(map(_turned, pair.reasons)) if turned else pair.reasons,
            blocks=blocks,
            more_blocks=more,
        )


def _turned(reason: Reason) -> Reason:
    return Reason(trace=reason.trace, value=reason.value, left=reason.right, right=reason.left)


def _damped(count: int) -> float:
    return count / (count + DAMPING)
