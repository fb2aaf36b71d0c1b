"""A prediction service started with a model available, and without one."""

from __future__ import annotations

import itertools
import json
import random
import re
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from grader.check import Deliverable, Names, Port, Scenario, Seconds, UrlPath
from grader.checks.mlflow.signatures import logs_signature
from grader.checks.mlflow.world import SERVED, ServedModel
from grader.checks.scripts.call import Called, script
from grader.checks.scripts.variables import documented_wishes
from grader.checks.serving import asgi
from grader.checks.serving.asgi import Answer
from grader.checks.serving.static import model_paths
from grader.documents import Problem
from grader.errors import GraderFault
from grader.readers.python.tracebacks import last_traceback
from grader.readers.table import clean, read_table
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.context import Context
    from grader.readers.invocations import Setting
    from grader.runtime.cell import Cell, Server

_UNASKED = Answer(request="")
_POLL_SECONDS = 0.5
_POOL = 200
_MAX_SHUFFLES = 100
_OK = 200
_SERVER_ERROR = 500
_MAX_LATE = 3
"""How many unanswered requests are tolerated before no more are sent."""
_LOG_SECONDS = 0.2
MAX_LOG = 20_000
"""Characters of a server's output that are kept."""
_AFTER_LOADING_SECONDS = 5
"""Seconds for an application without a model to say so again after a prediction request."""


class Serving(Scenario):
    """How a prediction service is started and tested."""

    kind: ClassVar[str] = "serving"

    script: Deliverable
    """The application."""
    world: ServedModel
    """The model that is served; rows are taken from the data that it was fitted on."""
    without: tuple[str, ...]
    """Globs of the files to remove for runs without a model."""
    rows: Annotated[int, Field(gt=1)]
    """How many rows one request has."""
    host: str
    """Where it listens."""
    port: Port
    """Where it listens."""
    health: UrlPath
    """The path of the health endpoint."""
    ready: UrlPath
    """The path of the readiness endpoint."""
    predict: UrlPath
    """The path of the prediction endpoint."""
    metrics: UrlPath
    """The path of the metrics endpoint."""
    openapi: UrlPath
    """The path of the OpenAPI document."""
    field: str
    """The request's key for the rows."""
    refused: dict[str, Names]
    """Invalid bodies, grouped by what is wrong with them."""
    boot_seconds: Seconds
    """Seconds until its first answer."""
    ready_seconds: Seconds
    """Seconds to load the model, counted from the first answer."""
    request_seconds: Seconds
    """Seconds that one answer may take."""
    cpu_seconds: Seconds
    """CPU limit of one run, in seconds."""
    wall_seconds: Seconds
    """Wall-clock limit of one run, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a service answered while it ran."""

    shown: str
    """The command that started it."""
    failure: Called | None = None
    """How it ended, if it never answered."""
    called: Called | None = None
    """The call that started it, where it answered."""
    expected: tuple[Any, ...] = ()
    """The seeded model's predictions for the rows."""
    health: Answer = _UNASKED
    ready: tuple[Answer, ...] = ()
    """Every answer, in order."""
    predict: Answer = _UNASKED
    alone: tuple[Any, ...] = ()
    """The seeded model's prediction for the single row of a second request."""
    predict_alone: Answer = _UNASKED
    metrics: Answer = _UNASKED
    openapi: Answer = _UNASKED
    refused: Mapping[str, tuple[tuple[str, Answer], ...]] = field(default_factory=dict)
    log: str = ""
    """The end of what it wrote."""
    remark: str = ""
    """What was noticed about the models with which it works."""

    @property
    def answered(self) -> bool:
        """Whether valid requests got predictions."""
        return all(answer.status == 200 for answer, _ in self.asked)

    @property
    def asked(self) -> tuple[tuple[Answer, tuple[Any, ...]], ...]:
        """Answers to valid requests, each with the model's own predictions."""
        return ((self.predict, self.expected), (self.predict_alone, self.alone))


def served(context: Context, scenario: Serving) -> Served:
    """The service with one and the same model in the registry and in the file."""
    key = ("serving", scenario)
    return context.memo.once(key, lambda: _serve(context, scenario))


def served_without_model(context: Context, scenario: Serving) -> Served:
    """The service with an empty registry and no file."""
    key = ("serving without model", scenario)
    return context.memo.once(key, lambda: _serve_without(context, scenario))


def _serve(context: Context, scenario: Serving) -> Served:
    """Serve a model as the submission's own training logs it, else the other way, for what works only so."""
    logs = logs_signature(context, scenario.world.logged_by)
    first = _serve_model(context, scenario, signature=logs is True)
    if first.answered or not _is_about_signatures(first):
        return first
    second = _serve_model(context, scenario, signature=logs is not True)
    if not second.answered:
        return first
    if logs:
        said = "it predicts with a model that has no signature, and the submission's own training logs one"
        return replace(first, remark=said)
    return replace(second, remark="it predicts only with a model whose signature names its columns")


