from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.generic import http
from grader.checks.generic.commands import At
from grader.checks.generic.expectations import Expect
from grader.checks.generic.http import Http, judge_answer, judge_metric
from grader.checks.serving.asgi import Answer
from grader.results import Verdict
from tests.builders import decide
from tests.checks.live import plain_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.context import Context


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"path": "health"}, "must begin with a slash"),
        ({"path": "/", "method": "get"}, "'GET', 'HEAD'"),
        ({"path": "/", "headers": {"a b": "c"}}, "no name of a header"),
        ({"path": "/", "headers": {"a": "b\r\nc: d"}}, "printable ASCII"),
        ({"path": "/", "data": {}, "body": ""}, "not both"),
        ({"path": "/", "until": 200, "times": 2}, "not both"),
        ({"path": "/", "times": 0}, "greater than or equal to 1"),
        ({"pth": "/"}, "Extra inputs"),
    ],
)
def test_a_request_that_cannot_be_sent_is_the_authors_fault(step: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Http.model_validate({"script": "a", "steps": {"x": step}})


def test_a_step_that_there_is_not_is_the_authors_fault() -> None:
    scenario = Http.model_validate({"script": "a", "steps": {"health": {"path": "/"}}})
    with pytest.raises(ValidationError, match="unknown step 'helth'; did you mean 'health'"):
        http.http_answers.parameters.model_validate({"scenario": scenario, "step": "helth"})
    given = {"scenario": scenario, "step": "health", "metric": "m", "since": "x"}
    with pytest.raises(ValidationError, match="unknown step 'x'"):
        http.http_metric.parameters.model_validate(given)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(request="GET /", error="no answer within 5 s"), ("has another status", "200 or 201")),
        (Answer(request="GET /", status=404), ("has another status", "200 or 201")),
        (Answer(request="GET /", status=200, body="{}"), ("no header X-A", "something that matches ^1$")),
        (
            Answer(request="GET /", status=200, body="{}", headers={"x-a": "2"}),
            ("header X-A is wrong", "something that matches ^1$"),
        ),
        (Answer(request="GET /", status=200, body="[" * 9999, headers={"x-a": "1"}), ("no JSON", "JSON")),
        (Answer(request="GET /", status=200, body="{}", headers={"x-a": "1"}), ("nothing at $.a", "1")),
        (Answer(request="GET /", status=200, body='{"a": 2}', headers={"x-a": "1"}), ("$.a is not", "1")),
    ],
)
def test_an_answer_that_is_not_as_expected(answer: Answer, said: tuple[str, str]) -> None:
    values = (At(path="$.a", expect=Expect(equals=1)),)
    finding = next(judge_answer(answer, (200, 201), {"X-A": Expect(matches="^1$")}, values, None))
    assert said[0] in finding.message
    assert finding.expected == said[1]


def _metrics(text: str) -> Answer:
    return Answer(request="GET /metrics", status=200, body=text)


@pytest.mark.parametrize(
    ("before", "after", "right"),
    [
        ("", 'a_total{code="200"} 3\na_total{code="500"} 1\n', True),
        (
            'a_total{code="200"} 1\n',
            'a_total{code="200",path="/"} 3\na_total{code="200",path="/b"} 1\n',
            True,
        ),
        ('a_total{code="200"} 1\n', 'a_total{code="200"} 1\n', False),
        ("", "b_total 3\n", False),
        ("", 'a_total{code="200"} NaN\n', False),
        ("", 'a_total{code="200"} +Inf\n', False),
        ("", "<html>", False),
        ("<html>", 'a_total{code="200"} 3\n', False),
    ],
)
def test_growth_of_a_metric(before: str, after: str, right: bool) -> None:
    outcome = judge_metric(_metrics(after), _metrics(before), "a_total", {"code": "200"}, Expect(equals=3))
    assert (outcome.verdict is Verdict.PASSED) is right


def test_a_metric_that_is_missing_is_told_with_what_there_is() -> None:
    (finding,) = judge_metric(_metrics('a{b="1"} 1\n'), None, "a", {"b": "2"}, None).findings
    assert finding.actual == '{"b": "1"}'
    (finding,) = judge_metric(_metrics("a 1\n"), None, "c", {}, None).findings
    assert finding.actual == "a"


