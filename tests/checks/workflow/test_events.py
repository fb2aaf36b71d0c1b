from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from grader.checks.workflow import checks
from grader.checks.workflow.events import Event
from grader.checks.workflow.scenarios import Push
from grader.results import Verdict
from tests.builders import decide, make_context

if TYPE_CHECKING:
    from pathlib import Path

    from grader.results import Outcome


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "`branch` or of a `tag`"),
        ({"branch": "main", "tag": "v1"}, "`branch` or of a `tag`"),
        ({"name": "release"}, "needs its `tag`"),
        ({"name": "schedule"}, "needs a `branch`"),
        ({"name": "pull_request", "branch": "main", "tag": "v1"}, "has no `tag`"),
        ({"branch": "main", "action": "opened"}, "has no `action`"),
        ({"branch": "main", "inputs": {"a": "b"}}, "has no `inputs`"),
        ({"name": "pull-request", "branch": "main"}, "'push', 'pull_request'"),
    ],
)
def test_an_event_that_there_is_not_is_the_authors_fault(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Event.model_validate(given)


def test_a_scenario_has_one_event_and_what_its_checks_read() -> None:
    with pytest.raises(ValidationError, match="give one of them"):
        Push.model_validate({"workflow": "w"})
    scenario = Push.model_validate({"workflow": "w", "branch": "main"}).changed(name="ci")
    with pytest.raises(ValidationError, match="the scenario ci says nothing of tests"):
        checks.gated.parameters.model_validate({"scenario": scenario})
    with pytest.raises(ValidationError, match="says nothing of scans"):
        checks.job_runs.parameters.model_validate({"scenario": scenario, "work": "scans"})
    with pytest.raises(ValidationError, match="nothing would count"):
        checks.runs.parameters.model_validate({"scenario": scenario})


TAG, MAIN = Event(tag="v1.2.3"), Event(branch="main")
PULL = Event(name="pull_request", branch="main")
NIGHT, HAND = Event(name="schedule", branch="main"), Event(name="workflow_dispatch", branch="main")
RELEASE = Event(name="release", tag="v1.2.3")


@pytest.mark.parametrize(
    ("on", "events"),
    [
        ("push", {TAG, MAIN}),
        ("pull_request", {PULL}),
        ("schedule", set()),
        (["push", "release", 1, None], {TAG, MAIN, RELEASE}),
        ({"push": {"tags": ["v*"]}}, {TAG}),
        ({"push": {"tags": ["v*", "!v1.*"]}}, set()),
        ({"push": {"tags-ignore": ["v1.*"]}}, set()),
        ({"push": {"branches": ["main"]}}, {MAIN}),
        ({"push": {"branches-ignore": ["main"]}}, set()),
        ({"push": {"branches": ["main"], "tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}, {MAIN, TAG}),
        ({"push": []}, set()),
        ({"push": "main"}, set()),
        ({"pull_request": {"branches": ["main", "rel/**"]}}, {PULL}),
        ({"pull_request": {"branches": "dev"}}, set()),
        ({"pull_request": {"types": ["closed"]}}, set()),
        ({"pull_request": {"types": {"a": 1}}}, set()),
        ({"schedule": [{"cron": "0 3 * * *"}]}, {NIGHT}),
        ({"schedule": [{"cron": "0 3 * *"}, {"cron": 5}, "x"]}, set()),
        ({"schedule": {"cron": "0 3 * * *"}}, set()),
        ({"workflow_dispatch": None, "release": {"types": ["published"]}}, {HAND, RELEASE}),
        ({"release": {"types": "created"}}, set()),
        (None, set()),
        (5, set()),
    ],
)
def test_which_events_start_a_workflow(on: Any, events: set[Event]) -> None:
    assert {each for each in (TAG, MAIN, PULL, NIGHT, HAND, RELEASE) if each.starts(on)} == events


def _job(condition: str, command: str = "twine upload dist/*") -> dict[str, Any]:
    return {"runs-on": "ubuntu-latest", "if": condition, "steps": [{"run": command}]}


def _runs(root: Path, event: Event, workflow: dict[str, Any], **given: Any) -> Outcome:
    files = {"w.yml": yaml.safe_dump(workflow)}
    context = make_context(root, files, deliverables={"w": "w.yml"})
    scenario = Push(workflow="w", event=event, name="x")
    return decide(checks.runs, context, scenario=scenario, commands=("twine upload",), **given)


ANY = {"push": None, "pull_request": None, "schedule": [{"cron": "0 3 * * *"}], "workflow_dispatch": None}


@pytest.mark.parametrize(
    ("condition", "events"),
    [
        ("startsWith(github.ref, 'refs/tags/v')", {TAG}),
        ("github.ref_type == 'tag'", {TAG}),
        ("github.event_name == 'push'", {TAG, MAIN}),
        ("github.event_name != 'pull_request'", {TAG, MAIN, NIGHT, HAND}),
        ("github.base_ref == 'main'", {PULL}),
        ("github.event.action == 'opened'", {PULL, MAIN}),  # of a push to a branch it is not said
        ("github.ref == 'refs/heads/main'", {MAIN, NIGHT, HAND}),
        ("inputs.target == 'prod'", {HAND}),
    ],
)
def test_conditions_are_asked_of_the_event(tmp_path: Path, condition: str, events: set[Event]) -> None:
    workflow = {"on": ANY, "jobs": {"a": _job(condition)}}
    hand = HAND.changed(inputs={"target": "prod"})
    right = {
        each
        for each in (TAG, MAIN, PULL, NIGHT, HAND)
        if _runs(tmp_path, hand if each is HAND else each, workflow).verdict is Verdict.PASSED
    }
    if condition.startswith("inputs"):  # what nobody knows may be so
        right &= {HAND}
    assert right == events


def test_what_must_not_run_on_a_pull_request(tmp_path: Path) -> None:
    guarded = {"on": ANY, "jobs": {"a": _job("github.event_name == 'push'")}}
    assert _runs(tmp_path, PULL, guarded, absent=True).verdict is Verdict.PASSED
    only_push = {"on": "push", "jobs": {"a": _job("true")}}
    assert _runs(tmp_path, PULL, only_push, absent=True).verdict is Verdict.PASSED
    (finding,) = _runs(tmp_path, PULL, {"on": ANY, "jobs": {"a": _job("true")}}, absent=True).findings
    assert finding.message == "on a pull request to main (opened) a job does what it must not do"
    (finding,) = _runs(tmp_path, PULL, only_push).findings
    assert finding.expected == "a pull_request event that includes branch main and type opened"