_SIGNATURE = re.compile(r"signature|schema|input_names|\.inputs\b", re.IGNORECASE)


def _is_about_signatures(seen: Served) -> bool:
    ended = "" if seen.failure is None else seen.failure.run.stdout + seen.failure.run.stderr
    said = (ended, seen.log, seen.predict.body, seen.predict.cause, seen.predict_alone.body)
    return any(_SIGNATURE.search(text) for text in said)


def _serve_model(context: Context, scenario: Serving, *, signature: bool) -> Served:
    runtime = context.require_runtime()
    pool = _pool(context, scenario)
    world = scenario.world
    # Only where there is one, so that other worlds keep their key in the cache.
    more = {"signature": True} if signature else {}
    seed = runtime.seeded("seed_model", world.request(context.seed, rows=pool, **more))
    rows, expected = choose(pool, _predicted(seed.answer, SERVED, len(pool)), scenario.rows, context.seed)
    model = Path(seed.files) / Path(world.file).name
    files = dict.fromkeys((world.file, *_model_paths(context, scenario)), model)
    with (
        runtime.mlflow("serving_signed" if signature else "serving", seeded=seed.store) as server,
        runtime.cell(mlflow=server, files=files) as cell,
    ):
        use = partial(_ask_all, scenario=scenario, rows=rows, expected=expected)
        seen = _boot(context, cell, scenario, use)
        wished = _wishes(context, scenario)
        if wished and seen.failure is None and seen.ready[-1].status != _OK:
            # It started without what it asks its environment for; with it, it may find its model.
            again = _boot(context, cell, scenario, use, wished)
            seen = again if again.failure is None and again.ready[-1].status == _OK else seen
    called = seen.called or seen.failure
    path = context.submission.deliverables.get(scenario.script)
    if called is not None and path is not None:
        context.record_call(scenario.script, called.record(path))
    return seen


def _wishes(context: Context, scenario: Serving) -> tuple[Setting, ...]:
    """Variables that the submission sets, which the application has nothing for though it starts."""
    source = context.submission.deliverable(scenario.script)
    if source is None or scenario.script in context.submission.manifest.commands:
        return ()
    return documented_wishes(context.submission, source)


def _model_paths(context: Context, scenario: Serving) -> tuple[str, ...]:
    """Other places where the application keeps its model: the exam names none for it."""
    source = context.submission.deliverable(scenario.script)
    endings = [pattern.removeprefix("*") for pattern in scenario.without if pattern.startswith("*.")]
    return () if source is None else model_paths(context.submission, source, endings)


def _serve_without(context: Context, scenario: Serving) -> Served:
    runtime = context.require_runtime()
    with (
        runtime.mlflow("serving_without_model") as server,
        runtime.cell(mlflow=server, without=[*scenario.without, *_model_paths(context, scenario)]) as cell,
    ):
        return _boot(context, cell, scenario, lambda client: _ask_ready(client, scenario))


