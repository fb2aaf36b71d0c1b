"""Whether a Compose file is valid, and what its services are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from grader.check import Deliverable, Example, check
from grader.checks.compose.services import interpolated, long_form
from grader.checks.generic.expectations import Expect
from grader.checks.generic.values import Document, JsonPath, Quantifier, judge
from grader.documents import Problem
from grader.readers.plain_data import as_json
from grader.readers.vendored_schemas import schema_errors, vendored_schema
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from grader.context import Context

MAX_MESSAGE = 300
MAX_LISTED = 8


@cache
def _validator() -> Validator:
    import jsonschema

    return jsonschema.Draft202012Validator(vendored_schema("compose-spec"))


def _compose(context: Context, *, file: Deliverable) -> Document | Finding:
    """The Compose file."""
    source = context.deliverable(file)
    documents = source.yaml
    if isinstance(documents, Problem):
        return documents.finding("a Compose file")
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        return Finding(message="a Compose file is a single YAML mapping", where=source.name)
    return Document(source, as_json(documents[0].data), documents[0])


_FILE = """\
services:
  api:
    build: .
    ports: ["8080:8080"]
    environment: [DATABASE_URL=postgresql://db/app]
    depends_on:
      db: {condition: service_healthy}
  db:
    image: postgres:16
    healthcheck: {test: pg_isready -U app, interval: 5s}
"""


@check(
    "compose.valid",
    reads=_compose,
    example=Example(
        rubric="""
            deliverables: {compose: {path: compose.yaml, accept: [compose.yml, docker-compose.yml]}}
            check: compose.valid
        """,
        files={"compose.yaml": _FILE},
    ),
)
def compose_valid(_: Context, found: Document) -> Outcome:
    """The Compose file has at least one service and is valid against the Compose specification's schema."""
    findings = [
        Finding(message=f"not a valid Compose file: {said[:MAX_MESSAGE]}", where=_where(found, place))
        for place, said in schema_errors(_validator(), found.data)
    ]
    services = found.data.get("services")
    if not findings and not services:
        findings = [Finding(message="there are no services", where=found.where())]
    if not findings:
        for name, service in services.items():
            needs = long_form(service).get("depends_on") or {}
            findings += [
                Finding(
                    message=f"service {name} depends on {need[:MAX_MESSAGE]}, which is not a service",
                    where=found.where(("services", name, "depends_on")),
                )
                for need in needs
                if need not in services
            ]
    return failed(*findings[:MAX_LISTED]) if findings else passed()


def _where(found: Document, place: tuple[object, ...]) -> str:
    return found.where(tuple(step for step in place if isinstance(step, str | int)))


@check(
    "compose.service",
    reads=_compose,
    example=Example(
        rubric="""
            deliverables: {compose: {path: compose.yaml}}
            check: compose.service
            with:
              file: compose
              service: api
              path: $.depends_on.db.condition
              expect: {equals: service_healthy}
        """,
        files={"compose.yaml": _FILE},
    ),
)
def compose_service(
    _: Context,
    found: Document,
    *,
    service: str = "",
    path: JsonPath = "$",
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a service is as expected, the service being read in Compose's long form.

    So `ports` are `{target, published, protocol}`, `environment` and `labels` mappings of text,
    `depends_on` a mapping to `{condition}`, `volumes` `{type, source, target, read_only}`,
    `build` `{context}`, and commands lists of words.

    Args:
        service: the service's name; any service, if it is left out.
        path: a JSONPath from the service, such as `$.environment.DATABASE_URL`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    services = found.data.get("services")
    services = services if isinstance(services, dict) else {}
    those = {
        name: long_form(interpolated(each))
        for name, each in services.items()
        if isinstance(each, dict) and service in ("", name)
    }
    if not those:
        return failed(
            Finding(
                message=f"there is no service {service}" if service else "there are no services",
                actual=", ".join(services)[:MAX_MESSAGE],
                where=found.where(("services",)),
            )
        )
    documents = tuple(
        replace(found, data=data, root=(*found.root, "services", name)) for name, data in those.items()
    )
    return judge(documents, path, expect, quantifier)


CHECKS = (compose_valid, compose_service)
