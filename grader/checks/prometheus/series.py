"""Made-up series for an alert's own expression: healthy for a while, then whatever a scenario says.

An expression is tried in a world of its own: every metric that it takes exists there, with labels that
its matchers accept. Counters have been counting for a week when that begins, so that what reads raw
counts instead of their rate sees hardly any change.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from grader.checks.prometheus.labels import accepts, satisfying

if TYPE_CHECKING:
    from grader.checks.prometheus.promql import Matcher, Selector

STEP = 15
"""Seconds between samples."""
HISTORY = 2400
"""Seconds of healthy history; must be longer than any honest window."""
BEFORE = 7 * 24 * 3600
"""Seconds that counters have been counting when the history begins."""
MULTIPLES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 2, 5, 10, 60, 100, 125)
"""Bounds of a histogram's buckets, in multiples of the threshold that the alert is about."""

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_RATES = frozenset({"rate", "irate", "increase"})
_COUNTERS = ("_total", "_count", "_sum", "_bucket")
_LATENCY = re.compile(r"latency|duration|second|time|_ms|millis", re.IGNORECASE)

Latencies = Mapping[float, float]
"""Seconds that a request takes -> the share of requests that take so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """What the alert watches. Levels are errors a second, latencies or the gauge's value."""

    kind: str
    """`rate`, `latency` or `value`"""
    metric: str = ""
    scale: float = 1.0
    """The level from which on it is bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an expression takes for granted and the exam does not say."""

    requests: float = 1.0
    """Requests a second; errors come in proportion, so that a ratio stays what it is."""
    unit: float = 1.0
    """How many of the metric's units are a second (1000 for milliseconds)."""
    exceptions: bool = True
    """Whether what stands only behind `unless` exists, such as a metric that tells of maintenance."""
    service: str = "service"
    """What labels say whose values are free."""


def draw_service() -> str:
    """Draw a name that no rule can know."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(4 + secrets.randbelow(6)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How the watched thing behaves."""

    healthy: float | Latencies
    then: float | Latencies
    seconds: int
    """How long it goes on after the healthy history."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series as a promtool unit test writes it."""

    metric: str
    labels: Mapping[str, str]
    values: str

    def as_test(self) -> dict[str, str]:
        """An entry of `input_series`."""
        pairs = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.labels.items())
        return {"series": f"{self.metric}{{{','.join(pairs)}}}", "values": self.values}


def series(
    selectors: Sequence[Selector], grouping: Iterable[str], signal: Signal, world: World, course: Course
) -> list[dict[str, str]]:
    """Everything that an expression with these selectors finds in a world, as `input_series`."""
    found = selectors if world.exceptions else without_exceptions(selectors, signal.metric)
    labelled = _labelled(found, frozenset(grouping), world.service)
    others = sum(1 for selector, _ in labelled if selector.metric != signal.metric and counts(selector))
    made: list[Series] = []
    for selector, labels in labelled:
        made += _series(selector, labels, _Making(signal, world, course, max(1, others), tuple(selectors)))
    unique = {(each.metric, tuple(sorted(each.labels.items()))): each for each in made}
    return [each.as_test() for each in unique.values()]


@dataclass(frozen=True, slots=True)
class _Making:
    signal: Signal
    world: World
    course: Course
    others: int
    """How many request counters share the requests."""
    selectors: tuple[Selector, ...]


def _labelled(
    selectors: Sequence[Selector], grouping: frozenset[str], service: str
) -> list[tuple[Selector, dict[str, str]]]:
    """Each selector that needs series of its own, with their labels; the most particular ones first."""
    picked = _picked(selectors, service)
    found: list[tuple[Selector, dict[str, str]]] = []
    for selector in sorted(selectors, key=lambda each: -len(each.matchers)):
        name = selector.metric or satisfying(m for m in selector.matchers if m.label == "__name__") or ""
        if not _METRIC.fullmatch(name) or any(_selects(selector, name, *other) for other in found):
            continue
        labels = _labels(selector, grouping, picked, service)
        if labels is not None:
            found.append((replace(selector, metric=name), labels))
    return found


