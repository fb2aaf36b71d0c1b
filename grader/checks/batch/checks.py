"""What a batch scoring script does: how it reads, which model it uses, what it writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from grader.check import check, require_name
from grader.checks.batch import static as batch_source
from grader.checks.batch.scenarios import Batch, Scored, agreement_with, loaded, scored
from grader.checks.batch.tables import is_time
from grader.results import Evidence, Finding, Outcome, Verdict, failed, passed

if TYPE_CHECKING:
    from grader.context import Context


@check("batch.chunks", evidence=Evidence.RUNS, falls_back=True)
def chunks(context: Context, *, scenario: Batch, rows: Annotated[int, Field(gt=0)]) -> Outcome:
    """The script reads its input in chunks of a fixed number of rows.

    Args:
        rows: the number of rows in a chunk.
    """
    if context.runtime is None or context.submission.deliverable(scenario.script) is None:
        return batch_source.chunks.function(context, file=scenario.script, rows=rows)
    seen = scored(context, scenario)
    judged = judge_chunks(seen, rows)
    if judged is not None:
        return judged
    told = batch_source.chunks.function(context, file=scenario.script, rows=rows)
    if told.verdict is Verdict.UNVERIFIED and seen.output is None:
        return _nothing(seen)  # it ran, and neither the run nor the source shows any reading
    return told


def _has_a_version(given: Any) -> None:
    stages = [version.stage for version in given.scenario.versions if version.stage is not None]
    require_name("stage of a version", given.stage, stages)


@check("batch.registry", evidence=Evidence.RUNS, rule=_has_a_version)
def registry(context: Context, *, scenario: Batch, stage: str) -> Outcome:
    """The predictions come from the registered model's version in a given stage.

    Args:
        stage: the stage whose version must be used.
    """
    return judge_registry(scored(context, scenario), scenario, stage)


@check("batch.rows", evidence=Evidence.RUNS)
def every_row(context: Context, *, scenario: Batch) -> Outcome:
    """Every input row is scored exactly once, with the prediction of the model that was loaded."""
    return judge_rows(scored(context, scenario), scenario)


@check("batch.columns", evidence=Evidence.RUNS)
def columns(context: Context, *, scenario: Batch, time: str) -> Outcome:
    """The output has a prediction column and a time column.

    Args:
        time: the name of the time column.
    """
    return judge_columns(scored(context, scenario), scenario.prediction, time)


@check("batch.output", evidence=Evidence.RUNS)
def output(context: Context, *, scenario: Batch) -> Outcome:
    """The output is a CSV file that keeps the input's columns."""
    return judge_output(scored(context, scenario))


# --- judgements: pure -----------------------------------------------------------------------------


def judge_chunks(seen: Scored, rows: int) -> Outcome | None:
    """Judge by the reads that pandas was seen to make; None if there were none that tell."""
    pieces = [read for read in seen.reads if read <= rows]
    larger = [read for read in seen.reads if read > rows]
    if not seen.reads or (not larger and max(pieces) < rows and sum(pieces) < seen.rows):
        return None  # a look at the header, or another reader did the work
    if rows in pieces and (not larger or sum(pieces) >= seen.rows):
        return passed()
    sizes = ", ".join(f"{size:,}" for size in dict.fromkeys(seen.reads[:20]))
    whole = any(read >= seen.rows for read in larger)
    return failed(
        Finding(
            message="the input is read in one go" if whole else "the chunks have the wrong size",
            expected=f"{rows:,} rows at a time",
            actual=f"{sizes} rows at once" if whole else f"chunks of {sizes} rows",
            where=seen.called.shown,
        )
    )


def judge_registry(seen: Scored, scenario: Batch, stage: str) -> Outcome:
    """The predictions are those of the model in the stage."""
    right = next(version.run for version in scenario.versions if version.stage == stage)
    used = loaded(seen, scenario)
    if used == right:
        return passed()
    expected = f"the version of {scenario.model} in stage {stage}"
    if not used:
        if not seen.column:
            return _nothing(seen)
        message = "the predictions do not match any model in the registry"
        own = seen.comparison is not None and seen.comparison.values > 1 and seen.comparison.informed
        actual = "those of another model, which agrees with the registry's only in part" if own else ""
        return failed(Finding(message=message, expected=expected, actual=actual, where=seen.called.shown))
    return failed(
        Finding(
            message="the predictions come from the wrong model",
            expected=expected,
            actual=_version(scenario, used),
            where=seen.called.shown,
        )
    )


