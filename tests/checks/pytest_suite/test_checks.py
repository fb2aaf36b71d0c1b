from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.pytest_suite import checks as suite
from grader.checks.pytest_suite.events import SuiteRun, read_events
from grader.checks.pytest_suite.scenarios import Observed, Suite
from grader.results import Verdict
from grader.runtime.sandbox.model import Ended, Run
from tests.builders import decide
from tests.checks.live import live_context, parameters

if TYPE_CHECKING:
    from pathlib import Path

ASKED: Suite = parameters("5.2", "tests.pass")["scenario"]
WHERE = "tests/test_api.py"
RUN = Run(argv=("python",), ended=Ended.EXITED, returncode=0)
END = {"end": 0, "used": True}


def report(test: str, outcome: str = "passed", text: str = "") -> dict[str, Any]:
    return {"report": test, "outcome": outcome, "text": text}


def answer(status: int, *, own: bool = False, changed: bool = False) -> dict[str, Any]:
    return {"answer": status, "own": own, "changed": changed}


def read(*events: object) -> SuiteRun:
    ends = [event["end"] for event in events if isinstance(event, dict) and "end" in event]
    status = ends[-1] if ends and isinstance(ends[-1], int) else -9
    return read_events(RUN, events, status=status)


def observed(clean: SuiteRun, **broken: SuiteRun) -> Observed:
    return Observed(clean=clean, broken={name: (run,) for name, run in broken.items()})


GOOD = read({"start": "a"}, answer(200), report("a"), {"start": "b"}, answer(422), report("b"), END)
RED = {"end": 1, "used": True}
NOTICED = read({"start": "a"}, answer(200, changed=True), report("a", "failed"), report("b"), RED)


# --- reading events -------------------------------------------------------------------------------


def test_events_that_the_suite_had_its_hands_in() -> None:
    assert read(
        None,
        3,
        [],
        {"start": 1},
        {"report": "a", "outcome": "superb", "text": ""},
        {"report": ["a"], "outcome": "passed", "text": ""},
        {"end": "0", "used": True},
        {"answer": "200", "own": False, "changed": True},
    ) == SuiteRun(run=RUN)


def test_a_test_is_as_bad_as_the_worst_of_its_reports() -> None:
    events = (report("a"), report("a", "failed", "teardown"), report("b", "xskipped"), report("c", "xpassed"))
    run = read(*events, END)
    assert run.tests == {"a": "failed", "b": "xfailed", "c": "xpassed"}
    assert run.texts == {"a": "teardown"}


def test_only_what_fails_after_an_answer_was_changed_is_late() -> None:
    run = read(report("a", "failed"), answer(200, changed=True), report("b", "failed"), report("c"), END)
    assert run.late == {"b"}


def test_a_test_that_never_ends_once_an_answer_was_changed_is_late() -> None:
    assert read({"start": "a"}, answer(200, changed=True)).late == {"a"}
    assert not read({"start": "a"}, answer(200)).late


# --- judgements -----------------------------------------------------------------------------------


def test_a_good_suite() -> None:
    seen = observed(GOOD, error=NOTICED)
    assert suite.judge_passes(seen, WHERE).verdict is Verdict.PASSED
    assert suite.judge_mocks(seen, None, WHERE).verdict is Verdict.PASSED
    assert suite.judge_notices(seen, ASKED, "error", WHERE).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((report("a", "failed", "E  assert 1"), report("b"), {"end": 1, "used": True}), "1 of 2 tests fail"),
        # The status is pytest's, the reports are what the suite let through.
        ((report("a", "failed"), END), "1 of 1 tests fail"),
        ((report("a"), {"end": 1, "used": True}), "pytest exits with status 1"),
        (({"error": "E  ImportError"}, {"end": 2, "used": True}), "pytest cannot collect the tests"),
        (({"end": 5, "used": True},), "pytest collects no test"),
        ((END,), "pytest collects no test"),
        ((report("a", "skipped"), END), "no test passes"),
        (({"start": "a"},), "the tests do not finish"),
        ((), "the tests do not finish"),
    ],
)
def test_what_does_not_pass(events: tuple[object, ...], said: str) -> None:
    outcome = suite.judge_passes(observed(read(*events)), WHERE)
    assert outcome.findings[0].message == said


def test_findings_do_not_name_files_of_libraries() -> None:
    text = (
        "Traceback:\n/usr/lib/x.py:1: in y\n    z()\ntests/test_api.py:1: in <module>\n    import a\nE  Error"
    )
    finding = suite.problem(read({"error": text}, {"end": 2, "used": False}), WHERE)
    assert finding.detail == "Traceback:\ntests/test_api.py:1: in <module>\n    import a\nE  Error"


def test_a_run_that_the_sandbox_ended() -> None:
    run = Run(argv=(), ended=Ended.CPU_LIMIT)
    outcome = suite.judge_passes(observed(SuiteRun(run=run)), WHERE)
    assert outcome.findings[0].message == "pytest was stopped after 120 s of CPU time (CPU limit)"


