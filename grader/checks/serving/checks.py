"""What a prediction service answers."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grader.check import HttpStatus, check, require_name
from grader.checks.serving import exposition
from grader.checks.serving import static as serving_source
from grader.checks.serving.scenarios import Served, Serving, served, served_without_model
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.scripts.call import Called
    from grader.checks.serving.asgi import Answer
    from grader.context import Context

_MAX_NAMED = 8
_MAX_SCHEMAS = 2_000
"""How many schemas are followed from that of a request's body."""
_OK = 200


@check("serving.health", evidence=Evidence.RUNS)
def health(context: Context, *, scenario: Serving, expect: dict[str, Any]) -> Outcome:
    """The application starts, and its health endpoint answers 200 with at least these keys.

    Args:
        expect: keys and values that the answer must contain.
    """
    return judge_health(served(context, scenario), expect)


@check("serving.ready", evidence=Evidence.RUNS)
def ready(context: Context, *, scenario: Serving) -> Outcome:
    """With a model available, the application is ready within a few seconds."""
    return judge_ready(served(context, scenario))


@check("serving.not_ready", evidence=Evidence.RUNS)
def not_ready(context: Context, *, scenario: Serving) -> Outcome:
    """With no model available, the application never says that it is ready, or refuses to start."""
    return judge_not_ready(served_without_model(context, scenario))


@check("serving.counts", evidence=Evidence.RUNS)
def counts(context: Context, *, scenario: Serving, predictions: str) -> Outcome:
    """A prediction request gets 200 and one prediction per row.

    Args:
        predictions: the answer's key for the predictions.
    """
    seen = served(context, scenario)
    outcome = judge_counts(seen, predictions)
    if not seen.remark:
        return outcome
    return replace(outcome, findings=(*outcome.findings, Finding(message=seen.remark, where=seen.shown)))


@check("serving.agrees", evidence=Evidence.RUNS)
def agrees(context: Context, *, scenario: Serving, predictions: str) -> Outcome:
    """The predictions are those of the served model, in order.

    Args:
        predictions: the answer's key for the predictions.
    """
    return judge_agrees(served(context, scenario), predictions)


@check("serving.version", evidence=Evidence.RUNS)
def version(context: Context, *, scenario: Serving, key: str) -> Outcome:
    """The answer to a prediction request states the model's version.

    Args:
        key: the answer's key for the version.
    """
    return judge_version(served(context, scenario), key)


def _has_bodies(given: Any) -> None:
    require_name("kind of refused body", given.kind, given.scenario.refused)


@check("serving.refuses", evidence=Evidence.RUNS, rule=_has_bodies)
def refuses(context: Context, *, scenario: Serving, kind: str, status: HttpStatus) -> Outcome:
    """Every invalid body of a kind is refused with the status.

    Args:
        kind: the name of one of the scenario's groups of invalid bodies.
        status: the HTTP status.
    """
    return judge_refuses(served(context, scenario), kind, status)


@check("serving.schema", evidence=Evidence.RUNS)
def schema(context: Context, *, scenario: Serving) -> Outcome:
    """The OpenAPI document, or the source if there is none, describes the prediction request's body."""
    seen, source = served(context, scenario), context.submission.deliverable(scenario.script)
    if seen.failure is None and seen.openapi.status != _OK and source is not None:
        # Closed, or at a path of its own: nothing was asked of the documentation.
        where = serving_source.model_of(context.submission, source, scenario.field)
        if where:
            said = f"{seen.openapi.request} is not there; the model was found in the source"
            return passed(Finding(message=said, where=where), evidence=Evidence.STATIC)
    return judge_schema(seen, scenario.predict, scenario.field)


@check("serving.metrics", evidence=Evidence.RUNS)
def metrics(context: Context, *, scenario: Serving, foreign: tuple[str, ...]) -> Outcome:
    """The metrics endpoint serves exposition text with, if `foreign` is given, a metric of the application's.

    Args:
        foreign: prefixes of metrics that every process has, and that do not count.
    """
    return judge_metrics(served(context, scenario), foreign)


# --- judgements: pure -----------------------------------------------------------------------------