def _version(scenario: Batch, run: str) -> str:
    for number, version in enumerate(scenario.versions, start=1):
        if version.run == run:
            stage, label = version.stage, scenario.world.run(run).model
            files = [path for path, said in scenario.world.files.items() if said == label]
            registered = f"version {number}, " + (f"in stage {stage}" if stage else "the latest, in no stage")
            return " or ".join([registered, *files])
    return run


def judge_rows(seen: Scored, scenario: Batch) -> Outcome:
    """No row is missing or repeated, and each has the loaded model's prediction."""
    if seen.output is None or seen.comparison is None or not seen.column:
        return _nothing(seen)
    compared = seen.comparison
    expected = f"each of the input's {seen.rows:,} rows once, with its prediction"
    where = seen.output.path
    # Whoever reads the file takes a header between the rows for one more of them.
    headers = seen.output.repeated_headers
    if compared.missing or compared.extra or headers:
        extra = compared.extra + headers
        actual = f"{len(seen.output.rows) + headers:,} rows: {compared.missing:,} missing, {extra:,} extra"
        if headers:
            actual += f", {headers:,} of which repeat the header"
        message = "the output's rows do not match the input's rows"
        return failed(Finding(message=message, expected=expected, actual=actual, where=where))
    if compared.empty:
        actual = f"{compared.empty:,} rows without a prediction"
        message = "some rows have no prediction"
        return failed(Finding(message=message, expected=expected, actual=actual, where=where))
    used = loaded(seen, scenario)
    constant = "every row has the same prediction"
    if not used:
        # A model of the script's own is another criterion's loss, but a model it must be.
        if compared.values > 1 and compared.informed:
            return passed()
        message = "the predictions have nothing to do with the rows" if compared.values > 1 else constant
        actual = "no model of the registry agrees with them better than by chance"
        return failed(Finding(message=message, expected=expected, actual=actual, where=where))
    share = agreement_with(seen, scenario, used)
    if share == 1:
        return passed()
    message = "some predictions differ from the model's own"
    actual = f"{share:.1%} of the rows agree with the model" if compared.values > 1 else constant
    return failed(Finding(message=message, expected=expected, actual=actual, where=where))


def judge_columns(seen: Scored, prediction: str, time: str) -> Outcome:
    """Both columns exist, and the second one holds times."""
    if seen.output is None:
        return _nothing(seen)
    missing = [name for name in (prediction, time) if name not in seen.output.header]
    if missing:
        return failed(
            Finding(
                message=f"the output has no column {' and no column '.join(missing)}",
                expected=f"{prediction}, {time}",
                actual=", ".join(seen.output.header)[:300] if seen.output.named else "no header line",
                where=seen.output.path,
            )
        )
    # Few different values stand in many rows.
    cells = dict.fromkeys(seen.output.column(time) or ())
    wrong = next((cell for cell in cells if not is_time(cell)), None)
    if wrong is None and cells:
        return passed()
    message = f"column {time} holds values that are not times"
    return failed(
        Finding(
            message=message, expected="a time in every row", actual=repr(wrong)[:80], where=seen.output.path
        )
    )


def judge_output(seen: Scored) -> Outcome:
    """The output is CSV, and the input's columns are in it."""
    if seen.output is None:
        return _nothing(seen)
    if not seen.output.csv:
        message = "the output is JSON, not CSV"
        return failed(Finding(message=message, expected="a CSV file", where=seen.output.path))
    missing = [name for name in seen.columns if name not in seen.output.header]
    if missing:
        return failed(
            Finding(
                message="the output has lost columns of the input",
                expected=", ".join(seen.columns),
                actual=f"missing: {', '.join(missing)}" if seen.output.named else "no header line",
                where=seen.output.path,
            )
        )
    return passed()


def _nothing(seen: Scored) -> Outcome:
    """No output to judge: how the script ended says why."""
    message = "the script wrote no predictions"
    expected = "a CSV file with the input's rows and their predictions"
    finding = seen.called.finding(message, expected=expected)
    if seen.called.run.ok:
        wrote = ", ".join(seen.wrote[:5]) or "no file"
        finding = replace(finding, actual=wrote, detail=seen.called.run.tail(15))
    return failed(finding, cause=message)


CHECKS = (chunks, registry, every_row, columns, output)
