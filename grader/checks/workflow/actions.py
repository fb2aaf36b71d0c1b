"""What a workflow does: its actions, and its commands with the submission's own scripts followed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.checks.dockerfile.build_commands import action_script, build_script, is_build
from grader.checks.dockerfile.image import quoted
from grader.readers.shell.containers import image_program
from grader.readers.shell.failure import STOPS_AT_FAILURE, Manner, runs_after_failure
from grader.readers.shell.follow import Followed, SubmissionFiles, follow
from grader.readers.shell.parser import SHELLS, shell_manner
from grader.readers.shell.pattern import matches
from grader.readers.shell.wrappers import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from grader.checks.workflow.facts import Job, Step, Workflow
    from grader.context import Context
    from grader.readers.shell.follow import Files
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

MAX_ACTS = 2_000
"""Actions and commands of one workflow that are read."""
_HOOKS = "pre-commit/action"
MAX_BUILDS = 5
"""Builds of one step whose Dockerfile is read."""
_BUILDERS = frozenset(
    {"docker/build-push-action", "depot/build-push-action", "useblacksmith/build-push-action"}
)
"""Actions that build an image by the inputs `context`, `file` and `target`."""
_COMMAND_INPUTS = frozenset({"run", "runcmd", "command", "cmd"})
"""Inputs, in small letters, in which actions are given a command that they run."""
_GOES_ON = frozenset({"nick-fields/retry", "nick-invision/retry", "devcontainers/ci"})
"""Actions that give it to a shell which does not stop at a failure; of others the better is assumed."""


@dataclass(frozen=True, slots=True, eq=False)
class Act:
    """One thing that a step does: an action that it uses, or a command that it runs."""

    job: Job
    step: Step
    position: tuple[int, int]
    """The step's place in its job, and its own in the step."""
    where: str
    command: Command | None = None
    through: tuple[str, ...] = ()
    """The programs that run this one, such as `coverage` or `make`."""

    @property
    def goes_on(self) -> bool:
        """Whether its step ends well when it fails."""
        return self.command is not None and self.command.failure_ignored

    @property
    def failure_ignored(self) -> bool:
        """Whether the workflow goes on, and ends well, when it fails."""
        return self.goes_on or self.step.failure_ignored or self.job.failure_ignored

    @property
    def text(self) -> str:
        """Everything that it says: its words and what it is given to read, or its action's inputs."""
        if self.command is None:
            return " ".join((self.step.uses, *self.step.inputs.values()))
        return " ".join((*self.command.words, self.command.stdin))

    def runs_without(self, failed: Act) -> bool:
        """Whether it runs although another act of the same step failed."""
        if self.command is None or failed.command is None:
            return False
        own = self.command.trace
        if failed.command.trace[: len(own)] == own and not failed.goes_on:
            return False  # it failed within this one, which came to no end
        return runs_after_failure(self.command.trace, failed.command.trace)


def acts(context: Context, workflow: Workflow) -> tuple[Act, ...]:
    """Everything that the jobs do, in order, found once; no more than `MAX_ACTS`."""
    return _read(context, workflow)[:MAX_ACTS]


def has_more(context: Context, workflow: Workflow) -> bool:
    """Whether the jobs do more than `acts` tells."""
    return len(_read(context, workflow)) > MAX_ACTS


def _read(context: Context, workflow: Workflow) -> tuple[Act, ...]:
    return context.memo.once(
        ("workflow.acts", workflow.file.name, workflow.event),
        lambda: tuple(itertools.islice(_acts(context.submission, workflow), MAX_ACTS + 1)),
    )


def _acts(submission: Submission, workflow: Workflow) -> Iterator[Act]:
    files = SubmissionFiles(submission)
    for job in workflow.jobs.values():
        for index, step in enumerate(job.steps):
            script = step.script
            how, through = manner(step.shell), tuple[str, ...]()
            if step.uses.startswith("docker://"):
                script = f"{quoted([image_program(step.uses)])} {step.inputs.get('args', '')}"
            elif step.uses.lower() == _HOOKS:
                script = f"pre-commit run {step.inputs.get('extra_args', '--all-files')}"
            elif step.uses:
                yield Act(job, step, (index, 0), step.where)
                script, how, through = _handed_on(step), _manner_of_action(step), (step.uses,)
                if step.uses.lower() in _BUILDERS:
                    script, how = action_script(step.inputs, files), STOPS_AT_FAILURE
            first = (step.line or 1) + ("\n" in step.script) - 1
            ran = follow(script, files, environment=step.environment, folder=step.directory, manner=how)
            for number, each in enumerate(_with_builds(ran, files), start=len(through)):
                where = step.where if through else f"{step.file}:{first + each.command.line}"
                yield Act(job, step, (index, number), where, each.command, (*through, *each.through))


def _with_builds(ran: Iterable[Followed], files: Files) -> Iterator[Followed]:
    """Commands, and in front of a build those that it runs: what fails in it fails it."""
    read: set[tuple[str, ...]] = set()
    for each in ran:
        if is_build(each.command) and each.command.words not in read and len(read) < MAX_BUILDS:
            read.add(each.command.words)
            for inner in follow(build_script(each.command, files, each.folder), files):
                trace = (*each.command.trace, *inner.command.trace)
                yield Followed(
                    command=replace(inner.command, trace=trace, line=each.command.line),
                    folder=inner.folder,
                    through=(*each.through, each.command.program, *inner.through),
                )
        yield each


def _handed_on(step: Step) -> str:
    """The command that an action is given to run, empty where it is given none."""
    return next((text for name, text in step.inputs.items() if name.lower() in _COMMAND_INPUTS), "")


def _manner_of_action(step: Step) -> Manner:
    pardoned = step.inputs.get("continue_on_error", "").strip().lower() == "true"
    stops = step.uses.lower() not in _GOES_ON
    return Manner(errexit=stops, pipefail=stops, checked=not pardoned)


def manner(shell: str) -> Manner:
    """How GitHub runs the script of a step: `bash -e {0}` by default, `bash -eo pipefail {0}` for `bash`."""
    words = shell.split()
    if words[:1] and name_of(words[0]) not in SHELLS:
        return Manner()
    if len(words) < 2:
        return Manner(pipefail=words == ["bash"])
    return shell_manner(words[1:])


def matching(act: Act, wanted: Sequence[str], no_op_options: Sequence[str] = ()) -> Command | None:
    """The command of an act that does what one of the patterns names."""
    line = () if act.command is None else (act.command,)
    return next((match.command for match in matches(line, wanted, no_op_options)), None)


def uses(act: Act, actions: Sequence[str]) -> bool:
    """Whether an act is one of these actions, by `owner/repository` and path."""
    return act.command is None and act.step.uses.lower() in {action.lower() for action in actions}
