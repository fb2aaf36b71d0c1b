"""A mark as a check run: posted by a job that never runs candidate code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.github.markdown import render
from grader.report.safe import points

if TYPE_CHECKING:
    from grader.github.api import Api
    from grader.results import Grade


def post_check(
    api: Api, repository: str, commit: str, name: str, grade: Grade, previous: Grade | None
) -> str:
    """Post a completed check run on a commit, and return what was done.

    Raises:
        GraderFault: GitHub refuses it, such as for a token without `checks: write`.
    """
    verdict = conclusion(grade)
    body = {
        "name": name,
        "head_sha": commit,
        "status": "completed",
        "conclusion": verdict,
        "output": {
            "title": f"{points(grade.score.earned)} of {points(grade.score.possible)} points",
            "summary": render(grade, previous, feedback=False),
        },
    }
    api.send("POST", f"/repos/{repository}/check-runs", body)
    return f"posted {verdict} on {repository}@{commit}"


def conclusion(grade: Grade) -> str:
    """GitHub's word for the verdict: a grade that may still go either way is neither."""
    if not grade.score.certain:
        return "neutral"
    return "success" if grade.score.passed else "failure"
