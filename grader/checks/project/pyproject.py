"""pyproject.toml: the project's metadata and its runtime dependencies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator

from grader.check import Deliverable, check
from grader.context import source_file
from grader.documents import Problem, SourceFile
from grader.readers.requirements import Line, parse_requirements
from grader.readers.version_ranges import MAX_CHARACTERS, Range, pep440, poetry
from grader.results import Finding, Outcome, failed, passed, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from validate_pyproject.api import Validator

    from grader.context import Context

_METADATA = ("build-system", "project", "dependency-groups")
"""The tables that standards define; other top-level tables are not metadata."""
_NAME = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One runtime requirement."""

    name: str
    """Normalised."""
    text: str
    """The requirement as findings show it."""
    range: Range | None
    """None if it has no readable version: a URL, a path, a typo."""
    where: str


def _document(context: Context, *, file: Deliverable) -> dict[str, Any] | Finding:
    """The whole file."""
    document = context.deliverable(file).toml
    return document.finding("valid TOML") if isinstance(document, Problem) else document


@check("pyproject.metadata", reads=_document)
def metadata(context: Context, document: dict[str, Any], *, file: Deliverable) -> Outcome:
    """The file is valid TOML with valid metadata, a name and a version (PEP 621 or Poetry)."""
    complaint = _complaint(document)
    return passed() if complaint is None else failed(_at(complaint, context.deliverable(file)))


def _is_a_version(text: str) -> str:
    try:
        Version(text)
    except InvalidVersion:
        raise ValueError(f"{text!r} is not a version; write 2.1 or 2.1.0") from None
    return text


@check("pyproject.requires", reads=source_file)
def requires(
    context: Context,
    source: SourceFile,
    *,
    package: str,
    at_least: Annotated[str, AfterValidator(_is_a_version)],
) -> Outcome:
    """A runtime dependency allows no version below a minimum, and at least one version from there up.

    Args:
        package: the package's name on PyPI.
        at_least: the minimum version.
    """
    expected = f"{package}>={at_least}"
    if isinstance(source.toml, Problem):
        return stopped(source.toml.finding(expected))
    floor = Version(at_least)
    found = [each for each in runtime(context, source) if each.name == canonicalize_name(package)]
    if not found:
        return failed(_absent(source, source.toml, package, expected))
    complaints = [_too_wide(each, floor, at_least, expected) for each in found]
    # Several lines for one package hold together, so it is enough that one of them keeps the floor.
    if None in complaints:
        return passed()
    return failed(*(complaint for complaint in complaints if complaint is not None))


def runtime(context: Context, source: SourceFile) -> tuple[Needed, ...]:
    """The runtime dependencies on the exam's Python, without extras and groups."""
    return context.memo.once(("pyproject runtime", source.name), lambda: tuple(_runtime(context, source)))


def target_environment(context: Context) -> dict[str, str]:
    """The values that markers are compared with: the exam's Python, on Linux."""
    python = context.exam.environment.python
    return {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "extra": "",
    }


def _complaint(document: dict[str, Any]) -> Finding | None:
    project, tool = document.get("project"), document.get("tool")
    own = tool.get("poetry") if isinstance(tool, dict) else None
    if project is None and isinstance(own, dict):
        return _poetry_complaint(own)
    if project is None:
        return Finding(
            message="there is no project metadata", expected="a [project] table with a name and a version"
        )
    from fastjsonschema import JsonSchemaValueException

    try:
        _validator()({key: document[key] for key in _METADATA if key in document})
    except JsonSchemaValueException as error:
        said = getattr(error, "summary", "") or str(error)
        value = getattr(error, "value", None)
        return Finding(
            message=f"the project metadata is invalid: {said.splitlines()[0]}",
            actual=repr(value)[:100] if isinstance(value, str) else "",
        )
    return None


@cache
def _validator() -> Validator:
    from validate_pyproject.api import FORMAT_FUNCTIONS, Validator
    from validate_pyproject.formats import trove_classifier

    # Where the list of classifiers is not installed, this one downloads it.
    offline = {name: each for name, each in FORMAT_FUNCTIONS.items() if each is not trove_classifier}
    return Validator(plugins=(), format_validators=offline)


def _poetry_complaint(table: dict[str, Any]) -> Finding | None:
    name, version = table.get("name"), table.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return Finding(message="[tool.poetry] has no valid name", actual=_shown(name))
    try:
        Version(version if isinstance(version, str) else "")
    except (InvalidVersion, ValueError):
        return Finding(message="[tool.poetry] has no valid version", actual=_shown(version))
    return None


def _at(finding: Finding, source: SourceFile) -> Finding:
    return Finding(
        message=finding.message, expected=finding.expected, actual=finding.actual, where=source.name
    )


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)[:100]


def _runtime(context: Context, source: SourceFile) -> Iterator[Needed]:
    document = source.toml if isinstance(source.toml, dict) else {}
    project = document.get("project")
    project = project if isinstance(project, dict) else {}
    standard = list(_standard(context, source, project.get("dependencies")))
    yield from standard
    if not isinstance(project.get("dependencies"), list):
        yield from _from_files(context, document)
    # With both, Poetry's table only says where the standard's packages come from.
    known = {each.name for each in standard}
    yield from (each for each in _from_poetry(context, source, document) if each.name not in known)


