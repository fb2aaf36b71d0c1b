"""Files of a submission, read once and shared between checks.

Broken input is a value here: a property gives what the file holds or a `Problem` that says why it cannot.
What is too long, too deep or too large a number to be meant is broken input too, so that no reader behind
this one runs out of stack, digits or time.
"""

from __future__ import annotations

import ast
import configparser
import functools
import json
import re
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import tomli
import yaml
from yaml import CSafeLoader, SafeLoader

from grader import notebooks
from grader.results import Finding

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

MAX_BYTES = 4 * 2**20
"""The largest file that is read as text: no honest deliverable comes near it."""
NOTEBOOK = ".ipynb"
MAX_NODES = 50_000
"""Values in one YAML document, once its aliases are written out."""
MAX_DEPTH = 100
"""Levels of nesting in a document of plain data. Readers recurse, a few frames for each level."""
MAX_DUPLICATES = 20
"""Keys that stand twice of which a document tells."""
MAX_DIGITS = 100
"""Digits of a number. From 309 a float overflows, and from 4,300 Python refuses to print an integer."""
MAX_PYTHON_CHARACTERS = 250_000
MAX_PYTHON_BRACES = 10_000
"""Python 3.11 looks through a whole f-string for each of its expressions."""
MAX_PYTHON_DEPTH = 200
"""Levels of a syntax tree: Python parses thousands of them, which no recursive reader can follow."""
MAX_MESSAGE = 300
"""Characters of what a parser says; some quote the whole text."""

_TOO_DEEP = "it is nested too deeply"
_TOO_MANY = "it has too many values"
_TOO_LONG_NUMBER = f"it has a number of more than {MAX_DIGITS} digits"
# Parsers of TOML look at every prefix of a dotted key.
_LONG_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")


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
            if size > MAX_BYTES:
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
        return parse_toml(self.text, self.name)

    @cached_property
    def yaml(self) -> tuple[YamlDocument, ...] | Problem:
        """The file's documents, empty ones left out, with YAML 1.1 scalars (`on` is true)."""
        return self._yaml(Loader)

    @cached_property
    def yaml12(self) -> tuple[YamlDocument, ...] | Problem:
        """The same with YAML 1.2 booleans (`on`, `yes` and `off` are words), as GitHub reads it."""
        return self._yaml(_Loader12)

    def _yaml(self, loader: type[CSafeLoader]) -> tuple[YamlDocument, ...] | Problem:
        if isinstance(self.text, Problem):
            return self.text
        return parse_yaml(self.text, self.name, loader)

    @cached_property
    def python(self) -> ast.Module | Problem:
        """The file as a Python module; of a notebook, its cells."""
        source = self.program
        return source if isinstance(source, Problem) else parse_python(source, self.name)

    @cached_property
    def program(self) -> str | Problem:
        """The text as Python: its own or, for a notebook, that of its cells."""
        if isinstance(self.text, Problem) or self.path.suffix != NOTEBOOK:
            return self.text
        try:
            return notebooks.program(parse_json(self.text), python_tree)
        except ValueError as error:
            return Problem(self.name, f"not a valid notebook: {_one_line(error)}")


_PYTHON_PARSER = threading.RLock()
"""CPython counts how deep a tree goes for all threads together: where two parse at a time, one of them may
meet a SystemError. What warnings are shown is one setting for all threads, too."""
_parse = ast.parse


@functools.wraps(_parse)
def _parse_alone(*args: Any, **keywords: Any) -> Any:
    with _PYTHON_PARSER:
        return _parse(*args, **keywords)


# Libraries parse, too, and know no lock of ours: `packaging` reads a marker's words by `ast.literal_eval`.
ast.parse = _parse_alone


def python_tree(source: str | bytes, name: str = "") -> ast.Module:
    """What `ast.parse` makes of a text, and raises; one thread at a time, and without warnings."""
    with _PYTHON_PARSER, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source, filename=name)


def parse_python(text: str, name: str) -> ast.Module | Problem:
    """Read a Python module whose tree recursive readers can walk."""
    if len(text) > MAX_PYTHON_CHARACTERS or text.count("{") > MAX_PYTHON_BRACES:
        return Problem(name, "cannot be read as Python: it is too long")
    try:
        tree = python_tree(text, name)
    except SyntaxError as error:
        return Problem(name, f"not valid Python: {_one_line(error.msg)}", error.lineno)
    except (RecursionError, MemoryError):  # the second is what the parser says of its own stack
        return Problem(name, f"cannot be read as Python: {_TOO_DEEP}")
    except ValueError as error:
        return Problem(name, f"not valid Python: {_one_line(error)}")
    excess = _python_excess(tree)
    return Problem(name, f"cannot be read as Python: {excess}") if excess else tree


def _python_excess(tree: ast.Module) -> str:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_PYTHON_DEPTH):
        if any(isinstance(node, ast.Constant) and _is_huge(node.value) for node in level):
            return _TOO_LONG_NUMBER
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return ""
    return _TOO_DEEP


def _is_huge(value: object) -> bool:
    # 10 is a little more than 2 ** (10 / 3)
    return isinstance(value, int) and value.bit_length() > MAX_DIGITS * 10 // 3


def parse_toml(text: str, name: str) -> dict[str, Any] | Problem:
    """Read a TOML document."""
    if too_deep(text) or _LONG_KEY.search(text):
        return Problem(name, f"not valid TOML: {_TOO_DEEP}")
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        return Problem(name, f"not valid TOML: {_one_line(error)}", getattr(error, "lineno", None))
    except RecursionError:
        return Problem(name, f"not valid TOML: {_TOO_DEEP}")
    except (ValueError, OverflowError):  # the only ones that tomli passes on: `int` of endless digits
        return Problem(name, f"not valid TOML: {_TOO_LONG_NUMBER}")
    excess = excess_of(data)
    return Problem(name, f"not valid TOML: {excess}") if excess else data


