"""What is said of a workflow that does not do what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.checks.workflow import simulation
from grader.results import Finding, Outcome, failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.checks.workflow.actions import Act
    from grader.checks.workflow.facts import Workflow

MAX_TRIED = 50
"""How many acts of a kind are tried out: no honest workflow comes near it."""


def no_job_runs(commands: Sequence[str], actions: Sequence[str] = ()) -> str:
    """The message for a first command or action that no job has."""
    return f"no job runs {[*commands, *actions][0].split()[0]}"


def nowhere(
    workflow: Workflow,
    running: Sequence[Act],
    message: str,
    commands: Sequence[str],
    actions: Sequence[str] = (),
) -> Outcome:
    """That nothing of the kind runs: one example a program, and what does run."""
    examples = {name.split()[0]: name for name in reversed([*commands, *actions])}
    ran = dict.fromkeys(act.command.program if act.command else act.step.uses for act in running)
    return failed(
        Finding(
            message=message,
            expected=f"such as {', '.join(list(reversed(examples.values()))[:3])}",
            actual=", ".join(filter(None, ran))[:200] or "nothing runs on a push",
            where=workflow.where("jobs"),
        )
    )


def let_through(workflow: Workflow, gates: Sequence[Act], held: Sequence[Act]) -> Finding:
    """Why tests that fail do not keep an image back."""
    expected = "no image is pushed where a test fails"
    before = [
        gate
        for gate in gates[:MAX_TRIED]
        if any(simulation.comes_after(workflow, act, gate) for act in held[:MAX_TRIED])
    ]
    if not before:
        message = "the image is made without waiting for the tests"
    elif all(gate.pardoned for gate in before):
        message = "the tests' failure is undone, so that the image is made all the same"
        return Finding(message=message, expected=expected, actual=does(before[0]), where=wheres(before))
    else:
        message = "by its condition, the image is made even where the tests fail"
    return Finding(message=message, expected=expected, where=wheres(held))


def wheres(found: Sequence[Act]) -> str:
    """Where the first of some acts stand."""
    return ", ".join(dict.fromkeys(act.where for act in found[:5]))


def does(act: Act) -> str:
    """What an act runs or uses."""
    return " ".join(act.command.words)[:200] if act.command else act.step.uses
