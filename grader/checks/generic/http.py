"""A service of any kind: started once, asked step by step, and then judged from several sides."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from grader.check import (
    Deliverable,
    Example,
    HttpStatus,
    Parameters,
    Port,
    Scenario,
    Seconds,
    UrlPath,
    check,
    require_name,
)
from grader.checks.generic.commands import (
    At,
    InnerPath,
    Variable,
    Word,
    start_of,
    text_violation,
    value_violation,
)
from grader.checks.generic.expectations import Expect, shown
from grader.checks.scripts.call import Called, Script, script
from grader.checks.serving import asgi, exposition
from grader.checks.serving.asgi import Answer
from grader.documents import Problem
from grader.errors import GraderFault
from grader.readers.plain_data import as_json
from grader.readers.python.tracebacks import last_traceback
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.context import Context
    from grader.runtime.cell import Cell, Server

PORT = "{port}"
"""Stands for the port in an author's words."""
_MAX_LATE = 3
_LOG_SECONDS = 0.2
_POLL_SECONDS = 0.2
_SERVER_ERROR = 500
_OK = 200
_NO_ANSWER = "the service never answered a request"


def _is_a_header(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) is None:
        raise ValueError(f"{name!r} is no name of a header")
    return name


def _is_a_header_value(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"a header has printable ASCII only: {value!r}")
    return value


Header = Annotated[str, AfterValidator(_is_a_header)]


