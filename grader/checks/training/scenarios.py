"""A training script run on good data, without its data, and on data whose labels mean nothing."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from grader.checks.mlflow.logged import Logged, logged, stored_runs
from grader.checks.mlflow.stores import workspace_runs
from grader.checks.scripts.call import Called, call, script
from grader.errors import GraderFault
from grader.readers.table import Table, clean, read_table, shuffled, write_table
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.context import Context


class Training(TypedDict):
    """How a training script is run; the same mapping for every check, so that they share its runs."""

    raw: str
    """The given data that the grader cleans, so that a broken cleaning costs nothing here."""
    data: str
    """Where the cleaned data belong."""
    target: str
    drop_duplicates: bool
    drop_blanks: bool
    arguments: dict[str, str]
    """Values for the script's parameters, by words that name a parameter."""
    rows: int
    """How many rows a logged model is asked to predict."""
    model_files: list[str]
    picture_files: list[str]
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One run of the script, and what it logged."""

    called: Called
    logged: tuple[Logged, ...]

    @property
    def finished(self) -> tuple[Logged, ...]:
        """Runs that ended well."""
        return tuple(each for each in self.logged if each.run.finished)


def trained(context: Context, file: str, how: Training) -> Trained:
    """The script on the cleaned data."""
    return _once(context, file, how, "training")


def trained_without_data(context: Context, file: str, how: Training) -> Trained:
    """The same without the cleaned data."""
    return _once(context, file, how, "training_without_data")


def trained_on_noise(context: Context, file: str, how: Training) -> Trained:
    """The same with shuffled labels, wherever the script may read labels from."""
    return _once(context, file, how, "training_shuffled")


def _once(context: Context, file: str, how: Training, scenario: str) -> Trained:
    key = (scenario, file, json.dumps(how, sort_keys=True))
    return context.memo.once(key, lambda: _train(context, file, how, scenario))


def _train(context: Context, file: str, how: Training, scenario: str) -> Trained:
    lab, what = context.require_lab(), script(context.submission, file)
    if what is None:
        raise GraderFault(f"there is no {file} to run")
    # The form of the call was found out on good data; a missing file must not change it.
    like = None if scenario == "training" else trained(context, file, how).called
    limits = Limits(cpu_seconds=how["cpu_seconds"], wall_seconds=how["wall_seconds"])
    files = _files(context, how, scenario)
    without = () if how["data"] in files else (how["data"],)
    with (
        lab.mlflow(scenario) as server,
        lab.cell(mlflow=server, files=files, without=without) as cell,
    ):
        before = [run.id for run in workspace_runs(cell)]
        called = call(cell, what, arguments=how["arguments"], limits=limits, like=like)
        runs = stored_runs(server, cell, before)
        if scenario != "training":
            return Trained(called=called, logged=tuple(Logged(run=run) for run in runs))
        return Trained(
            called=called,
            logged=logged(
                cell,
                runs,
                roots=(server.artifacts, cell.files),
                model_files=how["model_files"],
                picture_files=how["picture_files"],
                sample=_sample(context, how),
            ),
        )


def _files(context: Context, how: Training, scenario: str) -> dict[str, bytes]:
    """What the workspace of a scenario holds besides the submission and the given data."""
    clean = cleaned(context, how)
    match scenario:
        case "training_without_data":
            return {}
        case "training_shuffled":
            given = {path: read_table(data.read_bytes()) for path, data in context.submission.given.items()}
            labelled = {path: table for path, table in given.items() if how["target"] in table[0]}
            return {
                path: write_table(shuffled(table, how["target"], f"{context.seed} {path}"))
                for path, table in (labelled | {how["data"]: clean}).items()
            }
        case _:
            return {how["data"]: write_table(clean)}


# --- data -----------------------------------------------------------------------------------------


def cleaned(context: Context, how: Training) -> Table:
    """The given data without the rows that nobody wants to learn from."""
    source = context.submission.given.get(how["raw"]) or context.exam.data.get(how["raw"])
    if source is None:
        raise GraderFault(f"the exam gives no {how['raw']}")
    table = read_table(source.read_bytes())
    return clean(table, drop_duplicates=how["drop_duplicates"], drop_blanks=how["drop_blanks"])


def _sample(context: Context, how: Training) -> Mapping[str, Any]:
    """Some rows without their labels, for a logged model to predict."""
    header, *rows = cleaned(context, how)
    column = header.index(how["target"])
    chosen = random.Random(context.seed).sample(rows, min(how["rows"], len(rows)))  # noqa: S311
    return {
        "columns": [name for name in header if name != how["target"]],
        "rows": [[float(cell) for n, cell in enumerate(row) if n != column] for row in chosen],
    }
