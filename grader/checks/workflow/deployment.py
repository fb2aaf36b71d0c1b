"""Where a workflow deploys to."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from grader.checks.workflow.actions import Act, matching, uses
from grader.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.workflow.facts import Job
    from grader.submission.model import Submission

MAX_MANIFESTS = 50


def deploys(act: Act, commands: Sequence[str], actions: Sequence[str], idle: Sequence[str]) -> bool:
    """Whether an act is a deployment, wherever to."""
    return uses(act, actions) or matching(act, commands, idle) is not None


def aims_at(
    act: Act,
    done: Sequence[Act],
    submission: Submission,
    target: str,
    programs: frozenset[str],
    setup: Sequence[str],
) -> bool:
    """Whether a deployment's environment, namespace, overlay, cluster or host is the target.

    Args:
        target: a pattern that is looked for in what names one of these.
        programs: those whose words and variables may name it.
        setup: prefixes of actions whose inputs say nothing of it.
    """
    wanted = re.compile(target, re.IGNORECASE)
    if wanted.search(act.job.target) or any(map(wanted.search, _references(act.job))):
        return True
    near = [each for each in done if each.job.id == act.job.id and each.position <= act.position]
    return any(wanted.search(text) for each in near for text in _named_by(each, submission, programs, setup))


def _references(job: Job) -> Iterator[str]:
    """The secrets and variables of the repository that a job uses, such as `KUBE_CONFIG_DEV`."""
    for step in job.steps:
        for text in (step.script, *step.inputs.values(), *step.environment.values()):
            yield from re.findall(r"\b(?:secrets|vars)\.([\w-]+)", text)


def _named_by(
    act: Act, submission: Submission, programs: frozenset[str], setup: Sequence[str]
) -> Iterator[str]:
    if act.command is None:
        if not act.step.uses.lower().startswith(tuple(prefix.lower() for prefix in setup)):
            yield from act.step.inputs.values()
            yield from _own_variables(act)
        return
    line = act.command
    if line.program not in programs:
        return
    yield " ".join(word for word in line.words if not word.startswith("/dev/"))
    yield line.stdin
    yield act.step.directory
    yield from _own_variables(act)
    for option in ("-f", "--filename", "-k", "--kustomize"):
        if (path := line.option(option)) is not None:
            yield from _namespaces(submission, posixpath.join(act.step.directory, path))


def _own_variables(act: Act) -> Iterator[str]:
    """Values set for the step or its job: `NAMESPACE: dev`."""
    for data in (act.step.data, act.job.data):
        values = data.get("env")
        for name, value in values.items() if isinstance(values, dict) else ():
            yield f"{name}={value}"


def _namespaces(submission: Submission, path: str) -> Iterator[str]:
    """The namespaces that manifests below a path are for."""
    start = posixpath.normpath(path)
    names = (name for name in map(str, submission.files) if name == start or name.startswith(start + "/"))
    for _, name in zip(range(MAX_MANIFESTS), names, strict=False):
        file = submission.file(name)
        if file is None or not name.endswith((".yaml", ".yml")) or isinstance(file.yaml, Problem):
            continue
        for document in file.yaml:
            match document.data:
                case {"metadata": {"namespace": str(namespace)}} | {"namespace": str(namespace)}:
                    yield namespace
