"""What a training script logs to MLflow."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from grader.check import Names, check
from grader.checks.mlflow import pictures
from grader.checks.training.scenarios import (
    Trained,
    Training,
    cleaned,
    trained,
    trained_on_noise,
    trained_without_data,
)
from grader.readers.table import majority_share
from grader.results import Evidence, Finding, Outcome, Thumbnail, failed, passed, unverified
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from grader.checks.mlflow.logged import Logged, Model, Picture
    from grader.context import Context

_MAX_NAMED = 12


@check("training.runs", evidence=Evidence.RUNS)
def runs(context: Context, *, scenario: Training) -> Outcome:
    """The script exits with status 0 on the cleaned data and leaves a finished run."""
    return judge_runs(trained(context, scenario))


@check("training.data", evidence=Evidence.RUNS)
def data(context: Context, *, scenario: Training) -> Outcome:
    """Without the cleaned data, the script logs no finished run with results."""
    good = trained(context, scenario)
    return judge_data(good, trained_without_data(context, scenario) if good.logged else None, scenario.data)


@check("training.param", evidence=Evidence.RUNS)
def param(context: Context, *, scenario: Training, names: Names) -> Outcome:
    """A run has a parameter with one of these names.

    Args:
        names: the accepted names.
    """
    return judge_param(trained(context, scenario), names)


def _is_a_range(given: Any) -> None:
    if given.low >= given.high:
        raise ValueError(
            f"no metric lies between {given.low:g} and {given.high:g}: low must be less than high"
        )


@check("training.metric", evidence=Evidence.RUNS, rule=_is_a_range)
def metric(context: Context, *, scenario: Training, names: Names, low: float, high: float) -> Outcome:
    """A run has a metric with one of these names and a value in the range.

    Args:
        names: the accepted names.
        low: the smallest value.
        high: the largest value.
    """
    return judge_metric(trained(context, scenario), names, low, high)


@check("training.truth", evidence=Evidence.RUNS)
def truth(
    context: Context, *, scenario: Training, names: Names, tolerance: Annotated[float, Field(gt=0, lt=0.5)]
) -> Outcome:
    """On data with shuffled labels, the metric falls to the level of guessing.

    Args:
        names: the accepted names.
        tolerance: how far above guessing it may be.
    """
    good = trained(context, scenario)
    if not values(good, names):
        return _nothing(good) or failed(_missing("metric", good, names))
    chance = majority_share(cleaned(context, scenario), scenario.target)
    return judge_truth(good, trained_on_noise(context, scenario), names, chance, tolerance)


@check("training.model", evidence=Evidence.RUNS)
def model(context: Context, *, scenario: Training, estimator: str) -> Outcome:
    """A logged model is of a given class, alone or at the end of a pipeline.

    Args:
        estimator: the class's name.
    """
    return judge_model(trained(context, scenario), estimator)


@check("training.artifact", evidence=Evidence.RUNS)
def artifact(context: Context, *, scenario: Training, through_mlflow: bool) -> Outcome:
    """A logged model loads and predicts.

    Args:
        through_mlflow: whether MLflow itself must be able to load it.
    """
    return judge_artifact(trained(context, scenario), through_mlflow=through_mlflow)


@check("training.picture", evidence=Evidence.RUNS)
def picture(
    context: Context, *, scenario: Training, shows: str, words: Names, other_words: tuple[str, ...]
) -> Outcome:
    """A valid image is among the artifacts, and its name does not suggest other content.

    Args:
        shows: what the image must show, for findings: `confusion matrix`.
        words: words in a file name that suggest the right content.
        other_words: words that suggest other content.
    """
    return judge_picture(trained(context, scenario), shows, words, other_words)


# --- judgements: pure -----------------------------------------------------------------------------


def judge_runs(good: Trained) -> Outcome:
    """The script exits with status 0, and left a finished run."""
    called = good.called
    cause = "" if good.logged else _NO_RUN
    if not called.run.ok:
        return failed(called.finding(), cause=cause)
    if good.finished:
        store = good.finished[0].run.store
        if any(each.run.store != store for each in good.finished) or store == "tracking server":
            return passed()
        return passed(Finding(message=f"the run was logged to {store} in the workspace", where=called.shown))
    if good.logged:
        states = ", ".join(f"{each.where}: {each.run.status}" for each in good.logged[:_MAX_NAMED])
        return failed(
            Finding(
                message="none of the logged runs is finished",
                expected="a run with status FINISHED",
                actual=states,
                where=called.shown,
            )
        )
    return failed(
        Finding(
            message="the script succeeded but logged no run",
            expected="a run on the tracking server that MLFLOW_TRACKING_URI names",
            actual="no run there, nor in a local store",
            where=called.shown,
            detail=called.run.tail(15),
        ),
        cause=cause,
    )


def judge_data(good: Trained, without: Trained | None, path: str) -> Outcome:
    """There are no results without the data; only a script that has some with them can show that."""
    if without is None:
        return _nothing(good) or failed(good.called.finding())
    other = next((own for own, given in good.called.overridden.items() if given == path), None)
    if other is not None:
        return failed(
            Finding(
                message="by itself the script looks for other data; it was told where to look",
                expected=path,
                actual=other,
                where=good.called.shown,
            )
        )
    made_up = next((each for each in without.finished if each.run.metrics), None)
    if made_up is None:
        return passed()
    return failed(
        Finding(
            message=f"without {path} the script still logged a finished run, so it gets its data elsewhere",
            expected=f"an error when {path} is missing",
            actual=f"{made_up.where} with {_some(made_up.run.metrics)}",
            where=without.called.shown,
        )
    )


def judge_param(good: Trained, names: Sequence[str]) -> Outcome:
    """Any run has the parameter, under its own name or as part of a pipeline."""
    if any(_last(name) in names for each in good.logged for name in each.run.params):
        return passed()
    return _nothing(good) or failed(_missing("param", good, names))


def _last(name: str) -> str:
    """A parameter's own name: scikit-learn says `forest__max_depth`, others `model.max_depth`."""
    return re.split(r"__|[./]", name)[-1]