def judge_health(seen: Served, expect: dict[str, Any]) -> Outcome:
    """The application starts, and its health endpoint answers as required."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    body = seen.health.json
    healthy = isinstance(body, dict) and all(body.get(key) == value for key, value in expect.items())
    if seen.health.status == _OK and healthy:
        return passed()
    expected = f"200 with {json.dumps(expect)}"
    return failed(_wrong(seen.health, "does not report the application as healthy", expected))


def judge_ready(seen: Served) -> Outcome:
    """The application became ready."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    if seen.ready[-1].status == _OK:
        return passed()
    said = "is not 200 although a model is in the registry and in the file"
    return failed(_wrong(seen.ready[-1], said, "200 once the model is loaded"))


def judge_not_ready(seen: Served) -> Outcome:
    """The application was never ready."""
    if seen.failure is not None:
        return passed(
            Finding(message="the application refuses to start without a model", where=seen.failure.shown)
        )
    wrong = next((answer for answer in seen.ready if answer.status == _OK), None)
    if wrong is None:
        return passed()
    said = "answers 200 although no model is available"
    return failed(_wrong(wrong, said, "an error status such as 503"))


def judge_counts(seen: Served, key: str) -> Outcome:
    """There is one prediction per row."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    for answer, wanted in seen.asked:
        found = predictions(answer, key, len(wanted))
        if isinstance(found, Finding):
            return failed(found, cause=_unanswered_cause(answer))
        if len(found) != len(wanted):
            said = f"has {_predictions(len(found))} for {_rows(len(wanted))}"
            return failed(_wrong(answer, said, f"{_predictions(len(wanted))}, one per row"))
    return passed()


def judge_agrees(seen: Served, key: str) -> Outcome:
    """The predictions are those of the model."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    for answer, wanted in seen.asked:
        found = predictions(answer, key, len(wanted))
        if isinstance(found, Finding):
            return failed(found, cause=_unanswered_cause(answer))
        if [label(each) for each in found] != [label(each) for each in wanted]:
            return failed(
                Finding(
                    message=f"the {key} are not those of the model in the registry and in the file",
                    expected=str(list(wanted)),
                    actual=str(found[: 3 * len(wanted)])[:600],
                    where=answer.request,
                )
            )
    return passed()


def judge_version(seen: Served, key: str) -> Outcome:
    """The version is a non-empty text or a number."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    body = seen.predict.json
    value = body.get(key) if isinstance(body, dict) else None
    if seen.predict.status != _OK:
        finding = _unanswered(seen.predict, len(seen.expected))
        return failed(finding, cause=_unanswered_cause(seen.predict))
    if isinstance(value, str | int | float) and str(value).strip():
        return passed()
    return failed(_wrong(seen.predict, f"has no {key}", f"a non-empty {key}"))


def judge_refuses(seen: Served, kind: str, status: HttpStatus) -> Outcome:
    """Every body of the kind is refused."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    for body, answer in seen.refused.get(kind, ()):
        if answer.status != status:
            return failed(_wrong(answer, f"does not answer {status} to {body}", str(status)))
    return passed()


def judge_schema(seen: Served, path: str, field: str) -> Outcome:
    """A schema describes the body, with the field as a property."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    document = seen.openapi.json
    if seen.openapi.status != _OK or not isinstance(document, dict):
        return failed(
            _wrong(seen.openapi, "gives no OpenAPI document", f"a description of the body of {path}")
        )
    names = list(body_fields(document, path))
    if field in names:
        return passed()
    return failed(
        Finding(
            message=f"no Pydantic model describes the body of {path}",
            expected=f"a model with the field {field}",
            actual=", ".join(names[:_MAX_NAMED]) or "no description of the body",
            where=seen.openapi.request,
        )
    )


def judge_metrics(seen: Served, foreign: Sequence[str]) -> Outcome:
    """The text is valid and, if required, has a metric of the application's own."""
    if seen.failure is not None:
        return _not_booted(seen.failure)
    if seen.metrics.status != _OK:
        return failed(_wrong(seen.metrics, "is not there", "200 with Prometheus exposition text"))
    names = exposition.metric_names(seen.metrics.body, seen.metrics.content_type)
    if isinstance(names, str):
        return failed(_wrong(seen.metrics, f"is not exposition text: {names}", "Prometheus exposition text"))
    if not names:
        return failed(_wrong(seen.metrics, "has no metric with a value", "a metric and its value"))
    if foreign and not exposition.own(names, foreign):
        return failed(
            Finding(
                message="every metric is about the Python process, none about the application or its traffic",
                expected="a metric of its own, such as a counter of requests",
                actual=", ".join(names[:_MAX_NAMED]),
                where=seen.metrics.request,
            )
        )
    return passed()


