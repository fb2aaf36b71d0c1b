"""Files of a submission, read once and shared between checks.

Broken input is a value here: a property gives what the file holds or a `Problem` that says why it cannot.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import tomli
import yaml
from yaml import SafeLoader

from grader.results import Finding

MOST_BYTES = 4 * 2**20
"""The largest file that is read as text: no honest deliverable comes near it."""
MOST_NODES = 100_000
"""The most nodes that a YAML document may have once its aliases are written out."""
MOST_DEPTH = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a file cannot be read as what it should be."""

    path: str
    message: str
    line: int | None = None

    @property
    def where(self) -> str:
        """`path:line`, or the path alone."""
        return self.path if self.line is None else f"{self.path}:{self.line}"

    def finding(self, expected: str = "") -> Finding:
        """The problem as a candidate reads it."""
        return Finding(message=self.message, expected=expected, where=self.where)


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a YAML file: plain data, and the line that each place stands on."""

    data: Any
    lines: dict[Place, int]
    duplicates: tuple[tuple[str, int], ...] = ()
    """Keys that stand twice in one mapping, with the line of the second. Most readers refuse these."""

    def line(self, *path: Hashable) -> int | None:
        """The line of `data[path[0]][path[1]]…`, or of the nearest place above that has one."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(path[:length])) is not None:
                return line
        return None


class SourceFile:
    """A regular file of the submission's private copy."""

    def __init__(self, root: Path, path: PurePosixPath) -> None:
        self.path = path
        self.absolute = root / path

    def __repr__(self) -> str:
        return f"SourceFile({str(self.path)!r})"

    @property
    def name(self) -> str:
        """Its path inside the submission, as a candidate writes it."""
        return str(self.path)

    def where(self, line: int | None = None) -> str:
        """`path:line` for a finding."""
        return self.name if line is None else f"{self.name}:{line}"

    @cached_property
    def text(self) -> str | Problem:
        """The whole file as UTF-8 (a byte order mark is dropped), or why it cannot be had."""
        try:
            size = self.absolute.stat().st_size
            if size > MOST_BYTES:
                return Problem(self.name, f"the file is too large to read ({size:,} bytes)")
            return self.absolute.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            return Problem(self.name, f"the file is not text in UTF-8 (byte {error.start})")
        except OSError as error:
            return Problem(self.name, f"the file cannot be read: {error.strerror}")

    @cached_property
    def toml(self) -> dict[str, Any] | Problem:
        """The file as TOML."""
        if isinstance(self.text, Problem):
            return self.text
        try:
            return tomli.loads(self.text)
        except tomli.TOMLDecodeError as error:
            return Problem(self.name, f"not valid TOML: {error}", getattr(error, "lineno", None))
        except RecursionError:
            return Problem(self.name, "not valid TOML: it is nested too deeply")

    @cached_property
    def yaml(self) -> tuple[YamlDocument, ...] | Problem:
        """The file's documents, empty ones left out, with YAML 1.1 scalars (`on` is true)."""
        return self._yaml(_Loader11)

    @cached_property
    def yaml12(self) -> tuple[YamlDocument, ...] | Problem:
        """The same with YAML 1.2 booleans (`on`, `yes` and `off` are words), as GitHub reads it."""
        return self._yaml(_Loader12)

    def _yaml(self, loader: type[SafeLoader]) -> tuple[YamlDocument, ...] | Problem:
        if isinstance(self.text, Problem):
            return self.text
        return parse_yaml(self.text, self.name, loader)

    @cached_property
    def python(self) -> ast.Module | Problem:
        """The file as a Python module."""
        if isinstance(self.text, Problem):
            return self.text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(self.text, filename=self.name)
        except SyntaxError as error:
            return Problem(self.name, f"not valid Python: {error.msg}", error.lineno)
        except (ValueError, RecursionError, MemoryError) as error:
            return Problem(self.name, f"not valid Python: {error}")


class _Loader11(SafeLoader):
    """PyYAML's own reading."""


class _Loader12(SafeLoader):
    """The same, but only true and false are booleans."""


_Loader12.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
_Loader12.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(
    text: str, name: str, loader: type[SafeLoader] = _Loader11
) -> tuple[YamlDocument, ...] | Problem:
    """Read every document of `text`; unknown tags, alias bombs and cycles are problems, not crashes."""
    if too_deep(text):
        return Problem(name, "not valid YAML: it is nested too deeply")
    try:
        return tuple(_documents(text, loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, (error.context, error.problem)))
        return Problem(name, f"not valid YAML: {said}", mark.line + 1 if mark else None)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        return Problem(name, f"not valid YAML: {' '.join(str(error).split())}")
    except RecursionError:
        return Problem(name, "not valid YAML: it is nested too deeply")


def too_deep(text: str) -> bool:
    """Whether so many brackets are open at once that no honest document has them.

    YAML scanners look at every open bracket again for every token: minutes, before they give up. Quotes and
    comments are not told apart.
    """
    level = 0
    for bracket in re.findall(r"[][{}]", text):
        level = level + 1 if bracket in "[{" else max(level - 1, 0)
        if level > MOST_DEPTH:
            return True
    return False


def _documents(text: str, loader_class: type[SafeLoader]) -> Iterator[YamlDocument]:
    loader = loader_class(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            survey = _Survey()
            survey.visit(node, (), ())
            data = loader.construct_document(node)
            if data is not None:
                yield YamlDocument(data, survey.lines, tuple(survey.duplicates))
    finally:
        loader.dispose()


Place = tuple[Hashable, ...]


class _Survey:
    """Notes the line of every place as it stands once aliases and merges are written out."""

    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self.duplicates: list[tuple[str, int]] = []
        self._left = MOST_NODES

    def visit(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> None:
        self._left -= 1
        if self._left < 0 or len(above) > MOST_DEPTH or any(node is parent for parent in above):
            raise ValueError("its aliases repeat or nest without end")
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*place, index), (*above, node))
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, place, (*above, node))

    def _visit_mapping(self, node: yaml.MappingNode, place: Place, above: tuple[yaml.Node, ...]) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.visit(part, place, above)
                continue
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in seen and (key.value, line) not in self.duplicates:
                self.duplicates.append((key.value, line))
            seen.add(key.value)
            self.lines[(*place, _key(key))] = line
            self.visit(value, (*place, _key(key)), above)


def _key(node: yaml.ScalarNode) -> Hashable:
    """The key as construction will make it, for the few kinds that keys have in practice."""
    if node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("true", "yes", "on")
    if node.tag == "tag:yaml.org,2002:int" and node.value.isdigit():
        return int(node.value)
    return str(node.value)
