"""GitLab's `.gitlab-ci.yml`: its jobs with everything that they inherit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.documents import Loader, Problem, YamlDocument, parse_yaml
from grader.readers.plain_data import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import yaml

    from grader.documents import SourceFile

MAX_EXTENDS = 11
"""How deep GitLab follows `extends`."""
MAX_REFERENCES = 10
MAX_VALUES = 200_000
"""Values of all jobs together, once references are written out."""
MAX_LINES = 5_000
"""Lines of scripts of one job."""
_GLOBAL = ("image", "services", "before_script", "after_script", "cache")
_KEYWORDS = frozenset(
    (*_GLOBAL, "default", "include", "stages", "types", "variables", "workflow", "pages", "spec")
) - {"pages"}
_SCRIPTS = ("script", "before_script", "after_script")
_REFERENCE = "!reference"


class _Loader(Loader):
    """Reads GitLab's own tag as what stands under it, marked."""


def _reference(loader: Loader, node: yaml.SequenceNode) -> dict[str, Any]:
    return {_REFERENCE: loader.construct_sequence(node, deep=True)}


_Loader.add_constructor(_REFERENCE, _reference)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline's file, and its jobs written out."""

    file: SourceFile
    document: YamlDocument
    data: dict[str, Any]
    jobs: Mapping[str, dict[str, Any]]
    """By name, hidden ones (`.base`) left out."""
    problems: tuple[tuple[str, str], ...]
    """Job and what is wrong with what it inherits."""

    def where(self, *path: str | int) -> str:
        """`file:line` of a path."""
        return self.file.where(self.document.line(*path))


def read(file: SourceFile) -> Pipeline | Problem:
    """A file as a pipeline."""
    if isinstance(file.text, Problem):
        return file.text
    documents = parse_yaml(file.text, file.name, _Loader)
    if isinstance(documents, Problem):
        return documents
    # A document before it may hold `spec:`, the header of a component.
    if not documents or not isinstance(documents[-1].data, dict):
        return Problem(file.name, "a pipeline is a YAML mapping")
    data = as_json(documents[-1].data)
    reader = _Reader(data)
    jobs = {name: reader.job(name) for name in data if is_job(name, data[name])}
    return Pipeline(file, documents[-1], data, jobs, tuple(dict.fromkeys(reader.problems)))


def is_job(name: str, value: Any) -> bool:
    """Whether a top-level key is a job that can run."""
    return isinstance(value, dict) and name not in _KEYWORDS and not name.startswith(".")


class _Reader:
    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data
        self.problems: list[tuple[str, str]] = []
        self._left = MAX_VALUES

    def job(self, name: str) -> dict[str, Any]:
        """A job with what it extends, its references, and the pipeline's defaults."""
        found = self._extended(name, name, ())
        for key in found:
            found[key] = self._resolved(found[key], name, 0)
        told = found.get("inherit")
        inherits = told if isinstance(told, dict) else {}
        default = self._data.get("default")
        usual = {key: self._data[key] for key in _GLOBAL if key in self._data}
        usual |= default if isinstance(default, dict) else {}
        chosen = inherits.get("default", True)
        if chosen is False:
            usual = {}
        elif isinstance(chosen, list):
            usual = {key: value for key, value in usual.items() if key in chosen}
        found = {**{key: self._resolved(value, name, 0) for key, value in usual.items()}, **found}
        variables = self._data.get("variables")
        own = found.get("variables")
        if isinstance(variables, dict) and inherits.get("variables", True) is True:
            found["variables"] = {**variables, **(own if isinstance(own, dict) else {})}
        for key in _SCRIPTS:
            if key in found:
                found[key] = _lines(found[key])
        if isinstance(found.get("image"), dict) and set(found["image"]) == {"name"}:
            found["image"] = found["image"]["name"]
        found.setdefault("stage", "test")
        return found

    def _extended(self, name: str, job: str, above: tuple[str, ...]) -> dict[str, Any]:
        own = self._data.get(name)
        if not isinstance(own, dict):
            self.problems.append((job, f"extends {name[:100]}, which is no job"))
            return {}
        extends = own.get("extends", [])
        found: dict[str, Any] = {}
        for each in extends if isinstance(extends, list) else [extends]:
            if each in above or each == name or len(above) >= MAX_EXTENDS:
                self.problems.append((job, "extends itself, or too many others"))
            elif isinstance(each, str):
                found = _merged(found, self._extended(each, job, (*above, name)))
        return _merged(found, {key: value for key, value in own.items() if key != "extends"})

    def _resolved(self, value: Any, job: str, depth: int) -> Any:
        self._left -= 1
        match value:
            case dict() if list(value) == [_REFERENCE]:
                return self._referenced(value[_REFERENCE], job, depth)
            case dict():
                return {key: self._resolved(each, job, depth) for key, each in value.items()}
            case list():
                return [self._resolved(each, job, depth) for each in value]
        return value

    def _referenced(self, path: Any, job: str, depth: int) -> Any:
        found: Any = self._data
        for key in path if isinstance(path, list) else []:
            found = found.get(str(key)) if isinstance(found, dict) else None
        if found is None or depth >= MAX_REFERENCES or self._left < 0:
            self.problems.append((job, f"refers to {str(path)[:100]}, which is not there"))
            return []
        return self._resolved(found, job, depth + 1)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """GitLab merges mappings key by key; whatever else replaces what was there."""
    found = dict(below)
    for key, value in above.items():
        inner = found.get(key)
        found[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return found


def _lines(value: Any) -> Any:
    """A script as one flat list, as GitLab makes it."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return value
    flat: list[Any] = []
    waiting = list(reversed(value))
    while waiting and len(flat) < MAX_LINES:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += reversed(each)
        else:
            flat.append(each)
    return flat
