"""A candidate's answers beside the reference solution's, for those who mark and explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.results import Comparison, CriterionResult, Status, TaskResult
from grader.submission.collect import collect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from grader.exam.model import Exam, Task
    from grader.submission.model import Submission
    from grader.tools import Tools

MAX_BYTES = 2**18
MAX_LINES = 400
"""Of a file that is shown; a deliverable is rarely half as long."""


def comparisons(
    tasks: Iterable[Task],
    results: Mapping[str, TaskResult],
    submission: Submission,
    exam: Exam,
    *,
    scratch: Path,
    tools: Tools,
) -> tuple[Comparison, ...]:
    """The files of every criterion that did not earn all, each once a task, theirs and the reference's."""
    reference = collect(str(exam.reference), exam=exam, into=scratch / "reference", tools=tools)
    return tuple(
        Comparison(
            task=task.id,
            deliverable=name,
            path=_path(submission, name),
            text=_text(submission, name),
            reference_path=_path(reference, name),
            reference_text=_text(reference, name),
        )
        for task in tasks
        for name in _concerned(task, results[task.id])
    )


def _concerned(task: Task, result: TaskResult) -> tuple[str, ...]:
    """Deliverables on which a criterion lost points; all of the task where its rubric ties it to none."""
    failed = {row.id for row in result.criteria if _has_lost(row)}
    every = tuple(deliverable.id for deliverable in task.deliverables)
    names = (
        name for criterion in task.criteria if criterion.id in failed for name in (criterion.files or every)
    )
    return tuple(dict.fromkeys(names))


def _has_lost(row: CriterionResult) -> bool:
    """Not what is still undecided, nor what only follows from another loss."""
    return any(part.status is Status.LOST for part in row.parts)


def _path(submission: Submission, name: str) -> str:
    file = submission.deliverable(name)
    return "" if file is None else file.name


def _text(submission: Submission, name: str) -> str:
    file = submission.deliverable(name)
    data = b"" if file is None else (submission.root / file.path).read_bytes()
    lines = data[:MAX_BYTES].decode("utf-8", "replace").splitlines()
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… {len(lines) - MAX_LINES} more lines"]
    return "\n".join(lines)