# --- reading answers ------------------------------------------------------------------------------


def predictions(answer: Answer, key: str, rows: int) -> list[Any] | Finding:
    """The list of predictions, without a single list around it, or why there is none."""
    body = answer.json
    found = body.get(key) if isinstance(body, dict) else None
    if answer.status != _OK:
        return _unanswered(answer, rows)
    if not isinstance(found, list):
        return _wrong(answer, f"has no {key} for {_rows(rows)}", f"{key}, a list")
    match found:
        case [list() as inner] if rows != 1:
            return inner
    return found


def _predictions(count: int) -> str:
    return f"{count} prediction{'s' if count != 1 else ''}"


def _rows(count: int) -> str:
    return f"{count} row{'s' if count != 1 else ''}"


def label(value: object) -> object:
    """A prediction in a form in which 1, 1.0, "1", true and [1] are equal."""
    match value:
        case [only]:
            return label(only)
        case bool() | int() | float():
            return float(value)
        case str():
            try:
                return float(value)
            except ValueError:
                return value.strip()
    return str(value)


def body_fields(document: dict[str, Any], path: str) -> Iterator[str]:
    """Properties of the JSON body of POST `path`, references followed."""
    paths = document.get("paths")
    for name, operations in paths.items() if isinstance(paths, dict) else ():
        if str(name).rstrip("/") != path.rstrip("/"):
            continue
        content = _get(operations, "post", "requestBody", "content")
        for media in content.values() if isinstance(content, dict) else ():
            yield from _properties(document, _get(media, "schema"))


def _properties(document: dict[str, Any], first: object) -> Iterator[str]:
    """Properties of a schema and of those that it refers to, each once, however they refer to each other."""
    waiting, followed = deque([first]), set[str]()
    for _ in range(_MAX_SCHEMAS):
        schema = waiting.popleft() if waiting else None
        if not isinstance(schema, dict):
            if not waiting:
                return
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/") and reference not in followed:
            followed.add(reference)
            waiting.append(_get(document, *reference[2:].split("/")))
        properties = schema.get("properties")
        yield from map(str, properties if isinstance(properties, dict) else ())
        for word in ("allOf", "anyOf", "oneOf"):
            options = schema.get(word)
            waiting.extend(options if isinstance(options, list) else ())


def _get(data: object, *keys: str) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


# --- words ----------------------------------------------------------------------------------------


def _wrong(answer: Answer, said: str, expected: str) -> Finding:
    return Finding(
        message=f"{answer.request} {said}",
        expected=expected,
        actual=answer.shown,
        where=answer.request,
        detail=answer.cause,
    )


def _unanswered(answer: Answer, rows: int) -> Finding:
    said = f"does not answer 200 to a valid request with {_rows(rows)}"
    return _wrong(answer, said, "200 with the predictions")


def _unanswered_cause(answer: Answer) -> str:
    return "" if answer.status == _OK else f"{answer.request} does not answer valid requests"


def _not_booted(failure: Called) -> Outcome:
    """Nothing can be asked of an application that does not start, which is one mistake."""
    finding = failure.finding(_NO_ANSWER, expected="the server starts and answers requests")
    if failure.unread:
        return unverified(f"{_NO_ANSWER}, but {failure.unread}", detail=finding.detail)
    return failed(finding, cause=_NO_ANSWER)


_NO_ANSWER = "the application never answered a request"


CHECKS = (health, ready, not_ready, counts, agrees, version, refuses, schema, metrics)
