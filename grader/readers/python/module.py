"""Facts about Python sources: what a call's name stands for, and which constants reach an expression.

A reader, not an interpreter: where more than one value may reach a place, it does not know, and says so.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from grader.readers.python.imports import reachable
from grader.readers.python.nodes import (
    UNKNOWN,
    Function,
    Unknown,
    assignments,
    calculated,
    joined,
    parameters,
    positional,
    same,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grader.documents import SourceFile
    from grader.submission.model import Submission

MAX_DEPTH = 25
"""How many names and operations are followed to a constant."""
MAX_LENGTH = 10_000
"""Characters of a text, or elements of a list, that are put together."""

_PLAIN: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "list": list,
    "tuple": tuple,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call, by the dotted name of what it calls, imports resolved: `pandas.read_csv`."""

    name: str
    node: ast.Call
    module: Module

    def argument(self, name: str, position: int | None = None) -> ast.expr | None:
        """What a parameter is given, by keyword or by position."""
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
            spread = (self.module.spread(keyword.value) or {}) if keyword.arg is None else {}
            if name in spread:
                return spread[name]
        plain = not any(isinstance(each, ast.Starred) for each in self.node.args)
        if position is not None and plain and position < len(self.node.args):
            return self.node.args[position]
        return None

    def value(self, name: str, position: int | None = None) -> Any:
        """The constant given to a parameter; None if it is not given, UNKNOWN if it is not a constant."""
        node = self.argument(name, position)
        if node is None:
            return UNKNOWN if self.open else None
        return self.module.constant(node)

    @property
    def open(self) -> bool:
        """Whether it is given more than the sources tell, by `*args` or `**options`."""
        spreads = (keyword.value for keyword in self.node.keywords if keyword.arg is None)
        return any(isinstance(each, ast.Starred) for each in self.node.args) or any(
            self.module.spread(each) is None for each in spreads
        )


