"""What a workflow does: its actions, and its commands with the submission's own scripts followed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks.dockerfile.image import quoted
from grader.readers.shell.containers import image_program
from grader.readers.shell.follow import SubmissionFiles, follow
from grader.readers.shell.pattern import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.workflow.facts import Job, Step, Workflow
    from grader.context import Context
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

MAX_ACTS = 2_000


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
    forgiven: bool = False
    """Its failure does not fail the step."""

    @property
    def pardoned(self) -> bool:
        """Whether the workflow goes on, and ends well, when it fails."""
        return self.forgiven or self.step.forgiven or self.job.forgiven


def acts(context: Context, workflow: Workflow) -> tuple[Act, ...]:
    """Everything that the jobs do, in order, found once."""
    return context.memo.once(
        ("workflow.acts", workflow.file.name, workflow.branch),
        lambda: tuple(itertools.islice(_acts(context.submission, workflow), MAX_ACTS)),
    )


def _acts(submission: Submission, workflow: Workflow) -> Iterator[Act]:
    files = SubmissionFiles(submission)
    for job in workflow.jobs.values():
        for index, step in enumerate(job.steps):
            script, pipefail = step.script, step.shell.split()[:1] == ["bash"]
            if step.uses.startswith("docker://"):
                script = f"{quoted([image_program(step.uses)])} {step.inputs.get('args', '')}"
            elif step.uses:
                yield Act(job, step, (index, 0), step.where)
                continue
            first = (step.line or 1) + ("\n" in step.script) - 1
            ran = follow(
                script, files, environment=step.environment, folder=step.directory, pipefail=pipefail
            )
            for number, each in enumerate(ran):
                where = f"{step.file}:{first + each.command.line}"
                yield Act(
                    job, step, (index, number), where, each.command, each.through, each.command.forgiven
                )


def matching(act: Act, wanted: Sequence[str], idle: Sequence[str] = ()) -> Command | None:
    """The command of an act that does what one of the patterns names."""
    line = () if act.command is None else (act.command,)
    return next((match.command for match in matches(line, wanted, idle)), None)


def uses(act: Act, actions: Sequence[str]) -> bool:
    """Whether an act is one of these actions, by `owner/repository` and path."""
    return bool(act.step.uses) and act.step.uses.lower() in {action.lower() for action in actions}
