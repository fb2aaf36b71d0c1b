"""GitHub workflows: are they valid, when do they run, what do their jobs do and in which order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from grader.check import Deliverable, check
from grader.checks.workflow import facts as workflow_facts
from grader.checks.workflow import schema as workflow_schema
from grader.checks.workflow import simulation
from grader.checks.workflow import tools as workflow_tools
from grader.checks.workflow.actions import Act, acts, matching, uses
from grader.checks.workflow.deployment import aims_at, deploys
from grader.checks.workflow.findings import MAX_TRIED, does, let_through, no_job_runs, nowhere, wheres
from grader.checks.workflow.tools import ImageWords
from grader.checks.workflow.triggers import runs_on_push
from grader.documents import Problem
from grader.readers.plain_data import as_json
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grader.checks.workflow.facts import Workflow
    from grader.context import Context


def _decide(
    context: Context, file: str, judge: Callable[[Workflow], Outcome], *, branch: str | None = None
) -> Outcome:
    match workflow_facts.read(context, file, branch):
        case None:
            return failed(Finding(message="the workflow is missing"))
        case Problem() as problem:
            return failed(problem.finding("a GitHub workflow"))
        case workflow:
            return judge(workflow)


def _running(context: Context, workflow: Workflow, branch: str) -> list[Act]:
    """What runs on a push to the branch when all goes well, in order."""
    done = acts(context, workflow)
    reached = context.memo.once(
        ("workflow.running", workflow.file.name, branch), lambda: simulation.run(workflow, done, branch)
    )
    return [act for act in done if act in reached]


@check("workflow.valid")
def valid(context: Context, *, file: Deliverable) -> Outcome:
    """It is a valid GitHub workflow, and every `needs` names a job."""

    def judge(workflow: Workflow) -> Outcome:
        findings = tuple(workflow_schema.problems(workflow))
        return failed(*findings) if findings else passed()

    return _decide(context, file, judge)


@check("workflow.triggered")
def triggered(context: Context, *, file: Deliverable, branch: str) -> Outcome:
    """It runs on a push to the branch.

    Args:
        branch: the branch that is pushed to.
    """

    def judge(workflow: Workflow) -> Outcome:
        on = workflow.data.get("on")
        if runs_on_push(on, branch):
            return passed()
        return failed(
            Finding(
                message=f"the workflow does not run on a push to {branch}",
                expected=f"on: push, for {branch} at least",
                actual=json.dumps(as_json(on))[:200],
                where=workflow.where("on"),
            )
        )

    return _decide(context, file, judge, branch=branch)


@check("workflow.job_runs")
def job_runs(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    commands: tuple[str, ...],
    actions: tuple[str, ...],
    idle: tuple[str, ...],
) -> Outcome:
    """A job runs one of these commands, or uses one of these actions.

    Args:
        branch: the branch that is pushed to.
        commands: a program and the words that follow it, options aside; any of them.
        actions: actions, without their versions; any of them.
        idle: options with which a command does not do its work, such as `--version`.
    """

    def judge(workflow: Workflow) -> Outcome:
        running = _running(context, workflow, branch)
        if _these(running, commands, actions, idle):
            return passed()
        return nowhere(workflow, running, no_job_runs(commands, actions), commands, actions)

    return _decide(context, file, judge, branch=branch)


def _these(
    done: Sequence[Act], commands: Sequence[str], actions: Sequence[str], idle: Sequence[str] = ()
) -> list[Act]:
    return [act for act in done if uses(act, actions) or matching(act, commands, idle) is not None]


@check("workflow.measures_coverage")
def measures_coverage(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    commands: tuple[str, ...],
    idle: tuple[str, ...],
    option: str,
    measuring: tuple[str, ...],
) -> Outcome:
    """A job runs the tests with this option, given or configured, or under one of the measuring programs.

    Args:
        branch: the branch that is pushed to.
        commands: a program and the words that follow it, options aside; any of them.
        idle: options with which a command does not do its work, such as `--version`.
        option: the option of the test command.
        measuring: programs that measure whatever they run.
    """

    def judge(workflow: Workflow) -> Outcome:
        running = _running(context, workflow, branch)
        found = _these(running, commands, (), idle)
        configured = workflow_tools.configured_options(context.submission)
        for act in found:
            if workflow_tools.measures(act, matching(act, commands, idle), option, measuring, configured):
                return passed()
        if not found:
            return nowhere(workflow, running, no_job_runs(commands), commands)
        message = "the tests run without measuring coverage"
        return failed(Finding(message=message, actual=does(found[0]), where=wheres(found)))

    return _decide(context, file, judge, branch=branch)


@check("workflow.scan_fails")
def scan_fails(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    commands: tuple[str, ...],
    actions: tuple[str, ...],
    idle: tuple[str, ...],
    severities: Annotated[
        tuple[Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"], ...], Field(min_length=1)
    ],
) -> Outcome:
    """A Trivy scan fails the workflow on each of these severities, and nothing undoes it.

    Args:
        branch: the branch that is pushed to.
        commands: a program and the words that follow it, options aside; any of them.
        actions: actions, without their versions; any of them.
        idle: options with which a command does not do its work, such as `--version`.
        severities: every severity that has to stop the workflow.
    """

    def judge(workflow: Workflow) -> Outcome:
        running = _running(context, workflow, branch)
        found = _these(running, commands, actions, idle)
        findings = []
        for act in found:
            scan = workflow_tools.scan(act, matching(act, commands, idle), context.submission)
            if (complaint := scan.complaint(severities)) is None:
                return passed()
            findings.append(
                Finding(message=complaint, expected=f"a failure on {', '.join(severities)}", where=act.where)
            )
        if findings:
            return failed(*findings)
        return nowhere(workflow, running, no_job_runs(commands, actions), commands, actions)

    return _decide(context, file, judge, branch=branch)


@check("workflow.builds_image")
def builds_image(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    build: tuple[str, ...],
    push: tuple[str, ...],
    both: tuple[str, ...],
    actions: tuple[str, ...],
    pushing_actions: tuple[str, ...],
) -> Outcome:
    """A job builds an image and pushes it.

    Args:
        branch: the branch that is pushed to.
        build: commands that build an image.
        push: commands that push one.
        both: commands that do both.
        actions: actions that build, and push where their inputs say so.
        pushing_actions: actions that always build and push.
    """
    words = ImageWords(build=build, push=push, both=both, actions=actions, pushing_actions=pushing_actions)

    def judge(workflow: Workflow) -> Outcome:
        made: dict[str, frozenset[str]] = {}
        running = _running(context, workflow, branch)
        for act in running:
            made[act.job.id] = made.get(act.job.id, frozenset()) | words.done_by(act)
        if any(did == {"build", "push"} for did in made.values()):
            return passed()
        builders = [workflow.jobs[job].where for job, did in made.items() if "build" in did]
        if not builders:
            return nowhere(workflow, running, "no job builds an image", [*build, *both], actions)
        message = "the image is built and not pushed"
        return failed(Finding(message=message, expected="a push in the same job", where=", ".join(builders)))

    return _decide(context, file, judge, branch=branch)


@check("workflow.gated")
def gated(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    tests: tuple[str, ...],
    idle: tuple[str, ...],
    build: tuple[str, ...],
    push: tuple[str, ...],
    both: tuple[str, ...],
    actions: tuple[str, ...],
    pushing_actions: tuple[str, ...],
) -> Outcome:
    """Where the tests fail, no image is pushed (or built, where none is pushed).

    Args:
        branch: the branch that is pushed to.
        tests: commands that run the tests.
        idle: options with which a command does not do its work, such as `--version`.
        build: commands that build an image.
        push: commands that push one.
        both: commands that do both.
        actions: actions that build, and push where their inputs say so.
        pushing_actions: actions that always build and push.
    """
    words = ImageWords(build=build, push=push, both=both, actions=actions, pushing_actions=pushing_actions)

    def judge(workflow: Workflow) -> Outcome:
        done = acts(context, workflow)
        running = _running(context, workflow, branch)
        gates = _these(running, tests, (), idle)
        held = words.released(running)
        if not gates or not held:
            message = "no job builds an image" if gates else no_job_runs(tests)
            return nowhere(
                workflow, running, message, [*build, *both] if gates else tests, actions if gates else ()
            )
        # One gate is enough: other tests may well run beside or after.
        for gate in gates[:MAX_TRIED]:
            reached = simulation.run(workflow, done, branch, gate)
            if not any(act in reached for act in held):
                return passed()
        return failed(let_through(workflow, gates, held))

    return _decide(context, file, judge, branch=branch)


@check("workflow.deploys")
def deploys_to(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    commands: tuple[str, ...],
    actions: tuple[str, ...],
    idle: tuple[str, ...],
    target: str,
    naming: tuple[str, ...],
    setup: tuple[str, ...],
) -> Outcome:
    """A job deploys, and its environment, namespace, overlay, cluster or host matches the target.

    Args:
        branch: the branch that is pushed to.
        commands: a program and the words that follow it, options aside; any of them.
        actions: actions, without their versions; any of them.
        idle: options with which a command does not do its work, such as `--version`.
        target: the environment that is deployed to.
        naming: more programs whose arguments tell where a job deploys to.
        setup: prefixes of actions whose inputs do not tell where a job deploys to.
    """

    def judge(workflow: Workflow) -> Outcome:
        running = _running(context, workflow, branch)
        found = [act for act in running if deploys(act, commands, actions, idle)]
        programs = frozenset(command.split()[0] for command in commands if command.strip()) | set(naming)
        if any(aims_at(act, running, context.submission, target, programs, setup) for act in found):
            return passed()
        if not found:
            return nowhere(workflow, running, "no job deploys", commands, actions)
        first = found[0]
        return failed(
            Finding(
                message="nothing says that the deployment goes to the environment that is asked for",
                expected="an environment, namespace, overlay, cluster or host of that name",
                actual=f"environment {first.job.target}: {does(first)}" if first.job.target else does(first),
                where=wheres(found),
            )
        )

    return _decide(context, file, judge, branch=branch)


@check("workflow.follows")
def follows(
    context: Context,
    *,
    file: Deliverable,
    branch: str,
    commands: tuple[str, ...],
    deploy_actions: tuple[str, ...],
    idle: tuple[str, ...],
    build: tuple[str, ...],
    push: tuple[str, ...],
    both: tuple[str, ...],
    actions: tuple[str, ...],
    pushing_actions: tuple[str, ...],
) -> Outcome:
    """A deployment (`commands`, `deploy_actions`) waits for the build of the image.

    Args:
        branch: the branch that is pushed to.
        commands: commands that deploy.
        deploy_actions: actions that deploy.
        idle: options with which a command does not do its work, such as `--version`.
        build: commands that build an image.
        push: commands that push one.
        both: commands that do both.
        actions: actions that build, and push where their inputs say so.
        pushing_actions: actions that always build and push.
    """
    words = ImageWords(build=build, push=push, both=both, actions=actions, pushing_actions=pushing_actions)

    def judge(workflow: Workflow) -> Outcome:
        running = _running(context, workflow, branch)
        first = words.released(running)
        later = [act for act in running if deploys(act, commands, deploy_actions, idle)]
        if any(
            simulation.comes_after(workflow, act, one)
            for act in later[:MAX_TRIED]
            for one in first[:MAX_TRIED]
        ):
            return passed()
        if not later or not first:
            message = "no job deploys" if not later else "no job builds an image"
            wanted = ([*build, *both], actions) if later else (commands, deploy_actions)
            return nowhere(workflow, running, message, *wanted)
        return failed(
            Finding(
                message="the deployment does not wait for the image",
                expected="a deployment that comes after the push of the image",
                where=wheres(later),
            )
        )

    return _decide(context, file, judge, branch=branch)


CHECKS = (
    valid,
    triggered,
    job_runs,
    measures_coverage,
    scan_fails,
    builds_image,
    gated,
    deploys_to,
    follows,
)
