"""GitHub workflows: are they valid, when do they run, what do their jobs do and in which order."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from grader.check import Deliverable, Example, check
from grader.checks.workflow import facts as workflow_facts
from grader.checks.workflow import schema as workflow_schema
from grader.checks.workflow import simulation
from grader.checks.workflow.actions import MAX_ACTS, Act, acts, has_more, matching, uses
from grader.checks.workflow.deployment import Finder
from grader.checks.workflow.findings import (
    MAX_TRIED,
    describe,
    locations,
    no_job_runs,
    not_found,
    unguarded,
)
from grader.checks.workflow.scenarios import Push, Scans, Testing, some
from grader.checks.workflow.tools import configured_options, image_work, measures, released
from grader.checks.workflow.trivy import gates as trivy_gates
from grader.checks.workflow.trivy import scans_of
from grader.documents import Problem
from grader.readers.plain_data import as_json
from grader.results import Finding, Outcome, Verdict, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grader.checks.workflow.events import Event
    from grader.checks.workflow.facts import Workflow
    from grader.context import Context


def _decide(
    context: Context, file: str, judge: Callable[[Workflow], Outcome], *, event: Event | None = None
) -> Outcome:
    match workflow_facts.read(context, file, event):
        case None:
            return failed(Finding(message="the workflow is missing"))
        case Problem() as problem:
            return failed(problem.finding("a GitHub workflow"))
        case workflow:
            return judge(workflow)


def _of_a_push(context: Context, scenario: Push, judge: Callable[[Workflow, list[Act]], Outcome]) -> Outcome:
    """Judge what runs on the event when all goes well, in order."""

    def running(workflow: Workflow) -> Outcome:
        done = acts(context, workflow)
        reached = context.memo.once(
            ("workflow.running", workflow.file.name, scenario.trigger),
            lambda: simulation.run(workflow, done, scenario.trigger),
        )
        outcome = judge(workflow, [act for act in done if act in reached])
        return _with_bound(outcome) if has_more(context, workflow) else outcome

    return _decide(context, scenario.workflow, running, event=scenario.trigger)


def _with_bound(outcome: Outcome) -> Outcome:
    """What is said of a workflow of which not everything was read: what is missing may be in the rest."""
    said = f"only the first {MAX_ACTS:,} actions and commands of the workflow were read"
    if outcome.verdict is not Verdict.FAILED:
        return replace(outcome, findings=(*outcome.findings, Finding(message=said)))
    return unverified("; ".join((*(finding.message for finding in outcome.findings[:1]), said)))


def _these(
    running: Sequence[Act],
    commands: Sequence[str],
    actions: Sequence[str] = (),
    no_op_options: Sequence[str] = (),
) -> list[Act]:
    return [
        act for act in running if uses(act, actions) or matching(act, commands, no_op_options) is not None
    ]


def _declares(*parts: str) -> Callable[[Any], None]:
    def rule(given: Any) -> None:
        for part in parts:
            if getattr(given.scenario, part) is None:
                raise ValueError(
                    f"the scenario {given.scenario.name} says nothing of {part}, which this reads"
                )

    return rule


def _declares_work(given: Any) -> None:
    _declares(given.work)(given)


@check("workflow.valid")
def valid(context: Context, *, file: Deliverable) -> Outcome:
    """GitHub accepts the workflow: its keys, types, expressions, actions and `needs`."""

    def judge(workflow: Workflow) -> Outcome:
        findings = tuple(workflow_schema.problems(workflow))
        return failed(*findings) if findings else passed()

    return _decide(context, file, judge)


@check("workflow.triggered")
def triggered(context: Context, *, scenario: Push) -> Outcome:
    """The workflow runs on the event, such as a push to a branch."""

    def judge(workflow: Workflow) -> Outcome:
        if scenario.trigger.starts(workflow.data.get("on")):
            return passed()
        return failed(_not_started(workflow, scenario))

    return _decide(context, scenario.workflow, judge, event=scenario.trigger)


def _not_started(workflow: Workflow, scenario: Push) -> Finding:
    return Finding(
        message=f"the workflow does not run on {scenario.trigger}",
        expected=scenario.trigger.expected,
        actual=json.dumps(as_json(workflow.data.get("on")))[:200],
        where=workflow.where("on"),
    )


@check("workflow.job_runs", rule=_declares_work)
def job_runs(context: Context, *, scenario: Push, work: Literal["tests", "scans"]) -> Outcome:
    """A job runs the tests, or scans.

    Args:
        work: what a job has to run.
    """
    said: Testing | Scans = some(scenario.tests) if work == "tests" else some(scenario.scans)
    commands, actions, options = said.commands, said.actions, said.no_op_options

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        if _these(running, commands, actions, options):
            return passed()
        return not_found(workflow, running, no_job_runs(commands, actions), commands, actions)

    return _of_a_push(context, scenario, judge)


def _names_something(given: Any) -> None:
    if not given.commands and not given.actions:
        raise ValueError("name `commands` or `actions`: nothing would count")


@check(
    "workflow.runs",
    rule=_names_something,
    example=Example(
        rubric="""
            deliverables: {release: {path: .github/workflows/release.yml}}
            scenarios:
              tagged: {kind: workflow, workflow: release, event: {tag: v1.2.3}}
            check: workflow.runs
            with: {scenario: tagged, commands: [twine upload], actions: [pypa/gh-action-pypi-publish]}
        """,
        files={
            ".github/workflows/release.yml": (
                "on: {push: {tags: ['v*']}}\n"
                "jobs:\n"
                "  publish:\n"
                "    runs-on: ubuntu-latest\n"
                "    steps:\n"
                "    - run: twine upload dist/*\n"
            )
        },
    ),
)
def runs(
    context: Context,
    *,
    scenario: Push,
    commands: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    no_op_options: tuple[str, ...] = (),
    absent: bool = False,
) -> Outcome:
    """The event starts the workflow, and a job runs one of these commands, or uses one of these actions.

    Args:
        commands: a program and the words that follow it, each.
        actions: actions without their versions.
        no_op_options: options with which a command does not count.
        absent: whether no job may do so on this event; then the workflow need not run at all.
    """

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        starts = scenario.trigger.starts(workflow.data.get("on"))
        found = _these(running, commands, actions, no_op_options) if starts else []
        if absent and found:
            message = f"on {scenario.trigger} a job does what it must not do"
            return failed(Finding(message=message, actual=describe(found[0]), where=locations(found)))
        if found or absent:
            return passed()
        if not starts:
            return failed(_not_started(workflow, scenario))
        return not_found(workflow, running, no_job_runs(commands, actions), commands, actions)

    return _of_a_push(context, scenario, judge)


@check("workflow.measures_coverage", rule=_declares("tests"))
def measures_coverage(context: Context, *, scenario: Push) -> Outcome:
    """A job measures the coverage of the tests, by an option, a configuration or a program that runs them."""
    tests = some(scenario.tests)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        found = _these(running, tests.commands, tests.actions, tests.no_op_options)
        configured = configured_options(context.submission)
        for act in found:
            command = matching(act, tests.commands, tests.no_op_options)
            if measures(act, command, tests.coverage_option, tests.coverage_programs, configured):
                return passed()
        if not found:
            return not_found(workflow, running, no_job_runs(tests.commands), tests.commands)
        message = "the tests run without measuring coverage"
        return failed(Finding(message=message, actual=describe(found[0]), where=locations(found)))

    return _of_a_push(context, scenario, judge)


@check("workflow.scan_fails", rule=_declares("scans"))
def scan_fails(context: Context, *, scenario: Push) -> Outcome:
    """The scans fail the workflow on each of the severities, in one step or in several that together do."""
    scans = some(scenario.scans)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        found = _these(running, scans.commands, scans.actions, scans.no_op_options)
        if not found:
            message = no_job_runs(scans.commands, scans.actions)
            return not_found(workflow, running, message, scans.commands, scans.actions)
        gates = trivy_gates(
            workflow,
            acts(context, workflow),
            running,
            scenario.trigger,
            scans_of(found, scans.commands, scans.no_op_options, context.submission),
            context.submission,
        )
        stopped = frozenset[str]().union(*(gate.severities for gate in gates))
        missing = [severity for severity in scans.severities if severity not in stopped]
        if not missing:
            return passed()
        expected = f"a failure on {', '.join(scans.severities)}"
        return failed(
            *(
                Finding(
                    message=gate.problem or f"the scan does not fail on {', '.join(missing)}",
                    expected=expected,
                    where=gate.act.where,
                )
                for gate in gates
            )
        )

    return _of_a_push(context, scenario, judge)


@check("workflow.builds_image", rule=_declares("images"))
def builds_image(context: Context, *, scenario: Push) -> Outcome:
    """A job builds an image and pushes it."""
    images = some(scenario.images)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        made: dict[str, frozenset[str]] = {}
        for act in running:
            made[act.job.id] = made.get(act.job.id, frozenset()) | image_work(act, images)
        if any(did == {"build", "push"} for did in made.values()):
            return passed()
        builders = [workflow.jobs[job].where for job, did in made.items() if "build" in did]
        if not builders:
            message = "no job builds an image"
            return not_found(workflow, running, message, [*images.build, *images.both], images.actions)
        message = "the image is built but not pushed"
        return failed(Finding(message=message, expected="a push in the same job", where=", ".join(builders)))

    return _of_a_push(context, scenario, judge)


@check("workflow.gated", rule=_declares("tests", "images"))
def gated(context: Context, *, scenario: Push) -> Outcome:
    """When the tests fail, no image is pushed (or built, if none is pushed)."""
    tests, images = some(scenario.tests), some(scenario.images)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        wanted = (*tests.commands, *tests.other_commands)
        gates = _these(running, wanted, tests.actions, tests.no_op_options)
        held = released(running, images)
        if not gates:
            return not_found(workflow, running, no_job_runs(tests.commands), tests.commands)
        if not held:
            message = "no job builds an image"
            return not_found(workflow, running, message, [*images.build, *images.both], images.actions)
        done = acts(context, workflow)
        # One gate is enough: other tests may well run beside or after.
        for gate in gates[:MAX_TRIED]:
            reached = simulation.run(workflow, done, scenario.trigger, gate)
            if not any(act in reached for act in held):
                return passed()
        return failed(unguarded(workflow, gates, held))

    return _of_a_push(context, scenario, judge)


@check("workflow.deploys", rule=_declares("deployments"))
def deploys(context: Context, *, scenario: Push) -> Outcome:
    """A job deploys, and its environment, runner, namespace, overlay, cluster or host is the target."""
    wanted = some(scenario.deployments)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        found = Finder(wanted, running, context.submission).found
        aimed = [each for each in found if each.aimed]
        if any(each.known for each in aimed):
            return passed()
        if aimed:
            first = aimed[0].act
            return passed(
                Finding(
                    message="taken for a deployment, as it is not known to be anything else",
                    actual=describe(first),
                    where=first.where,
                )
            )
        if not found:
            return not_found(workflow, running, "no job deploys", wanted.commands, wanted.actions)
        first = found[0].act
        target = f"environment {first.job.target}: " if first.job.target else ""
        return failed(
            Finding(
                message="the deployment does not name the environment that the exam asks for",
                expected="an environment, namespace, overlay, cluster or host of that name",
                actual=f"{target}{describe(first)}",
                where=locations([each.act for each in found]),
            )
        )

    return _of_a_push(context, scenario, judge)


@check("workflow.follows", rule=_declares("deployments", "images"))
def follows(context: Context, *, scenario: Push) -> Outcome:
    """A deployment waits for the image to be pushed."""
    wanted, images = some(scenario.deployments), some(scenario.images)

    def judge(workflow: Workflow, running: list[Act]) -> Outcome:
        found = Finder(wanted, running, context.submission).found
        later = [each.act for each in found if each.aimed] or [each.act for each in found]
        first = released(running, images)
        if any(
            simulation.comes_after(workflow, act, one)
            for act in later[:MAX_TRIED]
            for one in first[:MAX_TRIED]
        ):
            return passed()
        if not later:
            return not_found(workflow, running, "no job deploys", wanted.commands, wanted.actions)
        if not first:
            message = "no job builds an image"
            return not_found(workflow, running, message, [*images.build, *images.both], images.actions)
        return failed(
            Finding(
                message="the deployment does not wait for the job that pushes the image",
                expected="a deployment that comes after the push of the image",
                where=locations(later),
            )
        )

    return _of_a_push(context, scenario, judge)


CHECKS = (
    valid,
    triggered,
    job_runs,
    runs,
    measures_coverage,
    scan_fails,
    builds_image,
    gated,
    deploys,
    follows,
)
