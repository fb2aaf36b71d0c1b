"""One comment on a pull request, changed from grade to grade.

It is made in a workflow of its own (`workflow_run`), which may write and runs nothing of the pull request.
What that workflow finds in the artifact was made by a stranger's workflow: it is data. Which pull request it
belongs to is asked of GitHub, by the head commit that GitHub itself put into the event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.errors import GraderFault, UsageError
from grader.github.api import checked_commit, checked_repository
from grader.github.artifact import fetch_grade
from grader.github.markdown import render

if TYPE_CHECKING:
    from grader.github.api import Api
    from grader.results import Grade

_MARK = "<!-- grader: the grade of run {run} -->\n"
_MARKED = re.compile(r"<!-- grader: the grade of run ([0-9]{1,18}) -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an artifact comes from, in GitHub's own words."""

    run: int
    commit: str
    repository: str
    branch: str


def origin_of(event: Any) -> Origin | None:
    """The pull request's side of a `workflow_run` event; None where no pull request started that run.

    Raises:
        UsageError: it is no such event.
    """
    match event:
        case {
            "workflow_run": {
                "id": int(run),
                "event": "pull_request",
                "head_sha": commit,
                "head_branch": str(branch),
                "head_repository": {"full_name": repository},
            }
        }:
            return Origin(
                run=run,
                commit=checked_commit(commit),
                repository=checked_repository(repository),
                branch=branch,
            )
        case {"workflow_run": {"id": int()}}:
            return None  # a push, or a fork that is gone
    raise UsageError("comments are made by a workflow that runs `on: workflow_run`")


def post_comment(api: Api, repository: str, origin: Origin, *, artifact: str, author: str) -> list[str]:
    """Comment on each open pull request that still has that head, and return what was done.

    Args:
        author: the login that the token comments as; only its comment is ever changed.

    Raises:
        UsageError: the artifact holds no grade.
        GraderFault: GitHub refuses something.
    """
    numbers = _pull_requests(api, repository, origin)
    if not numbers:
        return [f"no open pull request has {origin.commit} as its head: nothing is said"]
    grade = fetch_grade(api, repository, origin.run, artifact)
    return [_comment(api, repository, number, origin, grade, artifact, author) for number in numbers]


def _pull_requests(api: Api, repository: str, origin: Origin) -> list[int]:
    owner = origin.repository.partition("/")[0]
    found = api.pages(f"/repos/{repository}/pulls", state="open", head=f"{owner}:{origin.branch}")
    numbers = []
    for each in found:
        match each:
            case {"number": int(number), "head": {"sha": origin.commit, "repo": {"full_name": full_name}}}:
                if full_name == origin.repository:
                    numbers.append(number)
    return sorted(numbers)


def _comment(
    api: Api, repository: str, number: int, origin: Origin, grade: Grade, artifact: str, author: str
) -> str:
    issue = f"/repos/{repository}/issues/{number}/comments"
    own = next((each for each in api.pages(issue) if _is_own(each, author)), None)
    previous = None if own is None else _previous(api, repository, own, origin, artifact)
    mark = _MARK.format(run=origin.run)
    body = {"body": mark + render(grade, previous, feedback=True)}
    if own is None:
        api.send("POST", issue, body)
        return f"commented on pull request {number}"
    api.send("PATCH", f"/repos/{repository}/issues/comments/{own['id']}", body)
    return f"changed the comment on pull request {number}"


def _is_own(comment: object, author: str) -> bool:
    """Anybody may write the mark, and at the beginning too: only the author's name says whose it is."""
    match comment:
        case {"id": int(), "body": str(body), "user": {"login": str(login)}}:
            return login == author and _MARKED.match(body) is not None
    return False


def _previous(api: Api, repository: str, own: Any, origin: Origin, artifact: str) -> Grade | None:
    """The grade of which the comment speaks now; None where it is gone, as after ninety days."""
    marked = _MARKED.match(own["body"])
    if marked is None or int(marked[1]) == origin.run:
        return None
    try:
        return fetch_grade(api, repository, int(marked[1]), artifact)
    except (UsageError, GraderFault):
        return None
