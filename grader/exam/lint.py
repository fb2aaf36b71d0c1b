"""What an exam author should change: all that loading refuses, and matters of style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.exam.diagnostics import Complaint
from grader.exam.loader import EXAM_FILE, examine
from grader.exam.schema import read_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from grader.check import Check
    from grader.exam.model import Exam, Task

MAX_TITLE = 100


def lint(
    directory: Path, checks: Mapping[str, Check], *, exists: Callable[[str], bool] | None = None
) -> tuple[Complaint, ...]:
    """Every complaint about an exam, errors and warnings, in order of files and lines.

    Args:
        exists: whether a version of Python (`3.11`) can be had; None: nobody knows.

    Raises:
        UsageError: the folder holds no exam.
    """
    examination = examine(directory, checks)
    style = [] if examination.exam is None else list(_style(examination.exam))
    python = [] if exists is None else list(_python(directory, exists))
    return tuple(sorted((*examination.complaints, *style, *python)))


def _python(directory: Path, exists: Callable[[str], bool]) -> Iterator[Complaint]:
    sheet, wrong = read_sheet(directory / EXAM_FILE, "exam")
    if sheet is None or wrong:  # complained of already
        return
    version = sheet.data.get("environment", {}).get("python")
    if version is not None and not exists(version):
        said = f"there is no Python {version}; `uv python list` shows those that there are"
        yield sheet.complain(said, "environment", "python")


def _style(exam: Exam) -> Iterator[Complaint]:
    for task in exam.tasks:
        file = str(exam.directory / f"{task.id}.yaml")
        for message in (*_titles(task), *_deliverables(task)):
            yield Complaint(file=file, message=message, warning=True)
    if exam.reference is None:
        unproven = "no reference solution, so nothing proves that full marks are possible"
        yield Complaint(file=str(exam.directory / EXAM_FILE), message=unproven, warning=True)


def _titles(task: Task) -> Iterator[str]:
    for criterion in task.criteria:
        titles = [criterion.title, *(part.title for part in criterion.parts)]
        if any(title.endswith(".") for title in titles):
            yield f"{criterion.id}: a title must not end with a full stop"
        if any(len(title) > MAX_TITLE for title in titles):
            yield f"{criterion.id}: a title has more than {MAX_TITLE} characters"
        if criterion.hint.lower() in {title.lower() for title in titles}:
            yield f"{criterion.id}: the hint only repeats the title"


def _deliverables(task: Task) -> Iterator[str]:
    known = {deliverable.id for deliverable in task.deliverables}
    used: set[str] = set()
    for criterion in task.criteria:
        given = {str(value) for part in criterion.parts for value in part.parameters.values()}
        named = known & {*criterion.files, *given}
        if known and not named:
            yield f"{criterion.id}: names no deliverable, so a missing file is not reported as the cause"
        used |= named
    for name in sorted(known - used):
        yield f"no criterion uses the deliverable {name!r}"
