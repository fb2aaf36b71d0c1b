"""What a registration leaves in the model registry."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from grader.check import check
from grader.checks.mlflow.world import Stage
from grader.checks.model_registry.scenarios import Registered, Registration, registered
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.context import Context
    from grader.runtime.services.mlflow import ModelVersion


MAX_PLACES = 15
"""Decimals that count of the number in a description; no metric is known to more."""


@check("registry.version_created", evidence=Evidence.RUNS)
def version_created(context: Context, *, scenario: Registration) -> Outcome:
    """The registration script gives a registered model a new version."""
    return _judged(context, scenario, lambda seen: judge_created(seen, scenario.model))


@check("registry.source_is_best", evidence=Evidence.RUNS)
def source_is_best(context: Context, *, scenario: Registration) -> Outcome:
    """The new version comes from the experiment's run with the highest metric."""
    return _judged(context, scenario, lambda seen: judge_best(seen, scenario.model, scenario.metric))


@check("registry.stage", evidence=Evidence.RUNS)
def stage_is(context: Context, *, scenario: Registration, stage: Stage) -> Outcome:
    """The new version is in a stage.

    Args:
        stage: the stage.
    """
    return _judged(context, scenario, lambda seen: judge_stage(seen, scenario.model, stage))


@check("registry.description", evidence=Evidence.RUNS)
def description(context: Context, *, scenario: Registration, text: str) -> Outcome:
    """The version or the model has a description that begins with a text and states the best run's metric.

    Args:
        text: how the description begins; case does not matter.
    """
    return _judged(
        context,
        scenario,
        lambda seen: judge_description(seen, scenario.model, scenario.metric, text),
    )


def _judged(context: Context, scenario: Registration, judge: Callable[[Registered], Outcome]) -> Outcome:
    seen = registered(context, scenario)
    return unverified("the registration script cannot be started") if seen is None else judge(seen)


# --- judgements: pure -----------------------------------------------------------------------------


def judged(seen: Registered) -> ModelVersion | None:
    """The version to judge.

    The newest that it put into a stage. Where it staged none, one of the best run, else the newest.
    """
    staged = [version for version in seen.versions if version.stage not in ("", "None", "Archived")]
    right = [version for version in seen.versions if seen.best and seen.run_of(version) == seen.best.id]
    return next((some[-1] for some in (staged, right, list(seen.versions)) if some), None)


def judge_created(seen: Registered, model: str) -> Outcome:
    """There is a new version."""
    if seen.trained and seen.versions:
        return passed(
            Finding(message="training registers its models; the registration script started from those")
        )
    if seen.versions:
        return passed(*_remarks(seen))
    other = f"only new versions of {', '.join(seen.others)}" if seen.others else ""
    message = f"{model} has no new version"
    finding = seen.called.finding("" if not seen.called.run.ok else message, expected=f"a version of {model}")
    if not seen.called.run.ok:
        return failed(finding)
    return failed(
        Finding(
            message=message,
            expected=f"a new version of the registered model {model}",
            actual=other or "nothing was registered",
            where=seen.called.shown,
            detail=seen.called.run.tail(15),
        )
    )


def _remarks(seen: Registered) -> Iterator[Finding]:
    if not seen.called.run.ok:
        yield seen.called.finding()


def judge_best(seen: Registered, model: str, metric: str) -> Outcome:
    """The version comes from the best run."""
    version = judged(seen)
    if version is None or seen.best is None:
        return _no_version(seen, model)
    if seen.run_of(version) == seen.best.id:
        return passed()
    best = f"{seen.best.name} of {seen.best.experiment} with {metric} {seen.best.metrics[metric]:.4g}"
    return failed(
        Finding(
            message=f"version {version.version} of {model} is not from the best run",
            expected=f"the model of run {best}",
            actual=f"run {seen.run_of(version) or 'unknown'}, source {version.source}",
            where=seen.called.shown,
        )
    )


def judge_stage(seen: Registered, model: str, stage: str) -> Outcome:
    """The version is in the stage."""
    version = judged(seen)
    if version is None:
        return _no_version(seen, model)
    if version.stage == stage:
        return passed()
    aliases = f" and has the alias {', '.join(version.aliases)}" if version.aliases else ""
    shown = version.stage if version.stage not in ("", "None") else "no stage"
    message = f"version {version.version} of {model} is not in the stage {stage}"
    if not seen.called.run.ok:
        # Where it stopped stands with the version that it made.
        return failed(replace(seen.called.finding(message, expected=f"stage {stage}"), detail=""))
    return failed(
        Finding(
            message=message,
            expected=f"stage {stage}",
            actual=f"{shown}{aliases}",
            where=seen.called.shown,
        )
    )


def judge_description(seen: Registered, model: str, metric: str, text: str) -> Outcome:
    """The model, or a version of it, has the description.

    Versions without number, each with another accuracy, say nothing of the best one: besides the version that
    is judged, the newest of the best run that has any description counts.
    """
    of_best = [each for each in seen.versions if seen.best and seen.run_of(each) == seen.best.id]
    described = [each for each in of_best if each.description][-1:]
    chosen = judged(seen)
    said = [seen.model, *(each.description for each in (*([chosen] if chosen else []), *described))]
    if seen.best is None or not (seen.versions or seen.model):
        return _no_version(seen, model)
    value = seen.best.metrics[metric]
    if any(describes(each, text, value) for each in said):
        return passed()
    given = next((each for each in said if each), "")
    message = f"{model} has another description" if given else f"{model} has no description"
    stopped = "" if given or seen.called.run.ok else ", since the script stopped before"
    return failed(
        Finding(
            message=message + stopped,
            expected=f"{text}{value:.2f}",
            actual=given[:300],
            where=seen.called.shown,
        )
    )


def describes(said: str, text: str, value: float) -> bool:
    """Whether a description has the text, with the value at two decimals or more, or as a percentage."""
    words = r"\s*".join(map(re.escape, re.findall(r"\w+|[^\w\s]", text)))
    found = re.search(rf"{words}\s*(\d+(?:\.(\d+))?)\s*(%?)", said, re.IGNORECASE)
    if found is None or not math.isfinite(value):
        return False
    number, places = float(found[1]), min(len(found[2] or ""), MAX_PLACES)
    if found[3] or number > 1:
        number, places = number / 100, places + 2
    # Rounded or cut off: which of the two the exam does not say.
    cut = int(value * 10**places + 1e-6) / 10**places
    return places >= 2 and min(abs(number - round(value, places)), abs(number - cut)) < 1e-9


def _no_version(seen: Registered, model: str) -> Outcome:
    if seen.versions:
        return failed(Finding(message="the experiment has no runs left", where=seen.called.shown))
    return failed(Finding(message=f"{model} has no new version", where=seen.called.shown))


CHECKS = (version_created, source_is_best, stage_is, description)
