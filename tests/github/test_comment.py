"""One comment on a pull request: whose it is, which it is, and what it compares with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from grader.errors import UsageError
from grader.github.comment import origin_of, post_comment
from tests.github.fake import COMMIT, FORK, REPOSITORY, GitHub, archive, document, event, pull

BOT = "github-actions[bot]"
OTHER = "f" * 40


@pytest.fixture
def github() -> GitHub:
    made = GitHub()
    made.upload(7, archive({"grade.json": document()}))
    return made


def post(github: GitHub, **changes: Any) -> list[str]:
    origin = origin_of(event(**changes))
    assert origin is not None
    return post_comment(github.api(), REPOSITORY, origin, artifact="grade", author=BOT)


def better() -> bytes:
    """The grade once 1.1.b is mended."""
    grade = json.loads(document())
    row = next(row for row in grade["sections"][0]["tasks"][0]["criteria"] if row["id"] == "1.1.b")
    row.update(earned=1.0, status="earned")
    return json.dumps(grade).encode()


def test_the_first_grade_makes_a_comment_and_the_next_changes_it(github: GitHub) -> None:
    assert post(github) == ["commented on pull request 5"]
    (first,) = github.bodies(5)
    github.upload(8, archive({"grade.json": better()}))
    assert post(github, id=8) == ["changed the comment on pull request 5"]
    (second,) = github.bodies(5)
    assert first.startswith("<!-- grader: the grade of run 7 -->\n> **Feedback, not a mark.**")
    assert second.startswith("<!-- grader: the grade of run 8 -->\n> **Feedback, not a mark.**")
    assert ("earlier grade" in first, "- **+1** `1.1.b` lost → earned" in second) == (False, True)


def test_an_earlier_grade_that_is_gone_is_not_compared_with(github: GitHub) -> None:
    post(github)
    del github.artifacts[7]
    github.upload(8, archive({"grade.json": document()}))
    post(github, id=8)
    assert "earlier grade" not in github.bodies(5)[0]


def test_a_run_that_is_repeated_is_not_compared_with_itself(github: GitHub) -> None:
    post(github)
    post(github)
    assert "earlier grade" not in github.bodies(5)[0]


@pytest.mark.parametrize("login", ["jane", "github-actions", "github-actions[bot]x"])
def test_a_comment_of_somebody_else_is_never_changed(github: GitHub, login: str) -> None:
    forged = "<!-- grader: the grade of run 7 -->\nfull marks"
    github.say(5, forged, login)
    assert post(github) == ["commented on pull request 5"]
    assert github.bodies(5, login) == [forged]


def test_another_comment_of_the_same_author_is_not_changed(github: GitHub) -> None:
    said = "a linter says: <!-- grader: the grade of run 7 -->"
    github.say(5, said, BOT)
    post(github)
    assert github.bodies(5)[0] == said
    assert len(github.bodies(5)) == 2


def test_the_comment_is_found_on_a_later_page(github: GitHub) -> None:
    for number in range(250):
        github.say(5, f"comment {number}", "jane")
    github.say(5, "<!-- grader: the grade of run 3 -->\n", BOT)
    assert post(github) == ["changed the comment on pull request 5"]


@pytest.mark.parametrize(
    "pulls",
    [
        [],
        [pull(5, commit=OTHER)],
        [pull(5, repository="jane/another")],
        [pull(5, branch="other")],
    ],
    ids=["none", "pushed since", "another repository", "another branch"],
)
def test_without_the_pull_request_nothing_is_said(github: GitHub, pulls: list[dict[str, Any]]) -> None:
    github.pulls = pulls
    assert post(github) == [f"no open pull request has {COMMIT} as its head: nothing is said"]
    assert github.comments == {}


def test_nothing_in_the_artifact_names_the_pull_request(github: GitHub) -> None:
    github.artifacts.clear()
    github.upload(7, archive({"grade.json": document(), "pr": b"1", "number.txt": b"1"}))
    github.pulls.append(pull(1, commit=OTHER, repository="ann/exam"))
    assert post(github) == ["commented on pull request 5"]
    assert list(github.comments) == [5]


def test_an_artifact_that_holds_no_grade_says_nothing(github: GitHub) -> None:
    github.artifacts.clear()
    github.upload(7, archive({"grade.json": b"{}"}))
    with pytest.raises(UsageError):
        post(github)
    assert github.comments == {}


def test_a_run_that_no_pull_request_started_is_passed_over() -> None:
    assert origin_of(event(event="push")) is None
    assert origin_of(event(head_repository=None)) is None


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"pull_request": {"number": 1}},
        event(head_sha="main"),
        event(head_repository={"full_name": "a/../b"}),
    ],
)
def test_what_is_no_such_event_is_refused(data: Any) -> None:
    with pytest.raises(UsageError):
        origin_of(data)


def test_a_fork_is_asked_for_by_its_owner(github: GitHub) -> None:
    assert FORK.startswith("jane/")
    github.pulls = [pull(9), pull(8)]
    assert post(github) == ["commented on pull request 8", "commented on pull request 9"]
