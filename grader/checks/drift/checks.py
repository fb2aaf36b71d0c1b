"""What a drift detection script does: its report and its exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.check import ExitStatus, check
from grader.checks.drift.scenarios import (
    Detected,
    Drift,
    importable,
    on_drifted,
    on_quiet,
    on_same,
    without_current,
    without_reference,
)
from grader.readers.python.imports import origins, reachable, uses
from grader.results import Evidence, Finding, Outcome, failed, passed
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grader.context import Context


@check("drift.runs", evidence=Evidence.RUNS)
def runs(context: Context, *, scenario: Drift) -> Outcome:
    """The script succeeds with both files in place, and fails clearly if either is missing."""
    with_files = (on_quiet(context, scenario), on_drifted(context, scenario))
    outcome = judge_works(with_files, scenario)
    if outcome is not None:
        return outcome
    told = with_files[0].called.overridden
    if told:
        return failed(_reads_other_files(with_files[0], scenario))
    missing = {
        scenario.reference: without_reference(context, scenario),
        scenario.current: without_current(context, scenario),
    }
    return judge_missing(missing)


@check("drift.preset", evidence=Evidence.RUNS, falls_back=True)
def preset(context: Context, *, scenario: Drift, library: str, name: str) -> Outcome:
    """The report is made with the preset: judged by its content or, if none was written, by the source.

    Args:
        library: the package that the preset comes from.
        name: the preset.
    """
    if context.runtime is not None:
        runs = (on_quiet(context, scenario), on_drifted(context, scenario))
        outcome = judge_preset(*runs, scenario, name)
        if outcome is not None:
            return outcome
        if not _stops_at_once(*runs) and (outcome := _went_without(context, scenario, library, name)):
            return outcome
    return judge_source(context, scenario.script, library, name)


@check("drift.html", evidence=Evidence.RUNS)
def html(context: Context, *, scenario: Drift) -> Outcome:
    """The library's report is saved as HTML, both when the data drifted and when they did not."""
    return judge_html(on_quiet(context, scenario), on_drifted(context, scenario), scenario)


@check("drift.quiet", evidence=Evidence.RUNS)
def quiet(context: Context, *, scenario: Drift, status: ExitStatus) -> Outcome:
    """The script exits with the status if nothing drifted.

    Args:
        status: the exit status.
    """
    return judge_quiet(on_quiet(context, scenario), on_drifted(context, scenario), status)


@check("drift.drifted", evidence=Evidence.RUNS)
def drifted(context: Context, *, scenario: Drift, status: ExitStatus) -> Outcome:
    """The script exits with the status if, and only if, the data drifted, and not by crashing.

    Args:
        status: the exit status.
    """
    quiet, moved = on_quiet(context, scenario), on_drifted(context, scenario)
    return judge_drifted(quiet, moved, status, lambda: on_same(context, scenario))


# --- judgements: pure -----------------------------------------------------------------------------


def judge_works(runs: tuple[Detected, Detected], scenario: Drift) -> Outcome | None:
    """None if a run finished; then it remains to see whether the script fails without its files."""
    if any(_works(each, scenario.library_marks) for each in runs):
        return None
    finding = runs[0].called.finding(expected="the script finishes when both files are in place")
    return failed(finding, cause=_STOPPED if _stops_at_once(*runs) else "")


def _reads_other_files(seen: Detected, scenario: Drift) -> Finding:
    """By itself it looks for other files; what it does once it is told where to look, the rest says."""
    other = ", ".join(f"{own} (told to read {given})" for own, given in seen.called.overridden.items())
    return Finding(
        message="by itself the script looks for other files",
        expected=f"{scenario.reference} and {scenario.current}",
        actual=other,
        where=seen.called.shown,
    )


def _works(seen: Detected, marks: Sequence[str]) -> bool:
    """It succeeded, or chose another exit status after writing its report."""
    if seen.called.run.ok:
        return True
    ended = seen.called.run.ended is Ended.EXITED
    return ended and not seen.called.crashed and bool(seen.reports(marks))


def judge_preset(quiet: Detected, drifted: Detected, scenario: Drift, name: str) -> Outcome | None:
    """Judge by the content of the library's reports; None if there are none."""
    if kept := quiet.same_report(drifted, scenario.library_marks):
        return failed(_no_report_of_these(kept))
    runs = (quiet, drifted)
    saved = [path for each in runs for path in each.reports(scenario.library_marks)]
    if any(each.reports([*scenario.library_marks, *scenario.preset_marks]) for each in runs):
        return passed()
    if not saved:
        return None
    return failed(
        Finding(
            message=f"the saved report was not made with {name}",
            expected=f"a report made with {name}",
            actual="a report without a verdict on the data set as a whole",
            where=saved[0],
        )
    )


def _went_without(context: Context, scenario: Drift, library: str, name: str) -> Outcome | None:
    """Lost, where the script ran without the preset since the library has none where it looks for it."""
    start = context.submission.deliverable(scenario.script)
    files = () if start is None else reachable(context.submission, start)
    places = {place: file for file in files for place in origins(file, library, name)}
    if not places or importable(context, scenario, tuple(places), name):
        return None
    place, file = next(iter(places.items()))
    return failed(
        Finding(
            message=f"the script ran without {name}: this {library} has none in {place}",
            expected=f"a report made with {name}",
            where=file.name,
        )
    )