def _selects(selector: Selector, name: str, other: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a series that is there already answers this selector too."""
    plain = (each for each in selector.matchers if each.label not in ("__name__", "le"))
    return other.metric == name and all(accepts(each, labels.get(each.label, "")) for each in plain)


def _picked(selectors: Sequence[Selector], service: str) -> dict[str, str]:
    """Values of labels that some selector asks for: other series that are joined to it need the same."""
    picked = {"job": service, "instance": f"{service}:80"}
    asked: dict[str, list[Matcher]] = {}
    for selector in selectors:
        for matcher in selector.matchers:
            asked.setdefault(matcher.label, []).append(matcher)
    for label, matchers in asked.items():
        if value := satisfying(matchers):
            picked[label] = value
    return picked


def _labels(
    selector: Selector, grouping: frozenset[str], picked: Mapping[str, str], service: str
) -> dict[str, str] | None:
    labels = {name: picked.get(name, service) for name in sorted(grouping | {"job", "instance"})}
    for name in {each.label for each in selector.matchers} - {"__name__", "le"}:
        matchers = [each for each in selector.matchers if each.label == name]
        if all(accepts(each, labels.get(name, "")) for each in matchers):
            continue
        value = picked.get(name, "")
        if not all(accepts(each, value) for each in matchers):
            value = satisfying(matchers) or ""
        if not value.isprintable() or not _LABEL.fullmatch(name):
            return None
        labels[name] = value
    return {
        name: value for name, value in labels.items() if value and name != "le" and _LABEL.fullmatch(name)
    }


def without_exceptions(selectors: Sequence[Selector], watched: str) -> list[Selector]:
    """The selectors less those of metrics that stand only behind `unless`."""
    taken = {each.metric for each in selectors if "unless" not in each.within} | {watched}
    return [each for each in selectors if each.metric in taken]


def counts(selector: Selector) -> bool:
    """Whether a selector takes a counter, by what is done with it or by its name."""
    return bool(_RATES.intersection(selector.within)) or selector.metric.endswith(_COUNTERS)


def _buckets(selector: Selector) -> bool:
    return selector.metric.endswith("_bucket") or any(each.label == "le" for each in selector.matchers)


def _series(selector: Selector, labels: dict[str, str], making: _Making) -> list[Series]:
    signal, world, name = making.signal, making.world, selector.metric

    def one(level: Callable[[float | Latencies], float], counter: bool) -> Series:
        return Series(name, labels, _values(making.course, level, counter=counter))

    match signal.kind:
        case "value" if name == signal.metric:
            return [one(_scalar, False)]
        case "rate" if name == signal.metric:
            return [one(lambda level: _scalar(level) * world.requests, True)]
        case "latency":
            return _latency_series(selector, labels, making)
    if counts(selector):
        return [one(lambda _: world.requests / making.others, True)]
    return [one(lambda _: 1.0, False)]


def _latency_series(selector: Selector, labels: dict[str, str], making: _Making) -> list[Series]:
    name, course, world = selector.metric, making.course, making.world

    def one(level: Callable[[float | Latencies], float], counter: bool, **more: str) -> Series:
        return Series(name, labels | more, _values(course, level, counter=counter))

    if _buckets(selector):
        return [
            one(partial(_bucket_rate, bound, world.requests), True, le=spelled)
            for spelled, bound in _bounds(making)
        ]
    if "histogram_quantile" in selector.within:
        return []  # a histogram has no series of its bare name
    if name.endswith("_sum"):
        return [one(lambda level: world.requests * world.unit * _mean(level), True)]
    if counts(selector):
        return [one(lambda _: world.requests, True)]
    if not _LATENCY.search(name):
        return [one(lambda _: 1.0, False)]
    share = float(labels["quantile"]) if re.fullmatch(r"[01]?\.\d{1,9}", labels.get("quantile", "")) else 0.95
    return [one(lambda level: world.unit * _quantile(level, share), False)]


def _bounds(making: _Making) -> list[tuple[str, float]]:
    """Bucket bounds as they are spelled, and in seconds; an expression's own spelling wins."""
    unit = making.world.unit
    scaled = [multiple * making.signal.scale * unit for multiple in MULTIPLES]
    spelled = {bound: f"{bound:g}" for bound in scaled} | {math.inf: "+Inf"}
    for matcher in (each for selector in making.selectors for each in selector.matchers):
        value = satisfying([matcher]) if matcher.label == "le" and matcher.operator in ("=", "=~") else None
        if value and (re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", value) or value == "+Inf"):
            spelled[float(value)] = value
    return [(text, bound / unit) for bound, text in sorted(spelled.items())]


def _scalar(level: float | Latencies) -> float:
    return level if isinstance(level, (int, float)) else 0.0


def _shares(level: float | Latencies) -> Latencies:
    return {level: 1.0} if isinstance(level, (int, float)) else level


def _share(level: float | Latencies, most: float) -> float:
    return sum(share for latency, share in _shares(level).items() if latency <= most)


def _bucket_rate(bound: float, requests: float, level: float | Latencies) -> float:
    return requests * _share(level, bound)


def _mean(level: float | Latencies) -> float:
    return sum(latency * share for latency, share in _shares(level).items())


def _quantile(level: float | Latencies, wanted: float) -> float:
    ordered = sorted(_shares(level))
    return next((latency for latency in ordered if _share(level, latency) >= wanted - 1e-9), ordered[-1])


def _values(course: Course, level: Callable[[float | Latencies], float], *, counter: bool) -> str:
    """Samples of a gauge that is at `level`, or of a counter that grows by so much a second."""
    healthy, then = level(course.healthy), level(course.then)
    before, after = HISTORY // STEP, course.seconds // STEP
    if not counter:
        return f"{healthy:.15g}+0x{before - 1} {then:.15g}+0x{after}"
    start = healthy * BEFORE
    turn = start + healthy * HISTORY
    risen, rise = turn + then * STEP, then * STEP
    return f"{start:.15g}+{healthy * STEP:.15g}x{before} {risen:.15g}+{rise:.15g}x{after - 1}"