class Step(Parameters):
    """A request."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    """The HTTP method."""
    path: UrlPath
    """The path, with a query where there is one."""
    headers: dict[Header, Annotated[str, AfterValidator(_is_a_header_value)]] = Field(default={})
    """Headers by name."""
    data: Any = None
    """A body to be sent as JSON."""
    body: str | None = None
    """A body to be sent as it is, as `application/json` if no header says otherwise."""
    follow: bool = True
    """Whether redirects are followed."""
    times: Annotated[int, Field(ge=1, le=1_000)] = 1
    """How often it is sent; the last answer is judged."""
    until: HttpStatus | None = None
    """A status for which it is sent again and again."""
    seconds: Seconds = 5
    """Seconds that one answer may take."""
    patience: Seconds = 10
    """Seconds for which it is sent again until the answer has the status `until`."""

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.body is not None and "data" in self.model_fields_set:
            raise ValueError("a request has `data` or a `body`, not both")
        if self.until is not None and self.times > 1:
            raise ValueError("a request is sent so many `times` or `until` it is answered, not both")
        return self

    @property
    def text(self) -> str | None:
        """The body as it is sent."""
        return json.dumps(as_json(self.data)) if "data" in self.model_fields_set else self.body


class Http(Scenario):
    """A service that is started and asked step by step; an ASGI application needs no command."""

    kind: ClassVar[str] = "http"

    script: Deliverable
    """The program, or the module of the application."""
    command: tuple[Word, ...] = ()
    """How it is started, if not as an ASGI application or by its name; `{script}`, `{port}` are filled in."""
    port: Port = 8000
    """Where it listens; it is told so in the variable PORT."""
    host: str = "127.0.0.1"
    """Where an ASGI application listens."""
    environment: dict[Variable, Word] = Field(default={})
    """Variables that it gets."""
    files: dict[InnerPath, str] = Field(default={})
    """Text of files that it finds, by path; they replace the submission's own."""
    without: tuple[str, ...] = ()
    """Globs of the submission's files that it does not find."""
    steps: Annotated[dict[str, Step], Field(min_length=1)]
    """Requests by name, sent one after the other in this order."""
    boot_seconds: Seconds = 30
    """Seconds until its first answer."""
    cpu_seconds: Seconds = 60
    """CPU limit of the whole run, in seconds."""
    wall_seconds: Seconds = 180
    """Wall-clock limit of the whole run, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a service answered while it ran."""

    failure: Called | None = None
    """How it ended, if it never answered."""
    called: Called | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By step."""


def asked(context: Context, scenario: Http) -> Asked:
    """The service, asked all steps once."""
    return context.memo.once(("http", scenario), lambda: _ask_all(context, scenario))


def _ask_all(context: Context, scenario: Http) -> Asked:
    files = {path: text.encode() for path, text in scenario.files.items()}
    with context.require_runtime().cell(files=files, without=scenario.without) as cell:
        seen = _serve(context, scenario, cell)
    called = seen.called or seen.failure
    path = context.submission.deliverables.get(scenario.script)
    if called is not None and path is not None:
        context.record_call(scenario.script, called.record(path))
    return seen


def program(context: Context, scenario: Http) -> tuple[Script, asgi.Target]:
    """What is started: an ASGI application by uvicorn, anything else by its own words."""
    what, source = (
        script(context.submission, scenario.script),
        context.submission.deliverable(scenario.script),
    )
    if what is None or source is None:
        raise GraderFault(f"there is no {scenario.script} to serve")
    tree = source.python if source.path.suffix == ".py" else None
    target = asgi.Target() if tree is None or isinstance(tree, Problem) else asgi.find(tree)
    plain = tree is None or isinstance(tree, Problem) or not asgi.is_application(tree)
    if not what.command and (scenario.command or plain):
        words = start_of(source, scenario.command)
        what = replace(what, command=tuple(word.replace(PORT, str(scenario.port)) for word in words))
    return replace(what, env={"PORT": str(scenario.port), **what.env, **scenario.environment}), target


def _serve(context: Context, scenario: Http, cell: Cell) -> Asked:
    what, target = program(context, scenario)
    outcome: Asked | Called = asgi.serve(
        cell,
        what,
        target,
        host=scenario.host,
        port=scenario.port,
        seconds=scenario.boot_seconds,
        limits=Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds),
        use=lambda server, called: Asked(
            called=called, answers=_Client(server, (cell.root, str(cell.workspace))).ask_all(scenario.steps)
        ),
    )
    return Asked(failure=outcome) if isinstance(outcome, Called) else outcome


@dataclass(slots=True)
class _Client:
    server: Server
    roots: tuple[str, ...]
    late: list[str] = field(default_factory=list)
    """Requests that were not answered in time."""

    def ask_all(self, steps: Mapping[str, Step]) -> Mapping[str, Answer]:
        return {name: self._ask_often(step) for name, step in steps.items()}

    def _ask_often(self, step: Step) -> Answer:
        until = time.monotonic() + step.patience
        for sent in range(1, 1_000_000):
            answer = self._ask(step)
            if answer.status is None and self.late:
                break
            if step.until is None:
                if sent >= step.times:
                    break
                continue
            if answer.status == step.until or time.monotonic() >= until or not self.server.alive():
                break
            time.sleep(_POLL_SECONDS)
        return answer

    def _ask(self, step: Step) -> Answer:
        request = f"{step.method} {step.path}"
        if len(self.late) >= _MAX_LATE:
            said = f"not sent, since {', '.join(self.late)} got no answer in time"
            return Answer(request=request, error=said)
        before, begun = len(self.server.output()), time.monotonic()
        answer = asgi.ask(
            self.server.client,
            step.method,
            step.path,
            seconds=step.seconds,
            body=step.text,
            headers=step.headers,
            follow=step.follow,
        )
        if answer.status is None and time.monotonic() - begun >= step.seconds:
            self.late.append(request)
        if answer.status != _SERVER_ERROR:
            return answer
        time.sleep(_LOG_SECONDS)  # the exception is written after the answer
        error = last_traceback(self.server.output()[before:], self.roots)
        return answer if error is None else replace(answer, cause=error.text)


# --- checks ---------------------------------------------------------------------------------------

_SERVICE = (
    "import http.server, json, os\n"
    "class Handler(http.server.BaseHTTPRequestHandler):\n"
    "    count = 0\n"
    "    def do_GET(self):\n"
    "        Handler.count += self.path == '/status'\n"
    "        metrics = f'# TYPE asked counter\\nasked_total {Handler.count}\\n'\n"
    "        body = metrics if self.path == '/numbers' else json.dumps({'status': 'ok'})\n"
    "        self.send_response(200)\n"
    "        self.end_headers()\n"
    "        self.wfile.write(body.encode())\n"
    "http.server.HTTPServer(('', int(os.environ['PORT'])), Handler).serve_forever()\n"
)


def _has_step(given: Any) -> None:
    require_name("step", given.step, given.scenario.steps)


@check(
    "http.answers",
    evidence=Evidence.RUNS,
    rule=_has_step,
    example=Example(
        rubric="""
            deliverables: {service: {path: service.py}}
            scenarios:
              service:
                kind: http
                script: service
                steps:
                  status: {path: /status}
            check: http.answers
            with:
              scenario: service
              step: status
              status: 200
              values: [{path: $.status, expect: {equals: ok}}]
        """,
        files={"service.py": _SERVICE},
    ),
)
def http_answers(
    context: Context,
    *,
    scenario: Http,
    step: str,
    status: HttpStatus | Annotated[tuple[HttpStatus, ...], Field(min_length=1)] = 200,
    headers: dict[Header, Expect] = {},  # noqa: B006  (frozen by its model)
    values: tuple[At, ...] = (),
    text: Expect | None = None,
) -> Outcome:
    """The service answers a request with this status, these headers and this body.

    Args:
        step: the name of one of the scenario's steps.
        status: the HTTP status, or several of which the answer may have any.
        headers: what headers of the answer must be, by name.
        values: what must stand in the body, which is JSON.
        text: what the body must be, as text.
    """
    seen = asked(context, scenario)
    if seen.failure is not None:
        return _not_booted(seen.failure)
    wanted = status if isinstance(status, tuple) else (status,)
    findings = [*judge_answer(seen.answers[step], wanted, headers, values, text)]
    return failed(*findings) if findings else passed()


def _has_steps(given: Any) -> None:
    _has_step(given)
    if given.since is not None:
        require_name("step", given.since, given.scenario.steps)


@check(
    "http.metric",
    evidence=Evidence.RUNS,
    rule=_has_steps,
    example=Example(
        rubric="""
            deliverables: {service: {path: service.py}}
            scenarios:
              service:
                kind: http
                script: service
                steps:
                  before: {path: /numbers}
                  traffic: {path: /status, times: 3}
                  after: {path: /numbers}
            check: http.metric
            with: {scenario: service, step: after, since: before, metric: asked_total, expect: {equals: 3}}
        """,
        files={"service.py": _SERVICE},
    ),
)
def http_metric(
    context: Context,
    *,
    scenario: Http,
    step: str,
    metric: str,
    labels: dict[str, str] = {},  # noqa: B006
    expect: Expect | None = None,
    since: str | None = None,
) -> Outcome:
    """The service exposes a metric for Prometheus, whose value, or growth between two steps, is as expected.

    Args:
        step: the step that asks for the metrics.
        metric: the name of its samples, such as `http_requests_total`.
        labels: labels that samples must have; others do not matter, and values are added up.
        expect: what the value must be; that there is one, if this is left out.
        since: an earlier step that asks for the metrics: what is expected holds for the difference.
    """
    seen = asked(context, scenario)
    if seen.failure is not None:
        return _not_booted(seen.failure)
    return judge_metric(
        seen.answers[step], None if since is None else seen.answers[since], metric, labels, expect
    )


# --- judgements: pure -----------------------------------------------------------------------------


def judge_answer(
    answer: Answer,
    wanted: Sequence[int],
    headers: Mapping[str, Expect],
    values: Sequence[At],
    text: Expect | None,
) -> Iterator[Finding]:
    """Everything in an answer that is not as expected."""
    if answer.status not in wanted:
        yield _wrong(answer, "has another status", " or ".join(map(str, wanted)))
        return
    for name, expect in headers.items():
        said = answer.headers.get(name.lower())
        if wrong := expect.violation(said):
            message = f"{answer.request} has no header {name}" if said is None else f"header {name} is wrong"
            found = "" if said is None else said[:300]
            yield Finding(message=message, expected=wrong, actual=found, where=answer.request)
    if text is not None and (wrong := text_violation(text, answer.body)):
        yield _wrong(answer, "has another body", wrong)
    data = answer.json if values else None
    if values and data is None and answer.body.strip() != "null":
        yield _wrong(answer, "has no JSON as its body", "JSON")
        return
    for each in values:
        if told := value_violation(data, each):
            message, expected, actual = told
            yield Finding(
                message=f"{answer.request}: {message}",
                expected=expected,
                actual=actual or answer.shown,
                where=answer.request,
            )


def judge_metric(
    after: Answer, before: Answer | None, metric: str, labels: Mapping[str, str], expect: Expect | None
) -> Outcome:
    """Whether a metric is there and its value, or growth, is as expected."""
    now = _value(after, metric, labels)
    if isinstance(now, Finding):
        return failed(now)
    if now is None:
        return failed(_no_metric(after, metric, labels))
    if before is not None:
        then = _value(before, metric, labels)
        if isinstance(then, Finding):
            return failed(then)
        now -= then or 0.0  # a metric with labels begins with the first request
    wrong = expect.violation(now) if expect is not None else ""
    if not wrong:
        return passed()
    what = f"{metric} grew by another number" if before is not None else f"{metric} has another value"
    return failed(Finding(message=what, expected=wrong, actual=shown(now), where=after.request))


def _value(answer: Answer, metric: str, labels: Mapping[str, str]) -> float | Finding | None:
    if answer.status != _OK:
        return _wrong(answer, "gives no metrics", "200 with Prometheus exposition text")
    found = exposition.samples(answer.body, answer.content_type)
    if isinstance(found, str):
        return _wrong(answer, f"is not exposition text: {found}", "Prometheus exposition text")
    values = [
        each.value for each in found if each.name == metric and labels.items() <= dict(each.labels).items()
    ]
    return math.fsum(values) if values else None


def _no_metric(answer: Answer, metric: str, labels: Mapping[str, str]) -> Finding:
    found = exposition.samples(answer.body, answer.content_type)
    names = [] if isinstance(found, str) else [*dict.fromkeys(each.name for each in found)]
    near = [each for each in found if each.name == metric] if not isinstance(found, str) else []
    told = [shown(dict(each.labels)) for each in near[:5]] or names[:8]
    with_labels = f" with {shown(dict(labels))}" if labels else ""
    return Finding(
        message=f"{answer.request} has no metric {metric}{with_labels}",
        expected=f"{metric}{with_labels}",
        actual=", ".join(told) or "no metric",
        where=answer.request,
    )


def _wrong(answer: Answer, said: str, expected: str) -> Finding:
    return Finding(
        message=f"{answer.request} {said}",
        expected=expected,
        actual=answer.shown,
        where=answer.request,
        detail=answer.cause,
    )


def _not_booted(failure: Called) -> Outcome:
    """Nothing can be asked of a service that does not start, which is one mistake."""
    finding = failure.finding(_NO_ANSWER, expected="the service starts and answers requests")
    if failure.unread:
        return unverified(f"{_NO_ANSWER}, but {failure.unread}", detail=finding.detail)
    return failed(finding, cause=_NO_ANSWER)


CHECKS = (http_answers, http_metric)
