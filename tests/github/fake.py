"""A GitHub of one repository: pull requests, comments, artifacts and check runs, with the API's own rules."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx

from grader.github.api import Api
from grader.report.document import write_json
from grader.report.formats import Settings
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = "course/exam"
FORK = "jane/exam"
COMMIT = "0123456789" * 4


def document(**changes: Any) -> bytes:
    """A grade, as an artifact has it."""
    text = io.StringIO()
    write_json(a_grade(), text, Settings())
    return json.dumps({**json.loads(text.getvalue()), **changes}).encode()


def archive(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return data.getvalue()


def pull(number: int, commit: str = COMMIT, repository: str = FORK, branch: str = "main") -> dict[str, Any]:
    return {
        "number": number,
        "head": {"sha": commit, "ref": branch, "repo": {"full_name": repository}},
    }


def event(**changes: Any) -> dict[str, Any]:
    run = {
        "id": 7,
        "event": "pull_request",
        "head_sha": COMMIT,
        "head_branch": "main",
        "head_repository": {"full_name": FORK},
    }
    return {"workflow_run": {**run, **changes}}


class GitHub:
    """Its state; `requests` are what was asked of it."""

    def __init__(self) -> None:
        self.pulls = [pull(5)]
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.artifacts: dict[int, list[tuple[dict[str, Any], bytes]]] = {}
        self.checks: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str]] = []
        self.tokens: list[tuple[str, str]] = []
        self.storage = "https://storage.example"

    def api(self) -> Api:
        return Api("token", base="https://api.example", transport=httpx.MockTransport(self.answer))

    def upload(self, run: int, data: bytes, name: str = "grade", **fields: Any) -> None:
        rows = self.artifacts.setdefault(run, [])
        row = {"id": 100 * run + len(rows), "name": name, "expired": False, "size_in_bytes": len(data)}
        rows.append(({**row, **fields}, data))

    def say(self, number: int, body: str, login: str) -> None:
        rows = self.comments.setdefault(number, [])
        rows.append({"id": 1000 * number + len(rows), "body": body, "user": {"login": login}})

    def bodies(self, number: int, login: str = "github-actions[bot]") -> list[str]:
        return [row["body"] for row in self.comments.get(number, []) if row["user"]["login"] == login]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append((request.url.host, request.headers.get("Authorization", "")))
        path = request.url.path
        if str(request.url).startswith(self.storage):
            return httpx.Response(200, content=self._data(int(path.rpartition("/")[2])))
        self.requests.append((request.method, path))
        query = request.url.params
        words = path.removeprefix(f"/repos/{REPOSITORY}/").split("/")
        match request.method, words:
            case "GET", ["pulls"]:
                owner, _, branch = query["head"].partition(":")
                found = [
                    each
                    for each in self.pulls
                    if each["head"]["repo"]["full_name"].startswith(f"{owner}/")
                    and each["head"]["ref"] == branch
                ]
                return self._page(found, query)
            case "GET", ["actions", "runs", run, "artifacts"]:
                rows = [row for row, _ in self.artifacts.get(int(run), []) if row["name"] == query["name"]]
                return httpx.Response(200, json={"total_count": len(rows), "artifacts": rows})
            case "GET", ["actions", "artifacts", artifact, "zip"]:
                return httpx.Response(302, headers={"Location": f"{self.storage}/{artifact}"})
            case "GET", ["issues", number, "comments"]:
                return self._page(self.comments.get(int(number), []), query)
            case "POST", ["issues", number, "comments"]:
                self.say(int(number), self._body(request), "github-actions[bot]")
                return httpx.Response(201, json={})
            case "PATCH", ["issues", "comments", comment]:
                for row in (row for rows in self.comments.values() for row in rows):
                    if row["id"] == int(comment):
                        row["body"] = self._body(request)
                return httpx.Response(200, json={})
            case "POST", ["check-runs"]:
                self.checks.append(json.loads(request.content))
                return httpx.Response(201, json={})
        return httpx.Response(404, json={"message": "Not Found"})

    def _data(self, artifact: int) -> bytes:
        return next(data for rows in self.artifacts.values() for row, data in rows if row["id"] == artifact)

    @staticmethod
    def _body(request: httpx.Request) -> str:
        body = str(json.loads(request.content)["body"])
        assert len(body) <= 65_536
        return body

    @staticmethod
    def _page(rows: list[dict[str, Any]], query: httpx.QueryParams) -> httpx.Response:
        size, page = int(query["per_page"]), int(query["page"])
        return httpx.Response(200, json=rows[(page - 1) * size : page * size])


@contextlib.contextmanager
def serve(github: GitHub) -> Iterator[str]:
    """The same for another process; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            request = httpx.Request(
                self.command, f"{address}{self.path}", headers=list(self.headers.items()), content=body
            )
            answer = github.answer(request)
            self.send_response(answer.status_code)
            for name in ("Location", "Content-Type"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = handle_request  # noqa: N815  (as the standard library calls them)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        github.storage = f"{address}/storage"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
