"""The series on which an exam tries an alert, drawn from its rubric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.checks.prometheus.scenarios import LASTING, Alert
from grader.checks.prometheus.series import HISTORY
from grader.web import plots

if TYPE_CHECKING:
    from markupsafe import Markup

    from grader.exam.model import Criterion

SHOWN_HISTORY = HISTORY / 4
"""Seconds of the healthy past that are drawn: it is all alike."""


def alert_plots(criterion: Criterion) -> list[Markup]:
    """A drawing for each alert that a criterion tries; none for other criteria."""
    specs = dict.fromkeys(
        scenario.model_dump_json()
        for part in criterion.parts
        if isinstance(scenario := part.parameters.get("scenario"), Alert)
    )
    return [_drawn(Alert.model_validate_json(spec)) for spec in specs]


def _drawn(spec: Alert) -> Markup:
    if spec.watches == "value":
        healthy, over, under, unit = spec.good, spec.bad, spec.good, ""
    else:
        healthy, over, under = spec.threshold / spec.near / 5, spec.over, spec.under
        unit = " a second" if spec.watches == "rate" else " s"
    courses = [
        plots.Course(name=f"{_level(level)}{unit}", points=_points(healthy, level), fires=fires)
        for level, fires in ((over, True), (under, False))
    ]
    return plots.alert(spec.alert, courses, threshold=spec.threshold, unit=unit, lasting=spec.after / 60)


def _level(value: float) -> str:
    return f"{value:.3g}"


def _points(healthy: float, level: float) -> list[tuple[float, float]]:
    return [(-SHOWN_HISTORY / 60, healthy), (0, healthy), (0, level), (LASTING / 60, level)]