class Module:
    """One Python file, or a tree that stands in a file of another kind.

    `others` are the submission's modules that it may import from, by last name.
    """

    def __init__(
        self, file: SourceFile, others: Mapping[str, Module] | None = None, tree: ast.Module | None = None
    ) -> None:
        self.file = file
        self.tree = tree or (file.python if isinstance(file.python, ast.Module) else ast.Module([], []))
        self.others = {} if others is None else others
        self._values: dict[ast.AST, Any] = {}
        self._parameters: dict[tuple[Function, str], Any] = {}

    @cached_property
    def imported(self) -> Mapping[str, str]:
        """Local name -> the dotted name that an import gave it."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=aliases):
                    for alias in aliases:
                        top = alias.name.partition(".")[0]
                        found[alias.asname or top] = alias.name if alias.asname else top
                case ast.ImportFrom(module=module, names=aliases):
                    for alias in aliases:
                        found[alias.asname or alias.name] = f"{module or ''}.{alias.name}".lstrip(".")
        return found

    @cached_property
    def _owners(self) -> Mapping[ast.AST, Function]:
        """Node -> the function that it stands in."""
        found: dict[ast.AST, Function] = {}

        def visit(node: ast.AST, owner: Function | None) -> None:
            waiting = [(node, owner)]
            while waiting:
                current, around = waiting.pop()
                for child in ast.iter_child_nodes(current):
                    if around is not None:
                        found[child] = around
                    waiting.append((child, child if isinstance(child, Function) else around))

        visit(self.tree, None)
        return found

    @cached_property
    def _assigned(self) -> Mapping[tuple[ast.AST | None, str], tuple[ast.expr | None, ...]]:
        """(function or None for the module, name) -> every value it is given; None for one not plain."""
        found: dict[tuple[ast.AST | None, str], list[ast.expr | None]] = {}
        for node in ast.walk(self.tree):
            for name, value in assignments(node):
                found.setdefault((self._owners.get(node), name), []).append(value)
        return {key: tuple(values) for key, values in found.items()}

    def name(self, node: ast.AST) -> str:
        """The dotted name of an expression, imports resolved; `().method` of what has none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            parts.append(self.imported.get(node.id, node.id))
        elif parts:
            parts.append("()")
        return ".".join(reversed(parts))

    def calls(self) -> tuple[Call, ...]:
        """Every call, in the order of the file."""
        return self._calls

    @cached_property
    def _calls(self) -> tuple[Call, ...]:
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call)]
        nodes.sort(key=lambda node: (node.lineno, node.col_offset))
        return tuple(Call(self.name(node.func), node, self) for node in nodes)

    def where(self, node: ast.AST) -> str:
        """`path:line` for a finding."""
        return self.file.where(getattr(node, "lineno", None))

    def spread(self, node: ast.expr) -> Mapping[str, ast.expr] | None:
        """The entries of the dict that `**node` spreads, or None where it does not stand in the file."""
        if isinstance(node, ast.Name):
            node = self.origin(node) or node
        match node:
            case ast.Dict(keys=keys, values=values):
                pairs = list(zip(keys, values, strict=True))
                if all(isinstance(key, ast.Constant) for key in keys):
                    return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=keywords):
                if all(keyword.arg for keyword in keywords):
                    return {keyword.arg: keyword.value for keyword in keywords if keyword.arg}
        return None

    def origin(self, node: ast.Name) -> ast.expr | None:
        """The one expression that a name was given in its function or in the module, if there is just one."""
        owner: ast.AST | None = self._owners.get(node)
        while True:
            values = self._assigned.get((owner, node.id))
            if values is not None:
                return values[0] if len(values) == 1 else None
            if owner is None:
                return None
            owner = self._owners.get(owner)

    def constant(self, node: ast.AST, depth: int = MAX_DEPTH) -> Any:
        """The only value that an expression can have, as far as the sources tell, or UNKNOWN."""
        if depth <= 0:
            return UNKNOWN
        if node in self._values:
            return self._values[node]
        self._values[node] = UNKNOWN  # for what is defined by itself
        try:
            value = self._constant(node, depth - 1)
        except (TypeError, ValueError, ArithmeticError, KeyError, IndexError, RecursionError):
            value = UNKNOWN
        if isinstance(value, str | list | tuple) and len(value) > MAX_LENGTH:
            value = UNKNOWN
        self._values[node] = value
        return value

    def _constant(self, node: ast.AST, depth: int) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name():
                return self._named(node, depth)
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                return [self.constant(element, depth) for element in elements]
            case ast.JoinedStr(values=values):
                return joined([self._formatted(value, depth) for value in values])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.constant(operand, depth)
            case ast.BinOp():
                return calculated(node.op, self.constant(node.left, depth), self.constant(node.right, depth))
            case ast.BoolOp(op=ast.Or(), values=values):
                found = [self.constant(value, depth) for value in values]
                return next((value for value in found if not isinstance(value, Unknown) and value), UNKNOWN)
            case ast.Call():
                return self._called(node, depth)
            case ast.Attribute():
                return self._attribute(node, depth)
        return UNKNOWN

    def _formatted(self, node: ast.expr, depth: int) -> Any:
        if not isinstance(node, ast.FormattedValue):
            return self.constant(node, depth)
        value = self.constant(node.value, depth)
        if isinstance(value, Unknown):
            return value
        text = repr(value) if node.conversion == ord("r") else value
        specification = self.constant(node.format_spec, depth) if node.format_spec else ""
        plain = isinstance(specification, str) and len(specification) < 6
        return format(text, specification) if plain else UNKNOWN

    def _named(self, node: ast.Name, depth: int) -> Any:
        owner: ast.AST | None = self._owners.get(node)
        while True:
            values = self._assigned.get((owner, node.id))
            if values is not None:
                found = [self.constant(value, depth) if value is not None else UNKNOWN for value in values]
                return found[0] if all(same(each, found[0]) for each in found) else UNKNOWN
            if isinstance(owner, Function) and node.id in parameters(owner):
                return self._parameter(owner, node.id, depth)
            if owner is None:
                return self._imported_constant(node.id, depth)
            owner = self._owners.get(owner)

    def _imported_constant(self, name: str, depth: int) -> Any:
        source, _, last = self.imported.get(name, "").rpartition(".")
        other = self.others.get(source.rpartition(".")[2])
        if other is None or other is self or not last:
            return UNKNOWN
        return other.constant(ast.Name(id=last, ctx=ast.Load()), depth)

    def _attribute(self, node: ast.Attribute, depth: int) -> Any:
        """`Config.EXPERIMENT`, `config.EXPERIMENT` of a module of the submission, `args.chunk_size`."""
        made = self.origin(node.value) if isinstance(node.value, ast.Name) else None
        owner = self.name(made.func) if isinstance(made, ast.Call) else self.name(node.value)
        name = node.attr
        other = self.others.get(owner.rpartition(".")[2])
        if other is not None and other is not self:
            return other.constant(ast.Name(id=name, ctx=ast.Load()), depth)
        for place in (self, *self.others.values()):
            values = place._attributes.get((owner.rpartition(".")[2], name))
            if values is not None:
                return place.constant(values[0], depth) if len(values) == 1 and values[0] else UNKNOWN
        default = self._options.get(name)
        return UNKNOWN if default is None else self.constant(default, depth)

    @cached_property
    def _attributes(self) -> Mapping[tuple[str, str], list[ast.expr | None]]:
        """(class, name) -> what the class gives it."""
        found: dict[tuple[str, str], list[ast.expr | None]] = {}
        for each in ast.walk(self.tree):
            if isinstance(each, ast.ClassDef):
                for name, value in (pair for part in each.body for pair in assignments(part)):
                    found.setdefault((each.name, name), []).append(value)
        return found

    @cached_property
    def _options(self) -> Mapping[str, ast.expr]:
        """The default of each command-line option, by the name that `args` has it under."""
        found: dict[str, ast.expr] = {}
        for call in self.calls():
            default = call.argument("default") if call.name.endswith(".add_argument") else None
            if default is not None:
                flags = [str(flag.value) for flag in call.node.args if isinstance(flag, ast.Constant)]
                names = [flag.lstrip("-").replace("-", "_") for flag in flags]
                found |= dict.fromkeys([str(call.value("dest") or ""), *names], default)
        return found

    def _parameter(self, function: Function, name: str, depth: int) -> Any:
        """What a function's parameter is given by every call that there is, its default included."""
        key = (function, name)
        if key not in self._parameters:
            self._parameters[key] = UNKNOWN
            default = parameters(function)[name]
            given = [] if isinstance(function, ast.Lambda) else list(self._given(function, name, depth))
            if given:
                value = given[0] if all(same(each, given[0]) for each in given) else UNKNOWN
            else:
                value = UNKNOWN if default is None else self._default(default, depth)
            self._parameters[key] = value
        return self._parameters[key]

    def _default(self, default: ast.expr, depth: int) -> Any:
        if isinstance(default, ast.Call) and self.name(default.func) in ("typer.Option", "typer.Argument"):
            return Call("", default, self).value("default", 0)
        return self.constant(default, depth)

    def _given(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, depth: int
    ) -> Iterator[Any]:
        """What each call of a function gives a parameter, and the default of the option it stands for."""
        if (option := self._decorated(function, name)) is not None:
            yield option
            return
        position = next((i for i, each in enumerate(positional(function)) if each == name), None)
        default = parameters(function)[name]
        for module in {id(each): each for each in (self, *self.others.values())}.values():
            for call in module.calls():
                if call.name.rpartition(".")[2] == function.name:
                    node = call.argument(name, position)
                    if node is not None:
                        yield module.constant(node, depth)
                    else:
                        yield UNKNOWN if default is None else self._default(default, depth)

    def _decorated(self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> Any:
        """The default of the click option that gives a function this parameter; None where there is none."""
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and self.name(decorator.func).endswith(
                (".option", ".argument")
            ):
                flags = [str(each.value) for each in decorator.args if isinstance(each, ast.Constant)]
                if name in [flag.lstrip("-").replace("-", "_") for flag in flags]:
                    return Call("", decorator, self).value("default") or UNKNOWN
        return None

    def _called(self, node: ast.Call, depth: int) -> Any:
        name, call = self.name(node.func), Call("", node, self)
        if name in ("os.environ.get", "os.getenv", "environ.get", "getenv"):
            return call.value("default", 1) if len(node.args) + len(node.keywords) > 1 else UNKNOWN
        if name in _PLAIN and len(node.args) == 1:
            value = self.constant(node.args[0], depth)
            return UNKNOWN if isinstance(value, Unknown) else _PLAIN[name](value)
        return UNKNOWN


def modules(submission: Submission, start: SourceFile) -> tuple[Module, ...]:
    """A script and every module of the submission that it imports, the script first."""
    files = reachable(submission, start)
    others: dict[str, Module] = {}
    found = [Module(file, others) for file in files]
    for module in found:
        stem = module.file.path.stem
        others[module.file.path.parent.name if stem == "__init__" else stem] = module
    return tuple(sorted(found, key=lambda module: module.file.path != start.path))
