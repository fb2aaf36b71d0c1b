"""What an alert should do, and the scenarios that test it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from grader.check import Deliverable, Scenario
from grader.checks.prometheus import promql
from grader.checks.prometheus import series as alert_series
from grader.checks.prometheus.promtool import Question, Trial, after
from grader.checks.prometheus.series import HISTORY, STEP, Course, Latencies, Signal, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LASTING = 1800
"""Seconds for which a lasting state lasts: longer than any honest window and `for` together."""
AT_ALL = 100
"""How many times the threshold, and how many times its duration, a state lasts that any alert must notice."""
_TELLS_UNIT = re.compile(r"second|_s(?:_|$)|milli|_ms(?:_|$)", re.IGNORECASE)
_MILLISECONDS = re.compile(r"milli|_ms(?:_|$)", re.IGNORECASE)


class Alert(Scenario):
    """What the exam asks of one alert, which is tested on series made for its expression."""

    kind: ClassVar[str] = "alert"

    file: Deliverable
    """The alert rules file."""
    alert: str
    """Its name."""
    watches: Literal["rate", "latency", "value"]
    """What it watches: errors per second, a latency quantile, or a gauge."""
    metric: str = ""
    """The counter or gauge that it watches; empty for a latency, whose name is free."""
    threshold: Annotated[float, Field(ge=0)]
    """The errors per second, seconds or gauge value beyond which things are bad."""
    duration: str
    """How long the bad state must last, as a Prometheus duration: `5m`."""
    near: Annotated[float, Field(gt=1)] = 1.5
    """Factor by which a lasting state is above or below the threshold."""
    far: Annotated[float, Field(gt=1)] = 4.0
    """The same for an expression that divides by several counters, so that its results differ."""
    burst: Annotated[float, Field(gt=1)] = 40.0
    """Factor for a state that every window notices at once."""
    slack: Annotated[float, Field(ge=0)] = 180.0
    """Extra seconds that an alert may take, for windows and evaluation."""
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Of latencies."""
    good: float = 1.0
    """A good value of a gauge."""
    bad: float = 0.0
    """A bad value of a gauge."""

    @field_validator("duration")
    @classmethod
    def _is_a_duration(cls, value: str) -> str:
        if promql.seconds(value) is None:
            raise ValueError(f"{value!r} is not a Prometheus duration; write 5m, 90s or 1h30m")
        return value

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.watches != "latency" and not self.metric:
            raise ValueError(f"an alert on a {self.watches} needs a metric")
        if self.watches == "value" and self.good == self.bad:
            raise ValueError("the good and the bad value must differ, or no alert can tell them apart")
        if self.watches == "value" and not min(self.good, self.bad) <= self.threshold <= max(
            self.good, self.bad
        ):
            raise ValueError(
                f"no alert on {self.threshold:g} can tell {self.good:g} (good) from {self.bad:g} (bad): "
                "the threshold lies between them, or is one of them"
            )
        if self.watches != "value" and not self.threshold:
            raise ValueError(f"a {self.watches} is never below 0, so the threshold must be above 0")
        return self

    @property
    def after(self) -> float:
        """Seconds that the bad state must last."""
        return promql.seconds(self.duration) or 0.0

    @property
    def over(self) -> float:
        """A level well above the threshold."""
        return self.threshold * self.near

    @property
    def under(self) -> float:
        """A level well below the threshold."""
        return self.threshold / self.near

    @property
    def slow(self) -> float:
        """A share of slow requests that the quantile notices."""
        return 1 - self.quantile + min(0.02, (1 - self.quantile) / 2)

    @property
    def rare(self) -> float:
        """A share of slow requests that a higher quantile would notice."""
        return 1 - self.quantile - min(0.02, (1 - self.quantile) / 2)

    @property
    def signal(self) -> Signal:
        """What is watched."""
        return Signal(kind=self.watches, metric=self.metric, scale=self.threshold)


def worlds(spec: Alert, selectors: Sequence[promql.Selector], *, any_unit: bool = False) -> tuple[World, ...]:
    """The worlds in which an expression may be meant; it has to be right in one of them."""
    found = tuple(_usual(spec, selectors, any_unit=any_unit))
    if len(alert_series.without_exceptions(selectors, spec.metric)) < len(selectors):
        found += tuple(replace(world, exceptions=False) for world in found)
    return found


