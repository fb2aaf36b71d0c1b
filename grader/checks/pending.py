"""Checks that are named and parametrised but do not run yet: they say so, and cost nobody a point.

`how` says what is seeded and what the script is given.
"""

# ruff: noqa: ARG001  (the parameters are what rubrics already give them)

from __future__ import annotations

from typing import Any

from grader.checks.context import Context
from grader.checks.registry import check
from grader.results import Evidence, Outcome, unverified


def _not_yet(what: str) -> Outcome:
    return unverified(f"this grader cannot run the {what} yet")


@check("registry.version_created", evidence=Evidence.RUNS)
def version_created(
    context: Context, *, file: str, how: dict[str, Any], model: str, experiment: str
) -> Outcome:
    """The registration script gives a registered model a new version."""
    return _not_yet("registration")


@check("registry.source_is_best", evidence=Evidence.RUNS)
def source_is_best(
    context: Context, *, file: str, how: dict[str, Any], model: str, experiment: str, metric: str
) -> Outcome:
    """The new version's source is the run of the experiment with the highest metric."""
    return _not_yet("registration")


@check("registry.stage", evidence=Evidence.RUNS)
def stage_is(
    context: Context, *, file: str, how: dict[str, Any], model: str, experiment: str, stage: str
) -> Outcome:
    """The new version is in a stage."""
    return _not_yet("registration")


@check("registry.description", evidence=Evidence.RUNS)
def description(
    context: Context, *, file: str, how: dict[str, Any], model: str, experiment: str, metric: str, text: str
) -> Outcome:
    """The version or the model has a description that begins so and gives the best run's metric."""
    return _not_yet("registration")


@check("tests.pass", evidence=Evidence.RUNS)
def suite_passes(context: Context, *, file: str) -> Outcome:
    """pytest collects at least one test of the file, and all of them pass."""
    return _not_yet("tests")


@check("tests.pass_without_model", evidence=Evidence.RUNS)
def suite_passes_without_model(context: Context, *, file: str, without: list[str]) -> Outcome:
    """The tests pass and skip nothing where there is no model file and no tracking server."""
    return _not_yet("tests")


@check("tests.notice", evidence=Evidence.RUNS)
def suite_notices(
    context: Context, *, file: str, api: str, path: str, answered: int, instead: list[int], drop: str = ""
) -> Outcome:
    """A test that passed fails when answers of one status get each of others, or lack a key, instead."""
    return _not_yet("tests")


@check("batch.registry", evidence=Evidence.RUNS)
def batch_registry(context: Context, *, file: str, how: dict[str, Any], model: str, stage: str) -> Outcome:
    """The predictions are those of the registered model's version in a stage."""
    return _not_yet("batch scoring")


@check("batch.rows", evidence=Evidence.RUNS)
def batch_rows(context: Context, *, file: str, how: dict[str, Any], model: str, prediction: str) -> Outcome:
    """Every input row is scored once, with the prediction of the model that was loaded."""
    return _not_yet("batch scoring")


@check("batch.columns", evidence=Evidence.RUNS)
def batch_columns(
    context: Context, *, file: str, how: dict[str, Any], model: str, prediction: str, time: str
) -> Outcome:
    """The output has a column of predictions and one of times."""
    return _not_yet("batch scoring")


@check("batch.output", evidence=Evidence.RUNS)
def batch_output(context: Context, *, file: str, how: dict[str, Any], model: str) -> Outcome:
    """The result is a CSV file that keeps the input's columns."""
    return _not_yet("batch scoring")


CHECKS = (
    version_created,
    source_is_best,
    stage_is,
    description,
    suite_passes,
    suite_passes_without_model,
    suite_notices,
    batch_registry,
    batch_rows,
    batch_columns,
    batch_output,
)
