"""Findings about a workflow that does not do what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.checks.workflow import simulation
from grader.results import Finding, Outcome, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.checks.workflow.actions import Act
    from grader.checks.workflow.facts import Workflow

MAX_TRIED = 50
"""How many acts of a kind are tried out, more than an honest workflow has."""


def no_job_runs(commands: Sequence[str], actions: Sequence[str] = ()) -> str:
    """The message for commands and actions that no job has, named after the first."""
    return f"no job runs {[*commands, *actions][0].split()[0]}"


def not_found(
    workflow: Workflow,
    running: Sequence[Act],
    message: str,
    commands: Sequence[str],
    actions: Sequence[str] = (),
) -> Outcome:
    """Nothing of the kind runs: one example for each program, and what runs instead."""
    examples: dict[str, str] = {}
    for name in (*commands, *actions):
        examples.setdefault(name.split()[0], name)
    ran = dict.fromkeys(act.command.program if act.command else act.step.uses for act in running)
    return failed(
        Finding(
            message=message,
            expected=f"such as {', '.join(list(examples.values())[:3])}",
            actual=", ".join(filter(None, ran))[:200] or "nothing runs on a push",
            where=workflow.where("jobs"),
        )
    )


def unguarded(workflow: Workflow, gates: Sequence[Act], held: Sequence[Act]) -> Finding:
    """Why failing tests do not hold an image back."""
    expected = "no image is pushed when a test fails"
    before = [
        gate
        for gate in gates[:MAX_TRIED]
        if any(simulation.comes_after(workflow, act, gate) for act in held[:MAX_TRIED])
    ]
    if not before:
        message = "the image is built and pushed without waiting for the tests"
    elif all(gate.failure_ignored for gate in before):
        message = "the failure of the tests is ignored, so the image is built and pushed all the same"
        return Finding(
            message=message, expected=expected, actual=describe(before[0]), where=locations(before)
        )
    else:
        message = "its condition lets the image be built and pushed even when the tests fail"
    return Finding(message=message, expected=expected, where=locations(held))


def locations(found: Sequence[Act]) -> str:
    """The places of the first acts."""
    return ", ".join(dict.fromkeys(act.where for act in found[:5]))


def describe(act: Act) -> str:
    """What an act runs or uses."""
    return " ".join(act.command.words)[:200] if act.command else act.step.uses