def _usual(spec: Alert, selectors: Sequence[promql.Selector], *, any_unit: bool) -> Iterator[World]:
    counters = [each for each in selectors if each.metric != spec.metric and alert_series.counts(each)]
    match spec.watches:
        case "latency":
            names = " ".join(each.metric for each in selectors)
            told = _TELLS_UNIT.search(names) is not None and not any_unit
            units = (1000.0 if _MILLISECONDS.search(names) else 1.0,) if told else (1.0, 1000.0)
            yield from (World(requests=100, unit=unit) for unit in units)
        case "rate" if counters:
            yield from (World(), World(requests=100))
        case _:
            yield World()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A rule with all that it takes to try it."""

    rules: str
    """Its rule file."""
    selectors: tuple[promql.Selector, ...]
    grouping: frozenset[str]
    service: str = "service"
    """See `World`."""


def scenarios(spec: Alert, tried: Tried, world: World) -> list[Trial]:
    """What tells whether an alert fires (`lasting` 0, `burst` 1) and stays quiet (`burst` 0, `under` 0)."""
    courses = _courses(spec, tried)
    late = after(spec.after + 2 * STEP + spec.slack)
    early = after(spec.after - 1)
    asked = {
        "lasting": (Question(HISTORY + LASTING, ever=False, expected=True),),
        "burst": (
            Question(early, ever=True, expected=False),
            Question(late, ever=False, expected=True),
        ),
        "under": (Question(HISTORY + LASTING, ever=True, expected=False),),
    }
    return [_scenario(name, asked[name], course, spec, tried, world) for name, course in courses.items()]


def at_all_scenario(spec: Alert, tried: Tried, world: World) -> Trial:
    """Whether an alert fires at all (`at all` 0): late, or only when things are far worse than asked."""
    seconds = int(AT_ALL * spec.after + spec.slack) + LASTING
    healthy, then = spec.threshold / spec.near / 5, spec.over * AT_ALL
    if spec.watches == "value":
        healthy, then = spec.good, spec.bad
    course = Course(healthy=healthy, then=then, seconds=seconds)
    question = Question(HISTORY + seconds, ever=True, expected=True)
    return _scenario("at all", (question,), course, spec, tried, world)


def quantile_scenarios(spec: Alert, tried: Tried, world: World) -> list[Trial]:
    """What tells the wanted quantile (`slow` 0, `few` 0) from a higher one, a lower one and the mean."""
    fast: Latencies = {spec.threshold / 25: 1.0}
    slow: Latencies = {spec.threshold / 25: 1 - spec.slow, spec.threshold * 4: spec.slow}
    rare: Latencies = {spec.threshold / 25: 1 - spec.rare, spec.threshold * 50: spec.rare}
    end = HISTORY + LASTING
    up = Course(healthy=fast, then=slow, seconds=LASTING)
    down = Course(healthy=fast, then=rare, seconds=LASTING)
    return [
        _scenario("slow", (Question(end, ever=False, expected=True),), up, spec, tried, world),
        _scenario("few", (Question(end, ever=True, expected=False),), down, spec, tried, world),
    ]


def _courses(spec: Alert, tried: Tried) -> dict[str, Course]:
    if spec.watches == "value":
        bad = Course(healthy=spec.good, then=spec.bad, seconds=LASTING)
        good = Course(healthy=spec.good, then=spec.good, seconds=LASTING)
        return {"lasting": bad, "burst": bad, "under": good}
    counters = {each.metric for each in tried.selectors if alert_series.counts(each)} - {spec.metric}
    factor = spec.far if spec.watches == "rate" and len(counters) > 1 else spec.near
    healthy = spec.threshold / spec.near / 5
    levels = {"lasting": factor, "burst": spec.burst, "under": 1 / factor}
    return {
        name: Course(healthy=healthy, then=spec.threshold * level, seconds=LASTING)
        for name, level in levels.items()
    }


def _scenario(
    name: str, questions: tuple[Question, ...], course: Course, spec: Alert, tried: Tried, world: World
) -> Trial:
    there = replace(world, service=tried.service)
    made = alert_series.series(tried.selectors, tried.grouping, spec.signal, there, course)
    return Trial(name=name, rules=tried.rules, series=made, questions=questions)