def judge_missing(runs: dict[str, Detected]) -> Outcome:
    """Without either file, the script ends by itself with a status other than 0."""
    for path, seen in runs.items():
        run = seen.called.run
        if run.ended is not Ended.EXITED or run.returncode == 0:
            return failed(
                Finding(
                    message=f"the script does not fail when {path} is missing",
                    expected=f"an error exit when {path} is missing",
                    actual=f"`{seen.called.shown}` {run.describe()}",
                    where=seen.called.shown,
                    detail=seen.called.traceback.text if seen.called.traceback else run.tail(10),
                )
            )
    return passed()


def judge_source(context: Context, file: str, library: str, name: str) -> Outcome:
    """The name is imported from the library and used, in the script or in a module that it imports."""
    start = context.submission.deliverable(file)
    files = () if start is None else reachable(context.submission, start)
    for source in files:
        line = uses(source, library, name)
        if line is not None:
            return passed(
                Finding(message=f"the source uses {name}, but no report was seen", where=source.where(line)),
                evidence=Evidence.STATIC,
            )
    return failed(
        Finding(
            message=f"no {library} report with {name} was made, and the source does not use it",
            expected=f"a report made with {name}",
            where="" if start is None else start.name,
        ),
        evidence=None if context.runtime is not None else Evidence.STATIC,
    )


def judge_html(quiet: Detected, drifted: Detected, scenario: Drift) -> Outcome:
    """Both runs saved the library's report."""
    if _stops_at_once(quiet, drifted):
        return _stopped(quiet, "the library's report as an HTML file")
    for data, seen in (("nothing drifted", quiet), ("the data drifted", drifted)):
        if not seen.reports(scenario.library_marks):
            return failed(_no_report(seen, data))
    if kept := quiet.same_report(drifted, scenario.library_marks):
        return failed(_no_report_of_these(kept))
    return passed()


def _no_report_of_these(path: str) -> Finding:
    return Finding(
        message=f"{path} is the same page, byte for byte, whatever the data: it was not made of them",
        expected="a report of the data that the script reads",
        where=path,
    )


def _no_report(seen: Detected, data: str) -> Finding:
    called, wrote = seen.called, ", ".join(seen.written)
    broken = called.finding(f"no HTML report was saved when {data}")
    actual = f"{wrote}, which is not a report of the library" if wrote else "no HTML file"
    return Finding(
        message=broken.message,
        expected="the library's report as an HTML file, whatever the verdict",
        actual=f"{actual}; {broken.actual}" if called.crashed else actual,
        where=broken.where,
        detail=broken.detail if called.crashed else "",
    )


def judge_quiet(quiet: Detected, drifted: Detected, status: ExitStatus) -> Outcome:
    """Exactly the status."""
    run = quiet.called.run
    if run.ended is Ended.EXITED and run.returncode == status:
        return passed()
    expected = f"exit status {status}: the current data are another sample of the same"
    if _stops_at_once(quiet, drifted):
        return _stopped(quiet, expected)
    message = f"the script ends with status {run.returncode} where nothing drifted" if _decided(quiet) else ""
    return failed(quiet.called.finding(message, expected=expected))


def judge_drifted(
    quiet: Detected, drifted: Detected, status: ExitStatus, same: Callable[[], Detected]
) -> Outcome:
    """The status on drifted data, no crash, and another one on quiet data.

    A script that takes another sample for drift has made one mistake, for which `drift.quiet` is there: it
    detects nothing only if it ends so on the reference's own rows, too.
    """
    called = drifted.called
    expected = f"exit status {status} because every column drifted"
    if _stops_at_once(quiet, drifted):
        return _stopped(quiet, expected)
    if called.crashed and not _goes_on_after(quiet, drifted):
        return failed(called.finding("an exit because of the verdict, not a crash", expected=expected))
    if called.run.ended is not Ended.EXITED or called.run.returncode != status:
        ended = f"the script ends with status {called.run.returncode} although every column drifted"
        return failed(called.finding(ended if _decided(drifted) else "", expected=expected))
    if quiet.called.run.returncode == status and same().called.run.returncode == status:
        message = f"the script ends with status {status} whether the data drifted or not"
        return failed(quiet.called.finding(message, expected=f"{expected}, and another where nothing did"))
    return passed()


def _stops_at_once(quiet: Detected, drifted: Detected) -> bool:
    """It stops on any data, in the same way: by a crash, or by a status that is no verdict."""
    there, here = quiet.called, drifted.called
    if there.crashed and here.crashed:
        return there.traceback == here.traceback
    ended = (there.run.ended, there.run.returncode)
    silent = not (quiet.written or drifted.written or there.crashed or here.crashed)
    return silent and ended == (here.run.ended, here.run.returncode) and there.run.returncode not in (0, 1)


_STOPPED = "the script stops on any data"


def _stopped(seen: Detected, expected: str) -> Outcome:
    return failed(seen.called.finding(expected=expected), cause=_STOPPED)


def _goes_on_after(quiet: Detected, drifted: Detected) -> bool:
    """The traceback is of something else, such as an upload: it is there on quiet data, and all went well."""
    there, here = quiet.called.traceback, drifted.called.traceback
    same = (
        there is not None
        and here is not None
        and (there.where, there.exception) == (here.where, here.exception)
    )
    return same and quiet.called.run.ok


def _decided(seen: Detected) -> bool:
    return seen.called.run.ended is Ended.EXITED and not seen.called.crashed


CHECKS = (runs, preset, html, quiet, drifted)
