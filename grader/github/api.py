"""GitHub's REST API, as far as grades need it: answers are bounded, and a refusal names the missing right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx

from grader.documents import parse_json
from grader.errors import GraderFault, UsageError
from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_ANSWER = 2**24
"""Bytes of an answer; a page of a hundred comments of the greatest length has less."""
MAX_PAGES = 20
PER_PAGE = 100
TIMEOUT_SECONDS = 30.0
_REPOSITORY = re.compile(r"[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Api:
    """Requests with one token. A redirection to another host is followed without it."""

    def __init__(self, token: str, *, base: str, transport: httpx.BaseTransport | None = None) -> None:
        if not token:
            raise UsageError("there is no token: give it in GITHUB_TOKEN")
        self._client = httpx.Client(
            base_url=base.rstrip("/"),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": "grader",
            },
            follow_redirects=True,
            timeout=TIMEOUT_SECONDS,
            transport=transport,
        )

    def get(self, path: str, **query: str | int) -> Any:
        """The document at a path.

        Raises:
            GraderFault: GitHub refuses it, or does not answer with JSON.
        """
        return _parsed(self.download(path, MAX_ANSWER, **query), path)

    def pages(self, path: str, **query: str | int) -> Iterator[Any]:
        """The entries of a list, page by page, up to a bound."""
        for page in range(1, MAX_PAGES + 1):
            found = self.get(path, per_page=PER_PAGE, page=page, **query)
            if not isinstance(found, list):
                raise GraderFault(f"GitHub answered GET {path} with something else than a list")
            yield from found
            if len(found) < PER_PAGE:
                return

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change something, and return what it is now. Raises as `get` does."""
        return _parsed(self._request(method, path, MAX_ANSWER, json=body), path)

    def download(self, path: str, max_bytes: int, **query: str | int) -> bytes:
        """The bytes at a path; raises as `get` does, and where there are more than `max_bytes`."""
        return self._request("GET", path, max_bytes, params=query)

    def _request(self, method: str, path: str, max_bytes: int, **content: Any) -> bytes:
        try:
            with self._client.stream(method, path, **content) as answer:
                data = bytearray()
                for chunk in answer.iter_bytes():
                    data += chunk
                    if len(data) > max_bytes:
                        raise GraderFault(
                            f"GitHub's answer to {method} {path} is larger than {max_bytes} bytes"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise GraderFault(f"GitHub does not answer {method} {path}: {error}") from error
        if answer.is_error:
            # GitHub names what would have been enough, such as `pull_requests=write`.
            wanted = answer.headers.get("x-accepted-github-permissions", "")
            needs = f"; the token needs {one_line(wanted)}" if wanted and answer.status_code == 403 else ""
            said = one_line(bytes(data[:2000]).decode("utf-8", "replace"))
            raise GraderFault(f"GitHub refuses {method} {path} with {answer.status_code}: {said}{needs}")
        return bytes(data)


def _parsed(data: bytes, path: str) -> Any:
    try:
        return parse_json(data.decode("utf-8", "replace")) if data else None
    except ValueError as error:
        raise GraderFault(f"GitHub's answer for {path} is not JSON: {error}") from error


def checked_repository(name: object) -> str:
    """An `owner/name` that may be part of a path.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(name, str) or not _REPOSITORY.fullmatch(name) or name.endswith(("/.", "/..")):
        raise UsageError(f"not a repository: {one_line(repr(name))}; it must be OWNER/NAME")
    return name


def checked_commit(digest: object) -> str:
    """A full commit digest that may be part of a path.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(digest, str) or not _COMMIT.fullmatch(digest):
        raise UsageError(f"not a commit: {one_line(repr(digest))}; it must be all of its digest")
    return digest
