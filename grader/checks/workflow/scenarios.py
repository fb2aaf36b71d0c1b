"""What a rubric says about a workflow: the push that starts it, and what counts as which kind of work."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from grader.check import Deliverable, Names, Parameters, Scenario

Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]


def _is_a_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_is_a_pattern)]


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
    """What a workflow does on a push to a branch."""

    kind: ClassVar[str] = "workflow"

    workflow: Deliverable
    """The workflow."""
    branch: str
    """The branch that is pushed to."""
    tests: Testing
    """Running the tests."""
    scans: Scans
    """Scanning for vulnerabilities."""
    images: Images
    """Building and pushing an image."""
    deployments: Deployments
    """Deploying, and where to."""