def test_what_is_not_mocked() -> None:
    skips = observed(read(report("a"), report("b", "skipped"), END))
    assert "1 test is skipped" in suite.judge_mocks(skips, None, WHERE).findings[0].message
    expects = observed(read(report("a"), report("b", "xskipped"), END))
    assert suite.judge_mocks(expects, expects, WHERE).verdict is Verdict.PASSED
    outcome = suite.judge_mocks(expects, observed(read(report("a"), report("b"), END)), WHERE)
    assert outcome.findings[0].actual == "b"
    alone = observed(read(report("a"), {"end": 0, "used": False}))
    assert "never use the application" in suite.judge_mocks(alone, None, WHERE).findings[0].message


@pytest.mark.parametrize(
    ("events", "said", "actual"),
    [
        ((report("a", "failed"), END), "no test passes, so none can notice a fault", "1 failed"),
        ((report("a"), END), "no test sends a POST /predict", "no POST /predict request reaches"),
        ((answer(422), report("a"), END), "no test sends a POST /predict", "1 answered 422"),
        (
            (answer(200, own=True), report("a"), END),
            "no test sends a POST",
            "defined in the tests",
        ),
        (({"start": "t::a"}, answer(200), report("t::a"), END), "every test still passes", "requested by a"),
    ],
)
def test_what_notices_nothing(events: tuple[object, ...], said: str, actual: str) -> None:
    finding = suite.judge_notices(observed(read(*events)), ASKED, "error", WHERE).findings[0]
    assert said in finding.message
    assert actual in finding.actual


@pytest.mark.parametrize("events", [({"end": 5, "used": False},), (report("a", "failed"), END)])
def test_a_suite_of_which_no_test_passes_is_one_mistake(events: tuple[object, ...]) -> None:
    seen = observed(read(*events))
    outcomes = (suite.judge_passes(seen, WHERE), suite.judge_notices(seen, ASKED, "error", WHERE))
    assert {outcome.cause for outcome in outcomes} == {"no test passes"}


def test_an_application_may_refuse_with_a_400_of_its_own() -> None:
    clean = read({"start": "a"}, answer(400), report("a"), END)
    assert (
        suite.judge_notices(observed(clean, accepted=NOTICED), ASKED, "accepted", WHERE).verdict == "passed"
    )
    [finding] = suite.judge_notices(observed(clean), ASKED, "accepted", WHERE).findings
    assert finding.message == (
        "every test still passes when POST /predict answers 200 instead of 400 or 413 or 415 or 422"
    )
    [finding] = suite.judge_notices(observed(clean), ASKED, "refused", WHERE).findings
    assert finding.message == "no test sends a POST /predict that the application answers with 422"


def test_a_test_that_was_red_before_notices_nothing() -> None:
    clean = read({"start": "a"}, answer(200), report("a", "failed"), report("b"), END)
    seen = observed(clean, error=NOTICED)
    assert suite.judge_notices(seen, ASKED, "error", WHERE).verdict is Verdict.FAILED


def test_what_pytest_says_is_its_process_exit_status() -> None:
    events = (report("a"), END)
    assert read_events(RUN, events, status=0).green
    assert not read_events(RUN, events, status=1).green
    assert not read_events(RUN, events, status=-9).green


def test_a_test_that_fails_also_without_a_fault_notices_nothing() -> None:
    # Such as one that fails whenever it is not the first time, which no fault made it do.
    late = read({"start": "a"}, answer(200), report("a", "failed"), report("b"), {"end": 1, "used": True})
    seen = observed(GOOD, error=NOTICED).add([(None, GOOD), (None, late)])
    finding = suite.judge_notices(seen, ASKED, "error", WHERE).findings[0]
    assert finding.message == (
        "tests that fail when POST /predict answers 500 instead of 200 sometimes fail otherwise too"
    )
    assert finding.actual == "a"


def test_a_test_notices_a_fault_whenever_it_is_there() -> None:
    seen = observed(GOOD, error=NOTICED)
    assert seen.add([("error", NOTICED)]).noticed("error") == {"a"}
    assert not seen.add([("error", GOOD)]).noticed("error")


def test_a_failure_that_pytest_does_not_end_with_is_noticed_by_nobody() -> None:
    unheard = read({"start": "a"}, answer(200, changed=True), report("a", "failed"), report("b"), END)
    assert observed(GOOD, error=unheard).noticed("error") == set()


def test_a_suite_without_a_model_is_not_asked_to_do_without_one() -> None:
    scenario = Suite.model_validate(
        {"script": "tests", "idle_seconds": 30, "cpu_seconds": 60, "wall_seconds": 120}
    )
    with pytest.raises(ValidationError, match=r"use tests\.pass"):
        suite.suite_passes_without_model.parameters.model_validate({"scenario": scenario})


@pytest.mark.slow
def test_a_suite_in_an_exam_without_models(tmp_path: Path) -> None:
    scenario = Suite.model_validate(
        {"script": "tests", "idle_seconds": 30, "cpu_seconds": 60, "wall_seconds": 120}
    ).changed(name="plain")
    files = {"test_it.py": "def test_it():\n    assert 1 == 2\n"}
    with live_context(tmp_path, files, deliverables={"tests": "test_it.py"}) as context:
        outcome = decide(suite.suite_passes, context, scenario=scenario)
    assert outcome.verdict is Verdict.FAILED
    said = " ".join(f"{each.message} {each.expected} {each.detail}" for each in outcome.findings)
    assert "assert 1 == 2" in said
    assert "model" not in said
