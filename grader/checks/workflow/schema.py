"""What GitHub refuses in a workflow: by its JSON Schema, as check-jsonschema brings it, and beyond that."""

from __future__ import annotations

import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.availability import availability
from grader.checks.workflow.expressions import read_expressions
from grader.checks.workflow.facts import Workflow, needs_of
from grader.readers.plain_data import as_json
from grader.readers.vendored_schemas import deepest, vendored_schema
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from jsonschema.protocols import Validator

MAX_ERRORS = 5
MAX_MESSAGE = 300
MAX_PLACES = 5_000


def problems(workflow: Workflow) -> Iterator[Finding]:
    """What GitHub refuses."""
    for key, line in workflow.document.duplicates:
        yield Finding(message=f"duplicate key {key[:80]}", where=workflow.file.where(line))
    errors = (each for each in _validator().iter_errors(as_json(workflow.data)) if not _is_a_filter(each))
    for _, error in zip(range(MAX_ERRORS), errors, strict=False):
        path = tuple(error.absolute_path)
        yield Finding(
            message=f"not a valid workflow: {_described(error)[:MAX_MESSAGE]}",
            where=workflow.where(*path),
            detail=".".join(map(str, path)),
        )
    for rule in (_expressions, _references, _step_ids, _filters, _needs):
        yield from islice(rule(workflow), MAX_ERRORS)


def _expressions(workflow: Workflow) -> Iterator[Finding]:
    """Expressions that GitHub cannot read, or that use what is not available where they stand."""
    for path, text in _texts(workflow.data):
        place = availability(path)
        if place is None:
            continue
        for expression, reading in read_expressions(text, whole=path[-1] == "if"):
            if message := place.complaint(reading):
                yield Finding(
                    message=message,
                    expected=place.expected(reading),
                    actual=expression[:MAX_MESSAGE],
                    where=workflow.where(*path),
                )


_ACTION = re.compile(r"[^/@\s]+/[^@\s]+@\S+")
_ID = re.compile(r"(?!__)[A-Za-z_][\w-]*", re.ASCII)


def _references(workflow: Workflow) -> Iterator[Finding]:
    """An action, or a workflow of another repository, is used at a reference."""
    for path, text in _texts(workflow.data):
        if path[-1] != "uses" or path[0] != "jobs" or len(path) not in (3, 5):
            continue
        if (
            "${{" not in text
            and not text.startswith(("./", "docker://"))
            and not _ACTION.fullmatch(text.strip())
        ):
            yield Finding(
                message=f"uses: {text[:MAX_MESSAGE]} does not say at which version",
                expected="owner/repository@reference, ./folder or docker://image",
                where=workflow.where(*path),
            )


def _step_ids(workflow: Workflow) -> Iterator[Finding]:
    """The steps of a job have ids that are names, and different ones."""
    jobs = workflow.data.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        seen: set[str] = set()
        steps = job.get("steps") if isinstance(job, dict) else None
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            given = step.get("id") if isinstance(step, dict) else None
            if not isinstance(given, str) or "${{" in given:
                continue
            where = workflow.where("jobs", name, "steps", index, "id")
            if not _ID.fullmatch(given):
                expected = "letters, digits, - and _, beginning with a letter or a single _"
                yield Finding(message=f"invalid step id {given[:80]!r}", expected=expected, where=where)
            elif given.lower() in seen:
                yield Finding(message=f"two steps of job {name} have the id {given[:80]}", where=where)
            seen.add(given.lower())


def _filters(workflow: Workflow) -> Iterator[Finding]:
    """An event is filtered by what is included or by what is not, not by both."""
    events = workflow.data.get("on")
    for event, filters in events.items() if isinstance(events, dict) else ():
        for name in ("branches", "tags", "paths") if isinstance(filters, dict) else ():
            if name in filters and f"{name}-ignore" in filters:
                yield Finding(
                    message=f"on.{event} has both {name} and {name}-ignore",
                    expected=f"one of them; {name} takes patterns with ! too",
                    where=workflow.where("on", event),
                )


def _texts(data: Any) -> Iterator[tuple[tuple[Hashable, ...], str]]:
    """Every text of a workflow, and its path."""
    waiting: list[tuple[tuple[Hashable, ...], Any]] = [((), data)]
    for _ in range(MAX_PLACES):
        if not waiting:
            return
        path, value = waiting.pop()
        match value:
            case str() if path:
                yield path, value
            case dict():
                waiting += [((*path, key), inner) for key, inner in value.items()]
            case list():
                waiting += [((*path, index), inner) for index, inner in enumerate(value)]


@cache
def _validator() -> Validator:
    import jsonschema

    schema = vendored_schema("github-workflows")
    return jsonschema.Draft7Validator(_corrected(schema))


def _corrected(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema asks for lists where GitHub takes one word as well: `branches: main`."""
    globs = schema["definitions"]["globs"]
    schema["definitions"]["globs"] = {"anyOf": [globs, {"type": "string", "minLength": 1}]}
    return schema


def _described(error: Any) -> str:
    found = deepest(error)
    place = ".".join(map(str, found.absolute_path)) or "the workflow"
    return f"{place}: {found.message}"


def _is_a_filter(error: Any) -> bool:
    """Whether it is about filters that exclude each other, which the schema cannot say in words."""
    error = deepest(error)
    return error.validator == "not" and tuple(error.absolute_path)[:1] == ("on",)


def _needs(workflow: Workflow) -> Iterator[Finding]:
    jobs = workflow.data.get("jobs")
    if not isinstance(jobs, dict):
        return
    graph: dict[Hashable, list[str]] = {name: list(needs_of(job)) for name, job in jobs.items()}
    for name, needs in graph.items():
        for need in needs:
            if need not in graph:
                yield Finding(
                    message=f"job {name} needs {need}, which is not a job of the workflow",
                    expected=", ".join(map(str, graph)),
                    where=workflow.where("jobs", name, "needs"),
                )
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        yield Finding(
            message=f"the jobs need one another in a circle: {' -> '.join(map(str, cycle))}",
            where=workflow.where("jobs", cycle[0], "needs"),
        )
