"""Values in files of data, and patterns in files of text."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from grader.check import Deliverable, Example, check
from grader.checks.generic.expectations import Expect, Regex, shown
from grader.documents import Problem, YamlDocument, parse_json
from grader.readers.plain_data import as_json
from grader.readers.regular_expressions import find
from grader.results import Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from grader.context import Context
    from grader.documents import SourceFile

MAX_FILES = 200
MAX_FOUND = 50
"""Matches of a pattern that are counted."""
MAX_LISTED = 5
MAX_LINE = 200
_STEPS = {
    *("Root", "This", "Child", "Fields", "Index", "Slice", "Descendants", "Filter", "Expression"),
    *("Wildcard", "Union", "Where"),
}
"""Of JSONPath's extensions only those whose work is bounded by the size of the data."""


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data as JSON has it, and where it stands."""

    file: SourceFile
    data: Any
    source: YamlDocument | None = None
    """Knows the lines, where there are any."""
    root: tuple[Hashable, ...] = ()
    """The place of the data in its source."""

    def where(self, place: tuple[str | int, ...] = ()) -> str:
        """`file:line` of a place, or of its nearest parent."""
        return self.file.where(self.source.line(*self.root, *place) if self.source else None)


@dataclass(frozen=True, slots=True)
class Found:
    """One value that a path leads to."""

    document: Document
    place: tuple[str | int, ...]
    value: Any

    @property
    def where(self) -> str:
        """`file:line`."""
        return self.document.where(self.place)


# --- paths ----------------------------------------------------------------------------------------


def _is_a_path(path: str) -> str:
    _parsed(path)
    return path


JsonPath = Annotated[str, AfterValidator(_is_a_path)]
"""A JSONPath: `$.jobs.test.steps[*].uses`, `$.containers[?(@.name == "api")].image`."""


@lru_cache(maxsize=1_000)
def _parsed(path: str) -> Any:
    from jsonpath_ng.exceptions import JSONPathError
    from jsonpath_ng.ext.parser import parse

    if not path.startswith("$"):
        raise ValueError(f"a JSONPath begins with $: $.{path}")
    if path.count("..") > 1:
        raise ValueError("a JSONPath with .. more than once takes too long on large files")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what it deprecates will mean something else one day
            parsed = parse(path)
    except (JSONPathError, ValueError, KeyError, RecursionError, Warning) as error:
        raise ValueError(f"not a valid JSONPath: {' '.join(str(error).split())[:MAX_LINE]}") from None
    _bounded(parsed)
    return parsed


def _bounded(step: Any) -> None:
    """Refuse what reads no data but computes with it, and patterns that are matched in any time they like."""
    name = type(step).__name__
    if name not in _STEPS or getattr(step, "op", "") == "=~":
        wrong = "=~" if getattr(step, "op", "") == "=~" else f"{step}"[:MAX_LINE]
        raise ValueError(f"not supported in a JSONPath here: {wrong}; say it under `expect`")
    for inner in vars(step).values():
        for each in inner if isinstance(inner, list | tuple) else [inner]:
            if type(each).__module__.startswith("jsonpath_ng"):
                _bounded(each)


def select(documents: Iterable[Document], path: str) -> tuple[Found, ...]:
    """All that a path leads to, in the order of the documents."""
    parsed = _parsed(path)
    return tuple(
        Found(document, _place(match.full_path), match.value)
        for document in documents
        for match in parsed.find(document.data)
    )


def values_at(data: Any, path: str) -> tuple[Any, ...]:
    """All values at a path in plain data."""
    return tuple(match.value for match in _parsed(path).find(data))


def _place(path: Any) -> tuple[str | int, ...]:
    match type(path).__name__:
        case "Child":
            return (*_place(path.left), *_place(path.right))
        case "Fields":
            return tuple(path.fields)
        case "Index":
            return tuple(path.indices)
    return ()


# --- documents ------------------------------------------------------------------------------------


def files_of(context: Context, file: str, files: tuple[str, ...]) -> tuple[SourceFile, ...]:
    """A deliverable, and the files of the submission that globs name besides."""
    first = context.deliverable(file)
    others = context.submission.matching(*files) if files else ()
    return (first, *(each for each in others[:MAX_FILES] if each is not first))


def _read(
    read: Callable[[SourceFile], tuple[Document, ...] | Problem],
    files: Iterable[SourceFile],
    what: str,
) -> tuple[Document, ...] | Finding:
    documents: list[Document] = []
    for each in files:
        found = read(each)
        if isinstance(found, Problem):
            return found.finding(what)
        documents += found
    return tuple(documents)


def yaml_documents(source: SourceFile) -> tuple[Document, ...] | Problem:
    """Every document of a YAML file; booleans are those of YAML 1.2."""
    documents = source.yaml12
    if isinstance(documents, Problem):
        return documents
    return tuple(Document(source, as_json(each.data), each) for each in documents)


def _toml(source: SourceFile) -> tuple[Document, ...] | Problem:
    data = source.toml
    return data if isinstance(data, Problem) else (Document(source, as_json(data)),)


def _json(source: SourceFile) -> tuple[Document, ...] | Problem:
    if isinstance(source.text, Problem):
        return source.text
    try:
        return (Document(source, parse_json(source.text)),)
    except ValueError as error:
        said = " ".join(str(error).split())[:MAX_LINE]
        return Problem(source.name, f"not valid JSON: {said}", getattr(error, "lineno", None))


def _documents(
    read: Callable[[SourceFile], tuple[Document, ...] | Problem], what: str
) -> Callable[..., tuple[Document, ...] | Finding]:
    """A `reads=` of checks: the documents of files of one kind."""

    def documents(
        context: Context, *, file: Deliverable, files: tuple[str, ...] = ()
    ) -> tuple[Document, ...] | Finding:
        """The documents of a file.

        Args:
            files: globs of more files whose documents count as well.
        """
        return _read(read, files_of(context, file, files), what)

    return documents


# --- checks ---------------------------------------------------------------------------------------

Quantifier = Literal["any", "every", "none"]


@check(
    "yaml.value",
    reads=_documents(yaml_documents, "YAML"),
    example=Example(
        rubric="""
            deliverables: {settings: {path: settings.yaml}}
            check: yaml.value
            with:
              file: settings
              path: $.services[?(@.name == "api")].port
              expect: {at_least: 1024, type: number}
        """,
        files={"settings.yaml": "services:\n- name: api\n  port: 8080\n"},
    ),
)
def yaml_value(
    _: Context,
    documents: tuple[Document, ...],
    *,
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a YAML file is as expected (YAML 1.2: `on` and `yes` are text).

    Args:
        path: a JSONPath, such as `$.services[?(@.name == "api")].port`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    return judge(documents, path, expect, quantifier)


@check(
    "toml.value",
    reads=_documents(_toml, "TOML"),
    example=Example(
        rubric="""
            deliverables: {project: {path: pyproject.toml}}
            check: toml.value
            with: {file: project, path: $.tool.ruff.line-length, expect: {at_most: 120}}
        """,
        files={"pyproject.toml": "[tool.ruff]\nline-length = 100\n"},
    ),
)
def toml_value(
    _: Context,
    documents: tuple[Document, ...],
    *,
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a TOML file is as expected.

    Args:
        path: a JSONPath, such as `$.project.dependencies[*]`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    return judge(documents, path, expect, quantifier)


@check(
    "json.value",
    reads=_documents(_json, "JSON"),
    example=Example(
        rubric="""
            deliverables: {dashboard: {path: dashboard.json}}
            check: json.value
            with:
              file: dashboard
              path: $.panels[*].title
              expect: {matches: "(?i)latency"}
        """,
        files={"dashboard.json": '{"panels": [{"title": "Latency (p95)"}]}'},
    ),
)
def json_value(
    _: Context,
    documents: tuple[Document, ...],
    *,
    path: JsonPath,
    expect: Expect | None = None,
    quantifier: Quantifier = "any",
) -> Outcome:
    """What stands at a path in a JSON file is as expected.

    Args:
        path: a JSONPath, such as `$.panels[*].title`.
        expect: what a value there must be; that there is one, if this is left out.
        quantifier: how many of the values must be so; `every` still needs one.
    """
    return judge(documents, path, expect, quantifier)


def judge(
    documents: tuple[Document, ...], path: str, expect: Expect | None, quantifier: Quantifier
) -> Outcome:
    """Whether any, every or none of the values at a path is as expected."""
    found = select(documents, path)
    wrong = [(each, expect.violation(each.value) if expect else "") for each in found]
    right = [each for each, said in wrong if not said]
    if quantifier == "none":
        return failed(_unwanted(right[0], path)) if right else passed()
    if not found:
        return failed(_nothing(documents, path, expect))
    if len(right) == len(found) or (quantifier == "any" and right):
        return passed()
    first, said = next((each, said) for each, said in wrong if said)
    others = [shown(each.value) for each, said in wrong[:MAX_LISTED] if said] if quantifier == "any" else []
    return failed(
        Finding(
            message=f"{path} is not as expected",
            expected=said,
            actual=" · ".join(others or [shown(first.value)]),
            where=first.where,
        )
    )


def _unwanted(found: Found, path: str) -> Finding:
    message = f"{path} has a value that it must not have"
    return Finding(message=message, actual=shown(found.value), where=found.where)


def _nothing(documents: tuple[Document, ...], path: str, expect: Expect | None) -> Finding:
    where = documents[0].file.name if documents else ""
    said = expect.violation(None) if expect else ""
    return Finding(message=f"there is nothing at {path}", expected=said, where=where)


def _text_files(
    context: Context, *, file: Deliverable, files: tuple[str, ...] = ()
) -> tuple[SourceFile, ...] | Finding:
    """The text of a file.

    Args:
        files: globs of more files that count as well.
    """
    sources = files_of(context, file, files)
    problem = next((each.text for each in sources if isinstance(each.text, Problem)), None)
    return sources if problem is None else problem.finding("text")


@check(
    "file.matches",
    reads=_text_files,
    example=Example(
        rubric="""
            deliverables: {notes: {path: RUNBOOK.md}}
            check: file.matches
            with: {file: notes, pattern: '(?mi)^#+ *roll ?back'}
        """,
        files={"RUNBOOK.md": "# Runbook\n\n## Rollback\n\nRun `kubectl rollout undo`.\n"},
    ),
)
def file_matches(
    _: Context,
    sources: tuple[SourceFile, ...],
    *,
    pattern: Regex,
    times: Annotated[int, Field(ge=1, le=MAX_FOUND)] = 1,
    absent: bool = False,
) -> Outcome:
    """A pattern is found in a text file.

    Args:
        pattern: a regular expression (RE2) that is searched for; begin it with (?m) for `^` and `$` at lines.
        times: how often it must be found at least.
        absent: whether it must not be found at all.
    """
    count = 0
    for source in sources:
        text = source.text if isinstance(source.text, str) else ""
        found = find(pattern, text, times)
        if found and absent:
            line = text.count("\n", 0, found[0]) + 1
            said = text.split("\n")[line - 1][:MAX_LINE].strip()
            message = f"{source.name} has a text that it must not have"
            return failed(Finding(message=message, actual=said, where=source.where(line)))
        count += len(found)
    if absent or count >= times:
        return passed()
    names = ", ".join(source.name for source in sources[:MAX_LISTED])
    return failed(
        Finding(
            message=f"{names} lacks what is asked for",
            expected=f"text that matches {pattern}" + (f", {times} times" if times > 1 else ""),
            actual=f"found {count} times" if times > 1 else "not found",
            where=sources[0].name,
        )
    )


CHECKS = (yaml_value, toml_value, json_value, file_matches)
