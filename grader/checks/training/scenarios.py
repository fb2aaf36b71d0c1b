"""A training script run on good data, without its data, and on data with shuffled labels."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from grader.check import Deliverable, GivenFile, Names, Scenario, Seconds
from grader.checks.mlflow.logged import Logged, logged, stored_runs
from grader.checks.mlflow.stores import workspace_run_ids
from grader.checks.scripts.call import Called, call, script
from grader.errors import GraderFault
from grader.readers.table import Table, clean, read_table, shuffled, write_table
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.context import Context


class Training(Scenario):
    """How a training script is run."""

    kind: ClassVar[str] = "training"

    script: Deliverable
    """The script."""
    raw: GivenFile
    """The given data that the grader cleans, so that a broken cleaning step costs nothing here."""
    data: str
    """The path of the cleaned data."""
    target: str
    """The label column."""
    drop_duplicates: bool
    """Whether cleaning drops duplicate rows."""
    drop_blanks: bool
    """Whether cleaning drops rows with a blank."""
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    rows: Annotated[int, Field(gt=0)]
    """How many rows a logged model has to predict."""
    model_files: Names
    """File name endings of models."""
    picture_files: Names
    """File name endings of images."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One run of the script, and what it logged."""

    called: Called
    logged: tuple[Logged, ...]

    @property
    def finished(self) -> tuple[Logged, ...]:
        """Runs with status FINISHED."""
        return tuple(each for each in self.logged if each.run.finished)


def trained(context: Context, scenario: Training) -> Trained:
    """Run the script on the cleaned data."""
    return _once(context, scenario, "training")


def trained_without_data(context: Context, scenario: Training) -> Trained:
    """Run the script without the cleaned data."""
    return _once(context, scenario, "training_without_data")


def trained_on_noise(context: Context, scenario: Training) -> Trained:
    """Run the script with shuffled labels, wherever it may read labels from."""
    return _once(context, scenario, "training_shuffled")


def _once(context: Context, scenario: Training, situation: str) -> Trained:
    key = (situation, scenario)
    return context.memo.once(key, lambda: _train(context, scenario, situation))


def _train(context: Context, scenario: Training, situation: str) -> Trained:
    runtime, what = context.require_runtime(), script(context.submission, scenario.script)
    if what is None:
        raise GraderFault(f"there is no {scenario.script} to run")
    # The form of the call was found out on good data; a missing file must not change it.
    like = None if situation == "training" else trained(context, scenario).called
    limits = Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds)
    files = _files(context, scenario, situation)
    without = () if scenario.data in files else (scenario.data,)
    with (
        runtime.mlflow(situation) as server,
        runtime.cell(mlflow=server, files=files, without=without) as cell,
    ):
        before = workspace_run_ids(cell)
        called = call(
            cell,
            what,
            arguments=scenario.arguments,
            limits=limits,
            like=like,
            enough=lambda _: bool(stored_runs(server, cell, before)),
            swaps=False,
        )
        if like is None:
            context.record_call(scenario.script, called.record(what.path))
        runs = stored_runs(server, cell, before)
        if situation != "training":
            return Trained(called=called, logged=tuple(Logged(run=run) for run in runs))
        return Trained(
            called=called,
            logged=logged(
                cell,
                runs,
                roots=(server.artifacts, cell.files),
                model_files=scenario.model_files,
                picture_files=scenario.picture_files,
                sample=_sample(context, scenario),
            ),
        )


def _files(context: Context, scenario: Training, situation: str) -> dict[str, bytes]:
    """What the workspace of a situation holds besides the submission and the given data."""
    clean = cleaned(context, scenario)
    match situation:
        case "training_without_data":
            return {}
        case "training_shuffled":
            given = {path: read_table(data.read_bytes()) for path, data in context.submission.given.items()}
            labelled = {path: table for path, table in given.items() if scenario.target in table[0]}
            return {
                path: write_table(shuffled(table, scenario.target, f"{context.seed} {path}"))
                for path, table in (labelled | {scenario.data: clean}).items()
            }
        case _:
            return {scenario.data: write_table(clean)}


# --- data -----------------------------------------------------------------------------------------


def cleaned(context: Context, scenario: Training) -> Table:
    """The given data without duplicate or incomplete rows, as the scenario wants."""
    table = read_table(context.given(scenario.raw))
    return clean(table, drop_duplicates=scenario.drop_duplicates, drop_blanks=scenario.drop_blanks)


def _sample(context: Context, scenario: Training) -> Mapping[str, Any]:
    """Some rows without their labels, for a logged model to predict."""
    header, *rows = cleaned(context, scenario)
    column = header.index(scenario.target)
    chosen = random.Random(context.seed).sample(rows, min(scenario.rows, len(rows)))  # noqa: S311
    return {
        "columns": [name for name in header if name != scenario.target],
        "rows": [[float(cell) for n, cell in enumerate(row) if n != column] for row in chosen],
    }