def _standard(context: Context, source: SourceFile, listed: object) -> Iterator[Needed]:
    environment = target_environment(context)
    for text in listed if isinstance(listed, list) else []:
        if not isinstance(text, str) or len(text) > 10 * MAX_CHARACTERS:
            continue
        try:
            line = Line(number=0, raw=text, requirement=Requirement(text))
        except (InvalidRequirement, RecursionError, ValueError):
            continue  # 1.1.project says so
        if line.applies(environment):
            yield _needed(line, source.where(_line_of(source, text)))


def _needed(line: Line, where: str) -> Needed:
    requirement = line.requirement
    if requirement is None or requirement.url:
        return Needed(name=line.name, text=line.raw, range=None, where=where)
    return Needed(name=line.name, text=line.raw, range=pep440(requirement.specifier), where=where)


def _from_files(context: Context, document: dict[str, Any]) -> Iterator[Needed]:
    """`dynamic = ["dependencies"]` that setuptools or a Hatch plugin reads from requirements files."""
    environment = target_environment(context)
    for name in (
        *_names(document, "tool", "setuptools", "dynamic", "dependencies", "file"),
        *_names(document, "tool", "hatch", "metadata", "hooks", "requirements_txt", "files"),
    ):
        listed = context.submission.file(name)
        if listed is None or isinstance(listed.text, Problem):
            continue
        for line in parse_requirements(listed.text):
            if line.requirement is not None and line.applies(environment):
                yield _needed(line, listed.where(line.number))


def _names(document: object, *path: str) -> list[str]:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    if isinstance(document, str):
        return [document]
    return [name for name in document if isinstance(name, str)] if isinstance(document, list) else []


def _from_poetry(context: Context, source: SourceFile, document: dict[str, Any]) -> Iterator[Needed]:
    table: object = document
    for key in ("tool", "poetry", "dependencies"):
        table = table.get(key) if isinstance(table, dict) else None
    for name, value in table.items() if isinstance(table, dict) else ():
        for one in value if isinstance(value, list) else [value]:
            if (text := _poetry_version(context, one)) is not None:
                yield Needed(
                    name=canonicalize_name(name),
                    text=f'{name} = "{text}"',
                    range=poetry(text),
                    where=source.where(_line_of(source, name)),
                )


def _poetry_version(context: Context, value: object) -> str | None:
    """The constraint of an entry that holds for the exam's Python; empty where it has none."""
    match value:
        case str():
            return value
        case {"optional": True}:
            return None
        case dict():
            return str(value.get("version", "")) if _poetry_applies(context, value) else None
        case _:
            return None


def _poetry_applies(context: Context, value: dict[str, Any]) -> bool:
    environment = target_environment(context)
    python = value.get("python")
    wanted = poetry(python) if isinstance(python, str) else None
    if wanted is not None and not wanted.admits(Version(environment["python_full_version"])):
        return False
    markers = value.get("markers")
    try:
        return not isinstance(markers, str) or Marker(markers).evaluate(dict(environment))
    except (InvalidMarker, ValueError, UndefinedEnvironmentName, RecursionError):
        return True


def _too_wide(needed: Needed, floor: Version, at_least: str, expected: str) -> Finding | None:
    """The finding for a requirement, if anything is wrong with it."""
    message = ""
    if needed.range is None:
        message = "no readable version range"
    elif needed.range.reaches_below(floor):
        low = needed.range.example_below(floor)
        such = "" if low is None else f", such as {low}"
        message = f"versions below {at_least} are allowed{such}"
    elif not needed.range.reaches(floor):
        message = f"no version from {at_least} up is allowed"
    if not message:
        return None
    return Finding(message=message, expected=expected, actual=needed.text, where=needed.where)


def _absent(source: SourceFile, document: dict[str, Any], package: str, expected: str) -> Finding:
    elsewhere = [
        place for place, names in _other_places(document) if canonicalize_name(package) in set(names)
    ]
    message = f"{package} is not among the runtime dependencies"
    if elsewhere:
        message += f", only {elsewhere[0]}"
    return Finding(message=message, expected=expected, where=source.where(_line_of(source, package)))


def _other_places(document: dict[str, Any]) -> Iterator[tuple[str, Iterator[str]]]:
    """Extras and groups are not installed with the project, nor is a line whose marker is false."""
    project = document.get("project")
    project = project if isinstance(project, dict) else {}
    for place, groups in (
        ("with a marker that is false on the exam's Python", {"": project.get("dependencies")}),
        ("as an optional dependency", project.get("optional-dependencies")),
        ("in a dependency group", document.get("dependency-groups")),
    ):
        for listed in groups.values() if isinstance(groups, dict) else ():
            texts = [text for text in listed if isinstance(text, str)] if isinstance(listed, list) else []
            yield place, (line.name for line in parse_requirements("\n".join(texts)))


def _line_of(source: SourceFile, text: str) -> int | None:
    """The line of a requirement, for a finding: TOML readers give no line numbers."""
    lines = source.text.splitlines() if isinstance(source.text, str) else []
    words = re.split(r"[-_.]+", (re.split(r"[^A-Za-z0-9._-]", text.strip()) or [""])[0])
    name = re.compile(r"(?<![\w.-])" + r"[-_.]+".join(map(re.escape, words)) + r"(?![\w.-])", re.IGNORECASE)
    hits = (
        number for number, line in enumerate(lines, 1) if text in line and not line.lstrip().startswith("#")
    )
    near = (number for number, line in enumerate(lines, 1) if name.search(line))
    return next(hits, None) or next(near, None)


CHECKS = (metadata, requires)