def _boot(
    context: Context,
    cell: Cell,
    scenario: Serving,
    use: Callable[[Client], Served],
    wished: tuple[Setting, ...] = (),
) -> Served:
    what, source = (
        script(context.submission, scenario.script),
        context.submission.deliverable(scenario.script),
    )
    if what is None or source is None:
        raise GraderFault(f"there is no {scenario.script} to serve")
    if wished:
        more = {each.name: each.value for each in wished}
        told = tuple(f"{each.name} ({each.where})" for each in wished)
        what = replace(what, env={**more, **what.env}, variables=(*what.variables, *told))
    tree = source.python
    outcome: Served | Called = asgi.serve(
        cell,
        what,
        asgi.Target() if isinstance(tree, Problem) else asgi.find(tree),
        host=scenario.host,
        port=scenario.port,
        seconds=scenario.boot_seconds,
        limits=Limits(cpu_seconds=scenario.cpu_seconds, wall_seconds=scenario.wall_seconds),
        use=lambda app, called: replace(
            use(Client(app, called.shown, scenario, (cell.root, str(cell.workspace)))), called=called
        ),
    )
    return Served(shown=outcome.shown, failure=outcome) if isinstance(outcome, Called) else outcome


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to a started service."""

    app: Server
    shown: str
    scenario: Serving
    roots: tuple[str, ...]
    late: list[str] = field(default_factory=list)
    """Requests that were not answered in time."""

    def get(self, path: str) -> Answer:
        """One request."""
        return self._ask("GET", path)

    def post(self, body: str) -> Answer:
        """One request for predictions."""
        return self._ask("POST", self.scenario.predict, body)

    def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        if len(self.late) >= _MAX_LATE:
            said = f"not sent, since {', '.join(self.late)} got no answer in time"
            return Answer(request=f"{method} {path}", error=said)
        before, begun = len(self.app.output()), time.monotonic()
        answer = asgi.ask(self.app.client, method, path, seconds=self.scenario.request_seconds, body=body)
        if answer.status is None and time.monotonic() - begun >= self.scenario.request_seconds:
            self.late.append(answer.request)
        if answer.status != _SERVER_ERROR:
            return answer
        time.sleep(_LOG_SECONDS)  # the exception is written after the answer
        error = last_traceback(self.app.output()[before:], self.roots)
        return answer if error is None else replace(answer, cause=error.text)


def _ask_all(client: Client, scenario: Serving, rows: list[list[float]], expected: tuple[Any, ...]) -> Served:
    body = json.dumps({scenario.field: rows})
    health = client.get(scenario.health)
    ready = [client.get(scenario.ready)]
    predict = client.post(body)
    until = time.monotonic() + scenario.ready_seconds
    # Loading may be lazy, and then it was the prediction that began it.
    while ready[-1].status != 200 and time.monotonic() < until and client.app.alive():
        time.sleep(_POLL_SECONDS)
        ready.append(client.get(scenario.ready))
    if predict.status != 200:
        predict = client.post(body)
    if health.status != 200:
        health = client.get(scenario.health)
    # A row of another class than the first: an answer that was kept from the first request is a wrong one.
    other = next(n for n, said in enumerate(expected) if said != expected[0])
    return Served(
        shown=client.shown,
        expected=expected,
        health=health,
        ready=tuple(ready),
        predict=predict,
        alone=expected[other : other + 1],
        predict_alone=client.post(json.dumps({scenario.field: rows[other : other + 1]})),
        refused={
            kind: tuple((wrong, client.post(wrong)) for wrong in bodies)
            for kind, bodies in scenario.refused.items()
        },
        openapi=client.get(scenario.openapi),
        # Last: metrics of traffic begin with traffic.
        metrics=client.get(scenario.metrics),
        log=client.app.output()[-MAX_LOG:],
    )


def _ask_ready(client: Client, scenario: Serving) -> Served:
    ready = [client.get(scenario.ready)]
    client.post(json.dumps({scenario.field: [[0.0]]}))
    until = time.monotonic() + _AFTER_LOADING_SECONDS
    while time.monotonic() < until and client.app.alive():
        ready.append(client.get(scenario.ready))
        if ready[-1].status == 200:
            break
        time.sleep(_POLL_SECONDS)
    return Served(shown=client.shown, ready=tuple(ready))


# --- rows -----------------------------------------------------------------------------------------


def _pool(context: Context, scenario: Serving) -> list[list[float]]:
    """Complete rows of the given data; always the same, so that the seeded model can be kept."""
    table = read_table(context.given(scenario.world.data))
    header, *rows = clean(table, drop_duplicates=True, drop_blanks=True)
    target = header.index(scenario.world.target)
    return [[float(cell) for n, cell in enumerate(row) if n != target] for row in rows[:_POOL]]


def _predicted(answer: Any, model: str, count: int) -> list[Any]:
    models = answer.get("models") if isinstance(answer, dict) else None
    told = models.get(model) if isinstance(models, dict) else None
    found = told.get("predictions") if isinstance(told, dict) else None
    if isinstance(found, list) and len(found) == count:
        return found
    raise GraderFault("the seeded model gives no predictions")


def choose(
    rows: list[list[float]], predicted: list[Any], count: int, seed: int
) -> tuple[list[list[float]], tuple[Any, ...]]:
    """Some rows of every class in mixed order, with the model's predictions."""
    by_class: dict[Any, list[tuple[list[float], Any]]] = {}
    for pair in zip(rows, predicted, strict=True):
        by_class.setdefault(str(pair[1]), []).append(pair)
    if len(by_class) < 2:
        raise GraderFault("the seeded model predicts the same for every row")
    dice = random.Random(seed)  # noqa: S311
    share = max(2, count // len(by_class))
    chosen = [pair for some in by_class.values() for pair in dice.sample(some, min(share, len(some)))]
    for _ in range(_MAX_SHUFFLES):
        dice.shuffle(chosen)
        # In order of class, a service that sorts or groups its answers would pass.
        if sum(one[1] != other[1] for one, other in itertools.pairwise(chosen)) > len(by_class):
            break
    return [row for row, _ in chosen], tuple(said for _, said in chosen)