def judge_metric(good: Trained, names: Sequence[str], low: float, high: float) -> Outcome:
    """Any run has the metric, in the range."""
    found = values(good, names)
    if any(low <= value <= high for value in found):
        return passed()
    if not found:
        return _nothing(good) or failed(_missing("metric", good, names))
    return failed(
        Finding(
            message=f"the metric {names[0]} is not a number from {low:g} to {high:g}",
            expected=f"{low:g} to {high:g}",
            actual=", ".join(f"{value:g}" for value in found[:_MAX_NAMED]),
            where=good.called.shown,
        )
    )


def values(logged: Trained, names: Sequence[str]) -> list[float]:
    """The metric in every run that has it, under the first of its names that the run knows."""
    found = []
    for each in logged.logged:
        name = next((name for name in names if name in each.run.metrics), None)
        if name is not None:
            found.append(each.run.metrics[name])
    return found


def judge_truth(
    good: Trained, noise: Trained, names: Sequence[str], chance: float, tolerance: float
) -> Outcome:
    """The middle one of the runs' values on noise is no better than guessing, and worse than on good data."""
    on_good, on_noise = (sorted(map(_share, values(each, names))) for each in (good, noise))
    if not on_noise:
        return _no_value_on_noise(noise, names)
    middle = on_noise[len(on_noise) // 2]
    # Written so that a NaN fails.
    if middle <= chance + tolerance and middle < on_good[-1]:
        return passed()
    return failed(
        Finding(
            message=f"{names[0]} stays at {middle:.3f} with shuffled labels: the model has seen these"
            " rows or their labels before, or nothing was measured",
            expected=f"about {chance:.2f}, the level of guessing",
            actual=f"{middle:.3f} with shuffled labels, {on_good[-1]:.3f} with the true ones",
            where=noise.called.shown,
        )
    )


def _no_value_on_noise(noise: Trained, names: Sequence[str]) -> Outcome:
    """A script that refuses to log a poor model says nothing untrue; one that was stopped says nothing."""
    called = noise.called
    if called.run.ended is Ended.EXITED:
        return passed(
            Finding(
                message=f"with shuffled labels the script logs no {names[0]}, hence no false one",
                where=called.shown,
            )
        )
    return failed(called.finding(f"with shuffled labels the script did not get as far as logging {names[0]}"))


def _share(value: float) -> float:
    """A percentage as a share: that it is none of the asked range is another criterion's loss."""
    return value / 100 if 1 < value <= 100 else value


def judge_model(good: Trained, estimator: str) -> Outcome:
    """The innermost estimator of a loaded model is of the class."""
    loaded = [(each, model) for each, model in _models(good) if model.loads]
    if any(model.estimators and estimator in model.estimators[-1] for _, model in loaded):
        return passed()
    if loaded:
        each, model = loaded[0]
        kinds = " > ".join(names[0] for names in model.estimators if names) or "unknown"
        return failed(
            Finding(
                message=f"the logged model is not a {estimator}",
                expected=estimator,
                actual=kinds,
                where=f"{each.where}, {model.path}",
            )
        )
    if (foreign := _foreign(good)) is not None:
        each, model = foreign
        return failed(
            Finding(
                message=f"the logged model is not a {estimator}",
                expected=estimator,
                actual=f"a model of MLflow's flavor {model.flavor}",
                where=f"{each.where}, {model.path}",
            )
        )
    return _no_model(good)


def judge_artifact(good: Trained, *, through_mlflow: bool) -> Outcome:
    """A model predicts and, if required, MLflow itself can load it."""
    working = [model for _, model in _models(good) if model.loads and model.predicts]
    if any(model.mlflow or not through_mlflow for model in working):
        return passed()
    if not working:
        return _no_model(good)
    return failed(
        Finding(
            message="the model is logged as a bare file, which MLflow cannot load",
            expected="a logged MLflow model, with its MLmodel file",
            actual=working[0].path,
            where=good.called.shown,
        )
    )


def _no_model(good: Trained) -> Outcome:
    """The finding where no model does what is required."""
    broken = next(iter(_models(good)), None)
    if broken is None:
        stopped = not good.called.run.ok
        return _nothing(good) or failed(
            Finding(
                message="the script stopped before a model was logged" if stopped else "no model was logged",
                expected="a logged model",
                where=good.called.finding().where if stopped else good.logged[0].where,
            )
        )
    if (foreign := _foreign(good)) is not None:
        each, model = foreign
        return unverified(
            f"only its own library can say whether a model of MLflow's flavor {model.flavor} predicts",
            detail=f"{each.where}, {model.path}",
        )
    each, model = broken
    if not model.confirmed:
        return failed(
            Finding(
                message="nothing but the model's own code says that it can predict",
                expected="a model that is or contains a fitted scikit-learn estimator",
                actual=model.error,
                where=f"{each.where}, {model.path}",
            )
        )
    what = "predict" if model.loads else "be loaded"
    return failed(
        Finding(
            message=f"the logged model cannot {what}",
            expected="a model that loads and predicts in the script's environment",
            actual=model.error,
            where=f"{each.where}, {model.path}",
        )
    )


def judge_picture(good: Trained, shows: str, words: Sequence[str], other_words: Sequence[str]) -> Outcome:
    """An artifact is a valid image, with a suitable or at least neutral name."""
    found = [picture for each in good.logged for picture in each.pictures]
    named = [picture for picture in found if pictures.says(picture.path, words)]
    unclear = [picture for picture in found if not pictures.says(picture.path, other_words)]
    candidates = named or unclear
    valid = next((picture for picture in candidates if not picture.problem), None)
    if valid is not None:
        return replace(passed(), thumbnails=_thumbnails(valid))
    if candidates:
        lost = failed(
            Finding(
                message=f"{candidates[0].path} is not a valid image: {candidates[0].problem}",
                expected=f"an image of the {shows}",
                where=candidates[0].path,
            )
        )
        return replace(lost, thumbnails=_thumbnails(candidates[0]))
    return _nothing(good) or failed(
        Finding(
            message=f"no image of a {shows} is among the artifacts",
            expected=f"an image file such as {shows.replace(' ', '_')}.png",
            actual=", ".join(picture.path for picture in found[:_MAX_NAMED]) or "no image at all",
            where=good.called.shown,
        )
    )


def _thumbnails(picture: Picture) -> tuple[Thumbnail, ...]:
    return (Thumbnail(name=picture.path, png=picture.thumbnail),) if picture.thumbnail else ()


# --- words ----------------------------------------------------------------------------------------


def _nothing(good: Trained) -> Outcome | None:
    """There is no run at all, which is one mistake."""
    if good.logged:
        return None
    where = good.called.finding().where
    return failed(Finding(message=_NO_RUN, where=where), cause=_NO_RUN)


_NO_RUN = "the script logged no run"


def _missing(kind: str, good: Trained, names: Sequence[str]) -> Finding:
    """The finding for a name that no run has."""
    held = [(each, [*(each.run.params if kind == "param" else each.run.metrics)]) for each in good.logged]
    where, have = max(((each.where, names) for each, names in held), key=lambda pair: len(pair[1]))
    return Finding(
        message=f"{names[0]} is not among the logged {kind}s",
        expected=" or ".join(names),
        actual=_some(have) or f"no {kind}s at all",
        where=where,
    )


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:_MAX_NAMED])


def _foreign(good: Trained) -> tuple[Logged, Model] | None:
    """A model that loads and predicts by its own account, of a flavor that the grader cannot look into."""
    return next((pair for pair in _models(good) if pair[1].flavor and not pair[1].confirmed), None)


def _models(good: Trained) -> list[tuple[Logged, Model]]:
    return [(each, model) for each in good.logged for model in each.models]


CHECKS = (runs, data, param, metric, truth, model, artifact, picture)