SERVICE = """\
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer(201, {"got": data, "type": self.headers["Content-Type"], "key": self.headers["X-Key"]})
    def do_GET(self):
        if self.path == "/crash":
            try:
                {}["key"]
            except KeyError:
                import traceback
                traceback.print_exc()
            self.answer(500, {})
        elif self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b"x" * 100_000)
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.com/")
            self.end_headers()
        else:
            self.answer(200, {"told": os.environ.get("TOLD"), "file": open("in.txt").read()})
    def answer(self, status, data):
        self.send_response(status)
        self.send_header("X-Served-By", "exam")
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""
STEPS = {
    "home": {"path": "/"},
    "create": {"method": "POST", "path": "/", "data": [1], "headers": {"X-Key": "k"}},
    "raw": {"method": "POST", "path": "/", "body": "a=b", "headers": {"Content-Type": "text/plain"}},
    "crash": {"path": "/crash"},
    "endless": {"path": "/endless"},
    "away": {"path": "/away", "follow": False},
    "never": {"path": "/", "until": 204, "patience": 0.3},
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    files = {"service.py": SERVICE, "broken.py": "import nothing_of_that_name\n"}
    names = {"service": "service.py", "broken": "broken.py"}
    with plain_context(tmp_path_factory.mktemp("service"), files, deliverables=names) as context:
        yield context


def _scenario(name: str = "service", **more: Any) -> Http:
    given = {"script": name, "steps": STEPS, "environment": {"TOLD": "so"}, "files": {"in.txt": "input"}}
    return Http.model_validate(given | more).changed(name=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {"step": "home", "values": [{"path": "$.told", "expect": {"equals": "so"}}, {"path": "$.file"}]},
        {"step": "home", "headers": {"x-served-by": {"equals": "exam"}}, "text": {"contains": "input"}},
        {
            "step": "create",
            "status": [200, 201],
            "values": [
                {"path": "$", "expect": {"equals": {"got": "[1]", "type": "application/json", "key": "k"}}}
            ],
        },
        {"step": "raw", "status": 201, "values": [{"path": "$.type", "expect": {"equals": "text/plain"}}]},
        {"step": "away", "status": 302, "headers": {"Location": {"contains": "example.com"}}},
        {"step": "never"},
    ],
)
def test_a_service_that_answers_as_asked(context: Context, given: dict[str, Any]) -> None:
    parameters = http.http_answers.parameters.model_validate({"scenario": _scenario(), **given})
    outcome = decide(http.http_answers, context, **dict(parameters))
    assert (outcome.verdict, outcome.findings) == (Verdict.PASSED, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "actual", "detail"),
    [("crash", "500 {}", "KeyError"), ("endless", "the answer has more than", "")],
)
def test_a_service_that_does_not(context: Context, step: str, actual: str, detail: str) -> None:
    (finding,) = decide(http.http_answers, context, scenario=_scenario(), step=step).findings
    assert actual in finding.actual
    assert detail in finding.detail


@pytest.mark.slow
def test_a_service_that_does_not_start_is_one_mistake(context: Context) -> None:
    outcome = decide(http.http_answers, context, scenario=_scenario("broken"), step="home")
    assert (outcome.verdict, outcome.cause) == (Verdict.FAILED, "the service never answered a request")
    assert "ModuleNotFoundError" in outcome.findings[0].actual


@pytest.mark.slow
def test_a_command_of_the_authors_is_filled_in(tmp_path: Path) -> None:
    files = {"index.html": "hello"}
    scenario = _scenario(
        "page",
        command=["python", "-m", "http.server", "{port}"],
        port=8123,
        steps={"page": {"path": "/{script}"}, "home": {"path": "/index.html"}},
    )
    with plain_context(tmp_path, files, deliverables={"page": "index.html"}) as context:
        given = {"scenario": scenario, "step": "home", "text": Expect(equals="hello")}
        assert decide(http.http_answers, context, **given).verdict is Verdict.PASSED
