"""What a workflow deploys, and where to."""

from __future__ import annotations

import fnmatch
import itertools
import posixpath
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from grader.checks.workflow.actions import Act, matching, uses
from grader.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.workflow.facts import Job
    from grader.checks.workflow.scenarios import Deployments
    from grader.readers.shell.failure import Trace
    from grader.submission.model import Submission

MAX_MANIFESTS = 50
MAX_NOUNS = 3
"""Words in front of a tool's verb: `az ml online-endpoint show`."""
_SENDING = ("-X", "--request", "-d", "--data", "--data-raw", "--data-binary", "--json", "-F", "--form", "-T")
_READING_METHODS = ("GET", "HEAD", "OPTIONS")
_VERBS = ("command", "args", "cmd")
"""Inputs of an action that its tool is given."""
_SEVERAL = re.compile(r"[\n;&|]")
_REMOTE = ("--host", "--context", "-H", "-c")
_IN_CONTAINERS = (("docker",), ("podman",), ("nerdctl",), ("docker-compose",))
"""What a container runs is only guessed, so it has to be known to deploy."""
_HOSTED = re.compile(r"(?:ubuntu|windows|macos)-[\w.-]+(?:\s|$)", re.IGNORECASE)
"""GitHub's own machines, which are gone after the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """An act that deploys."""

    act: Act
    known: bool
    """It is one of those that the rubric lists."""
    aimed: bool
    """It is aimed at the target."""


@dataclass(frozen=True)
class Finder:
    """Finds the deployments among the acts of a push."""

    wanted: Deployments
    running: Sequence[Act]
    submission: Submission
    _target: re.Pattern[str] = field(init=False)
    _kinds: dict[Act, tuple[bool, bool]] = field(default_factory=dict, init=False)
    _namespaces: dict[str, tuple[str, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_target", re.compile(self.wanted.target, re.IGNORECASE))

    @cached_property
    def found(self) -> list[Deployment]:
        """Every deployment of a known kind, and whatever else a job that is aimed at the target does."""
        found: list[Deployment] = []
        for act in self.running:
            known, possible = self._kind(act)
            if not possible:
                continue
            aimed = self._aims(act)
            if known or aimed:
                found.append(Deployment(act=act, known=known, aimed=aimed))
        return found

    def _kind(self, act: Act) -> tuple[bool, bool]:
        """Whether it is known to deploy, and whether it may."""
        if act not in self._kinds:
            known = self._is_known(act)
            self._kinds[act] = (known, known or self._may_deploy(act))
        return self._kinds[act]

    def _looks(self, act: Act) -> bool:
        """Whether its verb says that it only looks; an action's verb is in what its tool is given."""
        if act.command is None:
            given = next(filter(None, map(act.step.inputs.get, _VERBS)), "").strip()
            words = [] if _SEVERAL.search(given) else given.split()
        else:
            words = list(act.command.own_words)
        verbs = itertools.islice((word for word in words if not word.startswith("-")), MAX_NOUNS + 1)
        return any(re.fullmatch(self.wanted.looks, verb) is not None for verb in verbs)

    def _is_known(self, act: Act) -> bool:
        if self._is_local(act):
            return False
        return (uses(act, self.wanted.actions) and not self._looks(act)) or (
            matching(act, self.wanted.commands, self.wanted.no_op_options) is not None
        )

    def _is_local(self, act: Act) -> bool:
        """Whether it starts something on a machine that GitHub lends for the job."""
        command = act.command
        if command is None or matching(act, self.wanted.local_commands) is None:
            return False
        remote = "DOCKER_HOST" in command.environment or any(command.is_given(name) for name in _REMOTE)
        return not remote and "ssh" not in act.through and _HOSTED.search(act.job.runner + " ") is not None

    def _may_deploy(self, act: Act) -> bool:
        """Whether it is not known to deploy nothing."""
        if re.search(self.wanted.notice, act.text, re.IGNORECASE) or self._is_local(act) or self._looks(act):
            return False
        command = act.command
        if command is None:
            name = act.step.uses.lower()
            return not any(
                fnmatch.fnmatchcase(name, pattern.lower()) for pattern in self.wanted.no_op_actions
            )
        if (
            not command.program
            or command.program.startswith(("$", "-"))
            or command.has(*self.wanted.no_op_options)
        ):
            return False
        if act.step.uses and act.through[:1] == (act.step.uses,):
            return False  # what an action does with its inputs is only guessed
        if self._leads_on(act) or self._is_missing(act) or act.through[-1:] in _IN_CONTAINERS:
            return False
        if matching(act, self.wanted.no_op_commands) is not None:
            return False
        if matching(act, self.wanted.commands) is not None:
            return False  # with an option that keeps it from deploying
        if command.program in self.wanted.requests:
            return self._sends(act)
        return True

    def _leads_on(self, act: Act) -> bool:
        """Whether it is a script of the submission, which does what its own commands do."""
        return act.command is not None and act.command.trace in self._followed

    @cached_property
    def _followed(self) -> frozenset[Trace]:
        """Where the commands stand that lead to others."""
        traces = (act.command.trace for act in self.running if act.command is not None)
        return frozenset(trace[:end] for trace in traces for end in range(1, len(trace)))

    def _is_missing(self, act: Act) -> bool:
        """Whether it is a script that the submission does not have."""
        words = () if act.command is None else act.command.words
        script = next((word for word in words if word.endswith((".sh", ".py"))), "")
        path = posixpath.normpath(script).lstrip("./")
        return bool(script) and not any(f"/{name}".endswith(f"/{path}") for name in self.submission.files)

    def _sends(self, act: Act) -> bool:
        """Whether a request changes something: it carries something, or asks for a hook."""
        command = act.command
        if command is None:
            return False
        method = command.option("-X", "--request")
        if method is not None and method.upper() in _READING_METHODS:
            return False
        named = " ".join((*command.arguments, *re.findall(r"\$\{?(\w+)", " ".join(command.arguments))))
        return any(command.is_given(name) for name in _SENDING) or bool(
            re.search(self.wanted.hook, named, re.IGNORECASE)
        )

    def _aims(self, act: Act) -> bool:
        """Whether its environment, runner, namespace, overlay, cluster, host or variable is the target."""
        place = self._named_at.get(act.job.id)
        return place is not None and place <= act.position

    @cached_property
    def _named_at(self) -> dict[str, tuple[int, int]]:
        """From where on each job names the target: its beginning, or an act of its own."""
        found: dict[str, tuple[int, int]] = {}
        for job in {act.job.id: act.job for act in self.running}.values():
            if any(map(self._target.search, (job.target, job.runner, *_references(job)))):
                found[job.id] = (0, 0)
        for act in self.running:
            if act.job.id not in found and any(map(self._target.search, self._named_by(act))):
                found[act.job.id] = act.position
        return found

    def _named_by(self, act: Act) -> Iterator[str]:
        """What an act says of where it works; what deploys nothing says nothing, unless it sets the place."""
        if act.command is None:
            if self._kind(act)[1] or self._sets_context(act):
                yield from act.step.inputs.values()
                yield from _own_variables(act)
            return
        line = act.command
        if not (self._sets_context(act) or self._kind(act)[1]):
            return
        yield " ".join(word for word in line.words if not word.startswith("/dev/"))
        yield line.stdin
        yield act.step.directory
        yield from _own_variables(act)
        for option in ("-f", "--filename", "-k", "--kustomize"):
            if (path := line.option(option)) is not None:
                folder = posixpath.normpath(posixpath.join(act.step.directory, path))
                if folder not in self._namespaces:
                    self._namespaces[folder] = tuple(_namespaces(self.submission, folder))
                yield from self._namespaces[folder]

    def _sets_context(self, act: Act) -> bool:
        """Whether it says where the acts after it work: `kubectl config use-context dev`."""
        if act.command is None:
            return not act.step.uses.lower().startswith(("actions/", "docker/"))
        return act.command.program in self.wanted.context_commands


def _references(job: Job) -> Iterator[str]:
    """The secrets and variables of the repository that a job uses, such as `KUBE_CONFIG_DEV`."""
    for step in job.steps:
        for text in (step.script, *step.inputs.values(), *step.environment.values()):
            yield from re.findall(r"\b(?:secrets|vars)\.([\w-]+)", text)


def _own_variables(act: Act) -> Iterator[str]:
    """Values set for the step or its job: `NAMESPACE: dev`."""
    for data in (act.step.data, act.job.data):
        values = data.get("env")
        for name, value in values.items() if isinstance(values, dict) else ():
            yield f"{name}={value}"


def _namespaces(submission: Submission, path: str) -> Iterator[str]:
    """The namespaces that manifests below a path are for."""
    names = (name for name in map(str, submission.files) if name == path or name.startswith(path + "/"))
    for _, name in zip(range(MAX_MANIFESTS), names, strict=False):
        file = submission.file(name)
        if file is None or not name.endswith((".yaml", ".yml")) or isinstance(file.yaml, Problem):
            continue
        for document in file.yaml:
            match document.data:
                case {"metadata": {"namespace": str(namespace)}} | {"namespace": str(namespace)}:
                    yield namespace
