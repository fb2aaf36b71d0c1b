"""The environment variables that Python sources have no value of their own for."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.readers.python.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SETTINGS = frozenset({"BaseSettings"})
_READERS = frozenset({"os.getenv", "os.environ.get", "getenv", "environ.get"})
_STRICT = frozenset({"decouple.config", "environs.Env", "env", "env.str", "env.int", "env.float", "env.bool"})


@dataclass(frozen=True, slots=True)
class Variables:
    """Names of variables."""

    required: frozenset[str]
    """Without one of these the program stops: `os.environ["X"]`, fields of BaseSettings without a default."""
    wanted: frozenset[str]
    """Without one of these it has None: `os.getenv("X")`."""


def variables(sources: Iterable[Module]) -> Variables:
    """The variables that some modules read and give no default for."""
    required: set[str] = set()
    wanted: set[str] = set()
    for module in sources:
        guarded = _with_alternative(module)
        for node in ast.walk(module.tree):
            match node:
                case ast.Subscript(value=value, slice=ast.Constant(value=str(name)), ctx=ast.Load()):
                    if module.name(value) in ("os.environ", "environ"):
                        required.add(name)
                case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]) if node not in guarded:
                    called = module.name(node.func)
                    if called in _READERS:
                        wanted.add(name)
                    elif called in _STRICT:
                        required.add(name)
                case ast.ClassDef(bases=bases) if any(_last(base) in _SETTINGS for base in bases):
                    required.update(_fields(node))
    return Variables(frozenset(required), frozenset(wanted - required))


def _with_alternative(module: Module) -> set[ast.AST]:
    """What stands before an `or`: it has a default all the same."""
    return {
        value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or)
        for value in node.values[:-1]
    }


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """Variables that the fields without a default are read from; case does not matter there."""
    prefix = _prefix(node)
    for line in node.body:
        match line:
            case ast.AnnAssign(target=ast.Name(id=name), value=None):
                yield f"{prefix}{name}".upper()
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call):
                if _last(call.func) == "Field" and not _has_default(call):
                    aliases = (
                        keyword.value.value
                        for keyword in call.keywords
                        if keyword.arg in ("alias", "validation_alias", "env")
                        and isinstance(keyword.value, ast.Constant)
                        and isinstance(keyword.value.value, str)
                    )
                    yield next(aliases, f"{prefix}{name}".upper())


def _has_default(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant) and first.value is ...:
        return False
    return first is not None or any(each.arg in ("default", "default_factory") for each in call.keywords)


def _prefix(node: ast.ClassDef) -> str:
    """`model_config = SettingsConfigDict(env_prefix="APP_")`, or `env_prefix` in `class Config`."""
    for inner in ast.walk(node):
        match inner:
            case ast.keyword(arg="env_prefix", value=ast.Constant(value=str(text))):
                return text
            case ast.Assign(targets=[ast.Name(id="env_prefix")], value=ast.Constant(value=str(text))):
                return text
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "env_prefix":
                        return str(getattr(value, "value", ""))
    return ""


def _last(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
