"""Whether a workflow is one for GitHub: its JSON Schema, as check-jsonschema brings it, and its `needs`."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.expressions import foreign
from grader.checks.workflow.facts import Workflow, needs_of
from grader.errors import GraderFault
from grader.readers.plain_data import as_json
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from jsonschema.protocols import Validator

MAX_ERRORS = 5
MAX_MESSAGE = 300
MAX_PLACES = 5_000
_SCHEMA = "builtin_schemas/vendor/github-workflows.json"


def problems(workflow: Workflow) -> Iterator[Finding]:
    """What GitHub refuses."""
    for key, line in workflow.document.duplicates:
        yield Finding(message=f"{key[:80]} stands twice in one mapping", where=workflow.file.where(line))
    errors = _validator().iter_errors(as_json(workflow.data))
    for _, error in zip(range(MAX_ERRORS), errors, strict=False):
        path = tuple(error.absolute_path)
        yield Finding(
            message=f"not a valid workflow: {_deepest(error)[:MAX_MESSAGE]}",
            where=workflow.where(*path),
            detail=".".join(map(str, path)),
        )
    yield from _expressions(workflow)
    yield from _needs(workflow)


def _expressions(workflow: Workflow) -> Iterator[Finding]:
    """Expressions that GitHub cannot read: they know text in single quotes only, and `==`."""
    found = (
        Finding(
            message=f"an expression of GitHub's has no {sign}",
            expected="'text' in single quotes, and == to compare",
            actual=text[:MAX_MESSAGE],
            where=workflow.where(*path),
        )
        for path, text in _texts(workflow.data)
        if (sign := foreign(text, whole=path[-1] == "if"))
    )
    yield from islice(found, MAX_ERRORS)


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

    # Found without being imported: that would load the whole command line of check-jsonschema.
    package = importlib.util.find_spec("check_jsonschema")
    if package is None or not package.submodule_search_locations:
        raise GraderFault("check-jsonschema, which has GitHub's workflow schema, is not installed")
    try:
        schema = json.loads((Path(package.submodule_search_locations[0]) / _SCHEMA).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise GraderFault(f"GitHub's workflow schema cannot be read: {error}") from error
    return jsonschema.Draft7Validator(_corrected(schema))


def _corrected(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema asks for lists where GitHub takes one word as well: `branches: main`."""
    globs = schema["definitions"]["globs"]
    schema["definitions"]["globs"] = {"anyOf": [globs, {"type": "string", "minLength": 1}]}
    return schema


def _deepest(error: Any) -> str:
    """Of a choice between forms that all fail, the complaint that went furthest into the file."""
    while error.context:
        error = max(error.context, key=lambda each: (len(each.absolute_path), each.validator != "type"))
    place = ".".join(map(str, error.absolute_path)) or "the workflow"
    return f"{place}: {error.message}"


def _needs(workflow: Workflow) -> Iterator[Finding]:
    jobs = workflow.data.get("jobs")
    if not isinstance(jobs, dict):
        return
    graph: dict[Hashable, list[str]] = {name: list(needs_of(job)) for name, job in jobs.items()}
    for name, needs in graph.items():
        for need in needs:
            if need not in graph:
                yield Finding(
                    message=f"job {name} needs {need}, which is not a job",
                    expected=", ".join(map(str, graph)),
                    where=workflow.where("jobs", name, "needs"),
                )
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = list(reversed(error.args[1]))
        yield Finding(
            message=f"jobs need one another in a cycle: {' -> '.join(map(str, cycle))}",
            where=workflow.where("jobs", cycle[0], "needs"),
        )
