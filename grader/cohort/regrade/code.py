"""The part of the grader's own source that can decide a result, and what tells it from another version.

Found in the source, without importing it: whoever changes a module while results of it are kept must not get
these for results of the new one. Comments, docstrings and imports for types decide nothing.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import grader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = "grader"
INSIDE = ("grader.runtime.inside", "grader.runtime.warm.inside", "grader.runtime.probes")
"""Packages of scripts for the candidate's interpreter, which import each other by their bare names."""
PROBES = "grader.runtime.probes"
STARTS_PROBES = frozenset({"probe", "seeded", "PROBES"})
"""What a module mentions that has a probe run, which it names by a string."""
RUNTIME = ("runtime", "require_runtime")
"""By which a `Context` is asked for the runtime."""
EXAM = frozenset({"exam", "_exam"})
"""What an `Exam` is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What the source of one module says."""

    digest: str
    imports: frozenset[str]
    """`grader.files`, `grader.files.open_tree`, `yaml`: modules, or names in them."""
    strings: frozenset[str]
    exam: frozenset[str]
    """The fields of an `Exam` that it reads."""
    starts_probes: bool
    runs: bool
    """Whether it asks a `Context` for the runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """All of the source that some modules can reach."""

    digest: str
    modules: frozenset[str]
    packages: frozenset[str]
    """What it imports that is not ours, by the first word of the import."""
    exam: frozenset[str]
    runs: bool


class Source:
    """The source of the package in a folder; each file is read once."""

    def __init__(self, root: Path | None = None) -> None:
        """Nothing is read yet.

        Args:
            root: the package's folder; default: the one that runs.
        """
        self._root = root or Path(grader.__file__).parent
        self._modules: dict[str, Module] = {}
        self._edges: dict[str, frozenset[str]] = {}

    def closure(self, roots: Iterable[str]) -> Closure:
        """What these modules import, directly or through others, start by its name, or read as a file."""
        found = set[str]()
        left = list(roots)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._reached(name) - found
        modules = {name: self.module(name) for name in sorted(found)}
        strings = frozenset[str]().union(*(module.strings for module in modules.values()))
        lines = [f"{name} {module.digest}" for name, module in modules.items()]
        lines += [f"{path} {digest}" for path, digest in self._data.items() if Path(path).name in strings]
        here = [module for name, module in modules.items() if name.rpartition(".")[0] not in INSIDE]
        outside = {each.partition(".")[0] for module in here for each in module.imports}
        return Closure(
            digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            modules=frozenset(modules),
            packages=frozenset(outside - {PACKAGE}),
            exam=frozenset[str]().union(*(module.exam for module in modules.values())),
            runs=any(module.runs for module in modules.values()),
        )

    def module(self, name: str) -> Module:
        """What a module says."""
        if name not in self._modules:
            self._modules[name] = read_module(self._paths[name].read_bytes())
        return self._modules[name]

    def inside(self, package: str) -> list[str]:
        """The modules of a package."""
        return [name for name in self._paths if name.rpartition(".")[0] == package]

    @cached_property
    def _paths(self) -> dict[str, Path]:
        """Module -> its file. The package's own `__init__` has the version, which decides nothing."""
        found = {}
        for path in sorted(self._root.rglob("*.py")):
            words = [PACKAGE, *path.relative_to(self._root).with_suffix("").parts]
            found[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
        found.pop(PACKAGE, None)
        return found

    @cached_property
    def _data(self) -> dict[str, str]:
        """Other files of the package, and their digests."""
        return {
            str(path.relative_to(self._root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self._root.rglob("*"))
            if path.is_file() and path.suffix not in (".py", ".pyc") and "_data" not in path.parts
        }

    def _reached(self, name: str) -> frozenset[str]:
        if name not in self._edges:
            self._edges[name] = frozenset(self._found(name))
        return self._edges[name]

    def _found(self, name: str) -> Iterator[str]:
        module = self.module(name)
        package = name if self._paths[name].name == "__init__.py" else name.rpartition(".")[0]
        for word in module.imports | module.strings:
            if word.startswith(f"{PACKAGE}."):
                owner = word if word in self._paths else word.rpartition(".")[0]
                if owner in self._paths and (word in module.imports or owner == word):
                    yield owner
            elif package in INSIDE and f"{package}.{word}" in self._paths:
                yield f"{package}.{word}"
        if module.starts_probes:
            stems = {word.removesuffix(".py") for word in module.strings}
            yield from (f"{PROBES}.{word}" for word in stems if f"{PROBES}.{word}" in self._paths)


@cache
def read_module(source: bytes) -> Module:
    """What the text of a module says."""
    reader = _Reader()
    reader.read(ast.parse(source))
    return Module(
        digest=reader.digest,
        imports=frozenset(reader.imports),
        strings=frozenset(reader.strings),
        exam=frozenset(reader.exam),
        starts_probes=not reader.names.isdisjoint(STARTS_PROBES),
        runs=reader.runs,
    )


class _Reader:
    """Goes through a tree once. The digest is the same under every Python that reads the source alike."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.names: set[str] = set()
        self.strings: set[str] = set()
        self.exam: set[str] = set()
        self.runs = False
        self._words: list[str] = []

    @property
    def digest(self) -> str:
        return hashlib.sha256("\0".join(self._words).encode("utf-8", "surrogatepass")).hexdigest()

    def read(self, node: ast.AST) -> None:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):  # a docstring
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for each in node.orelse:
                    self.read(each)
            case _:
                self._note(node)
                self._write(node)

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Import():
                self.imports.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                self.imports.update(f"{node.module}.{alias.name}" for alias in node.names)
            case ast.Name():
                self.names.add(node.id)
            case ast.Attribute():
                self.names.add(node.attr)
                self._note_use(node)
            case ast.Constant(value=str(text)):
                self.strings.add(text)

    def _write(self, node: ast.AST) -> None:
        self._words.append(type(node).__name__)
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in ("ctx", "kind", "type_comment"):
                continue
            self._words.append(name)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    self.read(each)
                else:
                    self._words.append(repr(each))
        self._words.append(".")

    def _note_use(self, node: ast.Attribute) -> None:
        match node.value:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in EXAM:
                self.exam.add(node.attr)
            case ast.Name(id="context") if node.attr in RUNTIME:
                self.runs = True
