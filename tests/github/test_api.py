"""Requests to GitHub: bounded, and with the token for GitHub alone."""

from __future__ import annotations

import httpx
import pytest

from grader.errors import GraderFault, UsageError
from grader.github.api import MAX_PAGES, PER_PAGE, Api, checked_commit, checked_repository
from tests.github.fake import COMMIT, GitHub, archive


def answering(response: httpx.Response) -> Api:
    return Api("token", base="https://api.example", transport=httpx.MockTransport(lambda _: response))


def test_the_token_does_not_follow_a_redirection_to_another_host() -> None:
    github = GitHub()
    github.upload(7, archive({"grade.json": b"{}"}))
    github.api().download("/repos/course/exam/actions/artifacts/700/zip", 1000)
    assert github.tokens == [("api.example", "Bearer token"), ("storage.example", "")]


def test_a_list_ends_somewhere() -> None:
    page = [{"id": 1}] * PER_PAGE
    api = answering(httpx.Response(200, json=page))
    assert len(list(api.pages("/x"))) == MAX_PAGES * PER_PAGE


@pytest.mark.parametrize(
    ("response", "complaint"),
    [
        (
            httpx.Response(
                403,
                json={"message": "Resource not accessible by integration"},
                headers={"X-Accepted-GitHub-Permissions": "checks=write"},
            ),
            (
                'GitHub refuses GET /x with 403: {"message":"Resource not accessible by integration"}; '
                "the token needs checks=write"
            ),
        ),
        (httpx.Response(500, text="\x1b[31m::error::x"), "GitHub refuses GET /x with 500: �[31m: :error::x"),
        (
            httpx.Response(200, text="<html>"),
            "GitHub's answer for /x is not JSON: Expecting value: line 1 column 1 (char 0)",
        ),
    ],
    ids=["no right", "text of a stranger", "no JSON"],
)
def test_what_is_refused_is_said(response: httpx.Response, complaint: str) -> None:
    with pytest.raises(GraderFault) as caught:
        answering(response).get("/x")
    assert str(caught.value) == complaint


def test_an_answer_without_end_is_cut_off() -> None:
    with pytest.raises(GraderFault, match="larger than 10 bytes"):
        answering(httpx.Response(200, content=b"x" * 11)).download("/x", 10)


def test_no_connection_is_no_finding() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    api = Api("token", base="https://api.example", transport=httpx.MockTransport(refuse))
    with pytest.raises(GraderFault, match="does not answer GET /x: refused"):
        api.get("/x")


def test_there_must_be_a_token() -> None:
    with pytest.raises(UsageError, match="GITHUB_TOKEN"):
        Api("", base="https://api.example")


@pytest.mark.parametrize("name", ["course/exam", "a-b/c.d_e-f"])
def test_names_of_repositories(name: str) -> None:
    assert checked_repository(name) == name


@pytest.mark.parametrize("name", [None, "", "exam", "a/b/c", "a/..", "../a", "a/b?c", "a/b\n", "a b/c"])
def test_what_is_no_repository_is_no_part_of_a_path(name: object) -> None:
    with pytest.raises(UsageError):
        checked_repository(name)


@pytest.mark.parametrize("digest", [None, "main", "", COMMIT[1:], COMMIT.upper() + "A", f"{COMMIT}\n"])
def test_what_is_no_commit_is_no_part_of_a_path(digest: object) -> None:
    with pytest.raises(UsageError):
        checked_commit(digest)
