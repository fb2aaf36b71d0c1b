"""A gradebook of four, and a browser that is in."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook import open_gradebook
from grader.web.application import application
from grader.web.security import Sessions
from grader.web.state import State
from tests.cohort.exports.books import Submitted, done, make_book, person
from tests.report.grades import a_grade

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for another client than the one that is locked
    from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response

    from grader.exam.model import Exam


BASE = "http://127.0.0.1:8765"
HOSTILE = "<img src=x onerror=alert(1)>\u202e"
LOST = "1.1.b"
"""A criterion of which all lost points."""


def book_of_four(folder: Path) -> Path:
    return make_book(
        folder / "book.db",
        done("anna", "Anna Alt", email="anna@example.org"),
        done("ben", "Ben Bär"),
        Submitted(person("cleo", HOSTILE), a_grade()),
        Submitted(person("dan", "Dan Doe"), unreadable="the archive is damaged"),
    )


@dataclass
class Site:
    path: Path
    state: State
    sessions: Sessions
    client: TestClient

    def get(self, address: str, **options: Any) -> Response:
        answer: Response = self.client.get(address, **options)
        return answer

    def post(self, address: str, **fields: str) -> Response:
        answer: Response = self.client.post(address, data=fields)
        return answer

    def address(self, key: str) -> str:
        rows = self.rows("SELECT number FROM candidate WHERE key = ?", key)
        return f"/candidate/{rows[0][0]:06}"

    def seen(self, key: str) -> str:
        found = re.search(r'name="seen" value="([^"]+)"', self.get(self.address(key)).text)
        assert found
        return found[1]

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with open_gradebook(self.path) as book:
            return [tuple(row) for row in book.rows(query, *values)]


@contextmanager
def site(
    folder: Path,
    *,
    read_only: bool = False,
    anonymous: bool = False,
    path: Path | None = None,
    exam: Exam | None = None,
) -> Iterator[Site]:
    path = path or book_of_four(folder)
    state = State(path, author="examiner", read_only=read_only, anonymous=anonymous)
    sessions = Sessions()
    headers = {"sec-fetch-site": "same-origin"}
    with TestClient(application(state, sessions, exam=exam), base_url=BASE, headers=headers) as client:
        client.get("/enter", params={"token": sessions.token}, follow_redirects=False)
        yield Site(path, state, sessions, client)