def parse_json(text: str) -> Any:
    """Read a JSON document. A number too long for an integer is infinite, as elsewhere in floating point.

    Raises:
        ValueError: it is not JSON, or larger or deeper than anybody means.
    """
    try:
        data = json.loads(text, parse_int=_bounded_int)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if excess := excess_of(data):
        raise ValueError(excess)
    return data


def parse_ini(text: str, name: str) -> configparser.ConfigParser | Problem:
    """Read a file of sections and keys, as Python's own programs keep their options."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        # Where many blanks are in a row, its patterns try each of them as the end of a key.
        parser.read_string(re.sub(r"[^\S\n]{20,}", " " * 20, text), source=name)
    except configparser.Error as error:
        return Problem(name, f"not a valid INI file: {_one_line(error)}")
    return parser


def _bounded_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def excess_of(data: object) -> str:
    """What makes plain data too much for the readers behind; empty if nothing does."""
    level = [data]
    for _ in range(MAX_DEPTH):
        if any(map(_is_huge, level)):
            return _TOO_LONG_NUMBER
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return ""
    return _TOO_DEEP


def _one_line(said: object) -> str:
    return " ".join(str(said).split())[:MAX_MESSAGE]


class _RefusedError(ValueError):
    """A document that is too much of something, and the line where that shows."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Loader(CSafeLoader):
    """PyYAML's own reading, by libyaml: pure Python takes twenty seconds for what takes this one.

    The tags of YAML's type repository give plain data too, so that every reader knows what it may meet.
    """


def _binary(loader: SafeLoader, node: yaml.ScalarNode) -> str:
    data: bytes = loader.construct_yaml_binary(node)
    return data.decode("utf-8", "replace")


def _pairs(loader: SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


def _keys(loader: SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    return loader.construct_mapping(node, deep=True)


_PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "binary": _binary,
    "omap": _pairs,
    "pairs": _pairs,
    "set": _keys,
    "value": SafeLoader.construct_scalar,
}
for _tag, _construct in _PLAIN.items():
    Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)


class _Loader12(Loader):
    """The same, but only true and false are booleans."""


_Loader12.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
_Loader12.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(
    text: str, name: str, loader: type[CSafeLoader] = Loader
) -> tuple[YamlDocument, ...] | Problem:
    """Read every document of `text`; unknown tags, alias bombs and cycles are problems, not crashes."""
    try:
        _bound_events(text)
        return tuple(_documents(text, loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = _one_line(" ".join(filter(None, (error.context, error.problem))))
        return Problem(name, f"not valid YAML: {said}", mark.line + 1 if mark else None)
    except _RefusedError as refused:
        return Problem(name, f"not valid YAML: {refused}", refused.line)
    except (AttributeError, LookupError):  # what PyYAML makes of `!!bool maybe` and `!!timestamp no`
        return Problem(name, "not valid YAML: a tag does not fit the value behind it")
    except (yaml.YAMLError, ArithmeticError, TypeError, ValueError) as error:  # `2024-99-99`
        return Problem(name, f"not valid YAML: {_one_line(error)}")


def _bound_events(text: str) -> None:
    """Refuse what is too deep or too long before a tree is made of it: libyaml's composer recurses in C."""
    if too_deep(text):
        raise _RefusedError(_TOO_DEEP)
    parser = CSafeLoader(text)
    depth = events = 0
    try:
        while event := parser.get_event():
            events += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH or events > 3 * MAX_NODES:
                line = event.start_mark.line + 1 if event.start_mark else None
                raise _RefusedError(_TOO_DEEP if depth > MAX_DEPTH else _TOO_MANY, line)
    finally:
        parser.dispose()


def too_deep(text: str) -> bool:
    """Whether so many brackets are open at once that no honest document has them.

    Some scanners of YAML look at every open bracket again for every token: minutes, before they give up.
    Quotes and comments are not told apart.
    """
    level = 0
    for bracket in re.findall(r"[][{}]", text):
        level = level + 1 if bracket in "[{" else max(level - 1, 0)
        if level > 2 * MAX_DEPTH:
            return True
    return False


def _documents(text: str, loader_class: type[CSafeLoader]) -> Iterator[YamlDocument]:
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
        self.duplicates: dict[tuple[str, int], None] = {}
        self._left = MAX_NODES

    def visit(self, node: yaml.Node, place: Place, above: tuple[yaml.Node, ...]) -> None:
        self._left -= 1
        line = node.start_mark.line + 1
        if self._left < 0 or len(above) > MAX_DEPTH or any(node is parent for parent in above):
            raise _RefusedError("its aliases repeat or nest without end", line)
        _bound_digits(node)
        self.lines.setdefault(place, line)
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
                self.visit(key, place, above)  # for its bounds: most readers refuse such a key
                continue
            _bound_digits(key)
            line = key.start_mark.line + 1
            if key.value in seen and len(self.duplicates) < MAX_DUPLICATES:
                self.duplicates[key.value, line] = None
            seen.add(key.value)
            self.lines[(*place, _key(key))] = line
            self.visit(value, (*place, _key(key)), above)


def _bound_digits(node: yaml.Node) -> None:
    if node.tag in _NUMBERS and len(node.value) > MAX_DIGITS:
        raise _RefusedError(_TOO_LONG_NUMBER, node.start_mark.line + 1)


_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def _key(node: yaml.ScalarNode) -> Hashable:
    """The key as construction will make it, for the few kinds that keys have in practice."""
    if node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("true", "yes", "on")
    if node.tag == "tag:yaml.org,2002:int" and node.value.isdigit():
        return int(node.value)
    return str(node.value)
