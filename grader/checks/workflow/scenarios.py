"""What a rubric says about a workflow: the event that starts it, and what counts as which kind of work."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from grader.check import Deliverable, Names, Parameters, Scenario
from grader.checks.workflow.events import Event
from grader.errors import GraderFault

Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]


def _is_a_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_is_a_pattern)]


T = TypeVar("T")


def some(part: T | None) -> T:
    """A part of a scenario that a check's rule requires."""
    if part is None:
        raise GraderFault("a check reads a part that its scenario lacks")
    return part


class Testing(Parameters):
    """Running the tests."""

    commands: Names
    """Commands that run the tests as asked for: a program and the words that follow it."""
    other_commands: tuple[str, ...] = ()
    """Commands that run tests too, and so can hold back what comes after."""
    no_op_options: tuple[str, ...] = ()
    """Options with which a command runs no test."""
    actions: tuple[str, ...] = ()
    """Actions that run the tests as asked for, without their versions."""
    coverage_option: str
    """The option with which a test command measures coverage."""
    coverage_programs: tuple[str, ...] = ()
    """Programs that measure the coverage of whatever they run."""


class Scans(Parameters):
    """Scanning for vulnerabilities."""

    commands: Names
    """Commands that scan: a program and the words that follow it."""
    actions: tuple[str, ...] = ()
    """Actions that scan, without their versions."""
    no_op_options: tuple[str, ...] = ()
    """Options with which a command scans nothing."""
    severities: Annotated[tuple[Severity, ...], Field(min_length=1)]
    """Every severity that has to fail the workflow."""


class Images(Parameters):
    """Building and pushing an image."""

    build: Names
    """Commands that build an image."""
    push: Names
    """Commands that push one."""
    both: tuple[str, ...] = ()
    """Commands that do both."""
    actions: tuple[str, ...] = ()
    """Actions that build, and push if their inputs say so."""
    pushing_actions: tuple[str, ...] = ()
    """Actions that always build and push."""


class Deployments(Parameters):
    """Deploying, and where to. What is not known to change nothing is taken for a deployment."""

    target: Pattern
    """Matches the name of the environment that is deployed to, as part of a longer name too."""
    commands: Names
    """Commands that deploy."""
    actions: tuple[str, ...] = ()
    """Actions that deploy."""
    no_op_options: tuple[str, ...] = ()
    """Options with which a command deploys nothing."""
    no_op_commands: tuple[str, ...] = ()
    """Commands that deploy nothing."""
    no_op_actions: tuple[str, ...] = ()
    """Actions that deploy nothing, as patterns of `owner/repository`."""
    looks: Pattern = r"(?!)"
    """Matches the verb of a tool that only looks at what is there, or at what would be done."""
    requests: tuple[str, ...] = ()
    """Programs that send requests, which deploy if they send something or name a hook."""
    hook: Pattern = r"(?!)"
    """Matches the name of a hook that deploys, in what a request is sent to."""
    notice: Pattern = r"(?!)"
    """Matches the name of what only notifies people."""
    local_commands: tuple[str, ...] = ()
    """Commands that start something where they run: no deployment on a machine that is gone afterwards."""
    context_commands: tuple[str, ...] = ()
    """Programs that deploy nothing, but say where the commands after them work."""


class Push(Scenario):
    """What a workflow does when an event starts it."""

    kind: ClassVar[str] = "workflow"

    workflow: Deliverable
    """The workflow."""
    branch: str = ""
    """The branch that is pushed to, where a push to a branch starts it."""
    event: Event | None = None
    """What starts it otherwise, such as `{tag: v1.2.3}` or `{name: pull_request, branch: main}`."""
    tests: Testing | None = None
    """Running the tests."""
    scans: Scans | None = None
    """Scanning for vulnerabilities."""
    images: Images | None = None
    """Building and pushing an image."""
    deployments: Deployments | None = None
    """Deploying, and where to."""

    @model_validator(mode="after")
    def _has_one_event(self) -> Self:
        if bool(self.branch) == (self.event is not None):
            raise ValueError(
                "a workflow is started by a push to a `branch` or by an `event`: give one of them"
            )
        return self

    @property
    def trigger(self) -> Event:
        """What starts it."""
        return self.event or Event(branch=self.branch)
