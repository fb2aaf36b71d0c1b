"""Whether a test suite passes, what it needs for that, and which faults it notices."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from grader.check import check, require_name
from grader.checks.pytest_suite.scenarios import Fault, Observed, Suite, with_model, without_model
from grader.results import Evidence, Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.checks.pytest_suite.events import SuiteRun
    from grader.context import Context

_MAX_NAMED = 5
_MAX_LINES = 30
_NO_TESTS = 5
_LIBRARIES = "site-packages"
_NONE_PASSES = "no test passes"


@check("tests.pass", evidence=Evidence.RUNS)
def suite_passes(context: Context, *, scenario: Suite) -> Outcome:
    """pytest collects at least one test from the file and passes, with or without a model available."""
    alone = without_model(context, scenario)
    if alone.clean.green:
        return passed(*alone.remarks)
    return judge_passes(with_model(context, scenario), _where(context, scenario.script))


def _has_a_model(given: Any) -> None:
    if given.scenario.world is None:
        raise ValueError("the scenario has no `world`, so there is no model to do without: use tests.pass")


@check("tests.pass_without_model", evidence=Evidence.RUNS, rule=_has_a_model)
def suite_passes_without_model(context: Context, *, scenario: Suite) -> Outcome:
    """All tests pass, none skipped, without a model file and without a tracking server."""
    alone = without_model(context, scenario)
    # What is expected to fail here, and does not with a model, was not mocked either.
    other = with_model(context, scenario) if alone.clean.those("xfailed") else None
    return judge_mocks(alone, other, _where(context, scenario.script))


def _is_declared(given: Any) -> None:
    require_name("fault", given.fault, given.scenario.faults)


@check("tests.notice", evidence=Evidence.RUNS, rule=_is_declared)
def suite_notices(context: Context, *, scenario: Suite, fault: str) -> Outcome:
    """A passing test fails once the fault changes the application's answers.

    Args:
        fault: the name of one of the scenario's faults.
    """
    alone = without_model(context, scenario)
    where = _where(context, scenario.script)
    outcome = judge_notices(alone, scenario, fault, where)
    if alone.clean.plain or not outcome.findings:
        return outcome
    return judge_notices(with_model(context, scenario), scenario, fault, where)


# --- judgements: pure -----------------------------------------------------------------------------


def judge_passes(seen: Observed, where: str) -> Outcome:
    """The suite is green."""
    if seen.clean.green:
        return passed(*seen.remarks)
    cause = "" if seen.clean.those("passed") else _NONE_PASSES
    return failed(problem(seen.clean, where), *seen.remarks, cause=cause)


def judge_mocks(alone: Observed, other: Observed | None, where: str) -> Outcome:
    """The suite is green, skips nothing, and uses the submission's code."""
    clean = alone.clean
    if not clean.green:
        return failed(problem(clean, where, " without a model and a tracking server"))
    if skipped := clean.those("skipped"):
        return failed(
            Finding(
                message=f"{_tests(skipped)} skipped without a model and a tracking server",
                expected="every test runs, with something simple in place of the model",
                actual=_named(skipped),
                where=where,
            )
        )
    better = other.clean.those("passed", "xpassed") if other else []
    if needing := [test for test in clean.those("xfailed") if test in better]:
        return failed(
            Finding(
                message=f"{_tests(needing)} passing only with a real model",
                actual=_named(needing),
                where=where,
            )
        )
    if not clean.used:
        return failed(
            Finding(
                message="the tests never use the application",
                expected="tests that import the application",
                where=where,
            )
        )
    return passed()


