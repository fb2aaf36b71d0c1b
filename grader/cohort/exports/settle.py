"""A grade as its candidate sees it: with the marks that examiners gave, no criterion open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.cohort.points import points_of
from grader.report.read import grade_of
from grader.report.safe import counted_points, one_line, points
from grader.results import CriterionResult, Finding, PartResult, Status
from grader.score import add, total

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from grader.cohort.exports.marks import Candidate, Incomplete, Override
    from grader.results import Grade, TaskResult

MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class _Decision:
    points: float
    reason: str


def settled(document: Mapping[str, Any], candidate: Candidate, incomplete: Incomplete) -> Grade:
    """The grade of a result document, so that its total is the mark that is exported.

    Who looks at it finds each override with its reason among the remarks and at its criterion. The name of
    the submission is the candidate's: equal work of several is graded once, under the name of one of them.
    """
    grade = grade_of(dict(document))
    whole = {each.task: _decision(each) for each in candidate.overrides if not each.criterion}
    single = {each.criterion: _decision(each) for each in candidate.overrides if each.criterion}
    remarks: list[Finding] = []
    sections = tuple(
        replace(
            section,
            tasks=tuple(
                _task(task, whole.get(task.id), single, incomplete, remarks) for task in section.tasks
            ),
        )
        for section in grade.sections
    )
    return replace(
        grade,
        submission={**grade.submission, "name": candidate.who},
        sections=sections,
        score=total(sections, pass_mark=grade.score.pass_mark),
        remarks=(*remarks, *grade.remarks),
    )


def _decision(override: Override) -> _Decision:
    return _Decision(points_of(override.points), one_line(override.reason, longest=MAX_REASON))


def _task(
    task: TaskResult,
    whole: _Decision | None,
    single: Mapping[str, _Decision],
    incomplete: Incomplete,
    remarks: list[Finding],
) -> TaskResult:
    if whole is not None:
        return replace(task, criteria=(_whole(task, whole, remarks),))
    return replace(
        task,
        criteria=tuple(
            _overridden(row, single[row.id], remarks) if row.id in single else _counted(row, incomplete)
            for row in task.criteria
        ),
    )


def _whole(task: TaskResult, decision: _Decision, remarks: list[Finding]) -> CriterionResult:
    """One row in place of a task's criteria, since nobody said which of them the points are for."""
    possible = add(row.points for row in task.criteria)
    said = _said(task.id, decision, add(row.earned for row in task.criteria), possible)
    remarks.append(Finding(message=said))
    found = tuple(
        replace(finding, message=f"{row.id}: {finding.message}")
        for row in task.criteria
        if row.status is not Status.EARNED
        for finding in row.findings
    )
    status = _status(decision.points, possible)
    return CriterionResult(
        id=task.id,
        title=task.title,
        points=possible,
        earned=decision.points,
        highest=decision.points,
        status=status,
        evidence=None,
        hint="",
        parts=(
            PartResult(
                id="",
                title=task.title,
                points=possible,
                status=status,
                findings=(Finding(message=said), *found),
            ),
        ),
        seconds=max((row.seconds for row in task.criteria), default=0.0),
    )


def _overridden(row: CriterionResult, decision: _Decision, remarks: list[Finding]) -> CriterionResult:
    said = Finding(message=_said(row.id, decision, row.earned, row.points))
    remarks.append(said)
    return _given(row, decision.points, said)


def _said(id_: str, decision: _Decision, before: float, possible: float) -> str:
    return (
        f"{id_}: {points(decision.points)} of {counted_points(possible)} by decision of an examiner, instead"
        f" of {points(before)}: {decision.reason}"
    )


def _counted(row: CriterionResult, incomplete: Incomplete) -> CriterionResult:
    if not row.status.open or incomplete not in ("lowest", "highest"):
        return row
    earned = row.highest if incomplete == "highest" else row.earned
    how = "in your favor" if incomplete == "highest" else "as not earned"
    return _given(row, earned, Finding(message=f"what could not be decided here counts {how}"))


def _given(row: CriterionResult, earned: float, said: Finding) -> CriterionResult:
    status = _status(earned, row.points)
    part = PartResult(
        id="",
        title=row.title,
        points=row.points,
        status=status,
        findings=(said, *row.findings),
        evidence=row.evidence,
        seconds=row.seconds,
    )
    return replace(row, earned=earned, highest=earned, status=status, parts=(part,), blocked_by="")


def _status(earned: float, possible: float) -> Status:
    if earned >= possible:
        return Status.EARNED
    return Status.PARTIAL if earned > 0 else Status.LOST