def judge_notices(seen: Observed, scenario: Suite, name: str, where: str) -> Outcome:
    """Some steadily passing test fails after an answer was changed."""
    fault, clean = scenario.faults[name], seen.clean
    good, noticed = clean.those("passed"), seen.noticed(name)
    if not noticed.isdisjoint(seen.steady()):
        return passed()
    if not good:
        return failed(
            Finding(message="no test passes, so none can notice a fault", actual=brief(clean), where=where),
            cause=_NONE_PASSES,
        )
    asked = f"{scenario.method} {scenario.path}"
    answered = [answer for answer in clean.answers if answer.status in fault.statuses and not answer.own]
    wanted = " or ".join(map(str, fault.statuses))
    if not answered:
        return failed(
            Finding(
                message=f"no test sends a {asked} that the application answers with {wanted}",
                expected=f"a test client sends the request to the application of {scenario.path}",
                actual=_statuses(clean, asked),
                where=where,
            )
        )
    if fickle := [test for test in good if test in noticed]:
        said = f"tests that fail when {_told(fault, asked)} sometimes fail otherwise too"
        return failed(
            Finding(
                message=said,
                expected="tests that always pass while the answers are right",
                actual=_named(fickle),
                where=where,
            )
        )
    # Once for all of its parameters.
    asking = list(dict.fromkeys(answer.test.partition("[")[0] for answer in answered))
    return failed(
        Finding(
            message=f"every test still passes when {_told(fault, asked)}",
            expected="a test that fails then",
            actual=f"requested by {_named(asking)}",
            where=where,
        )
    )


# --- words ----------------------------------------------------------------------------------------


def problem(clean: SuiteRun, where: str, circumstance: str = "") -> Finding:
    """Why a suite is not green; `circumstance` begins with a blank."""
    red = clean.those("failed")
    if red:
        first = red[0]
        return Finding(
            message=f"{len(red)} of {len(clean.tests)} tests fail{circumstance}",
            expected="every test passes",
            actual=_named(red),
            where=first,
            detail=_last(clean.texts.get(first, "")),
        )
    if clean.errors:
        return Finding(
            message=f"pytest cannot collect the tests{circumstance}",
            where=where,
            detail=_last(clean.errors[0]),
        )
    return Finding(
        message=f"{_stopped(clean)}{circumstance}",
        expected="pytest collects a test, and it passes",
        actual=brief(clean),
        where=clean.current or where,
        detail=_last(clean.run.tail(_MAX_LINES)) if not clean.tests else "",
    )


def _stopped(clean: SuiteRun) -> str:
    if clean.status == _NO_TESTS or (clean.status == 0 and not clean.tests):
        return "pytest collects no test"
    if clean.status == 0:
        return "no test passes"
    if clean.status is not None:
        return f"pytest exits with status {clean.status}"
    if not clean.run.ok:
        return f"pytest {clean.run.describe()}"
    return "the tests do not finish"


def brief(clean: SuiteRun) -> str:
    """`2 passed, 1 skipped`."""
    counts = Counter(clean.tests.values())
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "no test ran"


def _told(fault: Fault, asked: str) -> str:
    """What a fault does, to follow "when"."""
    before, after = " or ".join(map(str, fault.statuses)), fault.status
    if fault.drop is not None:
        return f"the answer of {asked} lacks {fault.drop}"
    return f"{asked} answers {after} instead of {before}"


def _statuses(clean: SuiteRun, asked: str) -> str:
    if not clean.answers:
        return f"no {asked} request reaches a FastAPI application in these tests"
    if all(answer.own for answer in clean.answers):
        return "the application that answers is defined in the tests"
    counts = Counter(answer.status for answer in clean.answers if not answer.own)
    return ", ".join(f"{count} answered {status}" for status, count in sorted(counts.items()))


def _tests(tests: Sequence[str]) -> str:
    return f"{len(tests)} test{'s are' if len(tests) != 1 else ' is'}"


def _named(tests: Sequence[str]) -> str:
    names = [test.rpartition("::")[2] or test for test in tests[:_MAX_NAMED]]
    return ", ".join(names) + (f" and {len(tests) - _MAX_NAMED} more" if len(tests) > _MAX_NAMED else "")


def _last(text: str) -> str:
    """The end of a report, less the frames of libraries, which pytest names by their whole path."""
    kept: list[str] = []
    foreign = False
    for line in text.splitlines():
        foreign = line.startswith("/") or _LIBRARIES in line or (foreign and line.startswith(" "))
        kept += [] if foreign else [line]
    return "\n".join(kept[-_MAX_LINES:])


def _where(context: Context, file: str) -> str:
    return str(context.submission.deliverables.get(file, ""))


CHECKS = (suite_passes, suite_passes_without_model, suite_notices)
