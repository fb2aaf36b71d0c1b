"""The arguments that a script takes: argparse, click, typer and `sys.argv`, read from its syntax tree."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument of a command line that takes a value."""

    name: str
    """As its author calls it, `reference_path`; empty for a bare `sys.argv[1]`."""
    flag: str = ""
    """`--reference-path`; empty for a positional argument."""
    required: bool = False


def parameters(module: ast.Module) -> tuple[Parameter, ...]:
    """Every argument with a value, positional ones in their order."""
    found = [
        *_argparse(module),
        *(parameter for function in _functions(module) for parameter in _click(function)),
        *(parameter for function in _functions(module) for parameter in _typer(function, module)),
    ]
    return tuple(dict.fromkeys(found or _argv(module)))


def from_help(text: str) -> tuple[Parameter, ...]:
    """Long options with a value from a `--help` page, for parsers that nothing else knows."""
    options = re.findall(
        r"(?m)^(?:[^\S\n]|[|│*])*(?:-\w,? +)?(--[a-z][\w-]*)[ =]+(?:<\w+>|[A-Z][A-Z_]+)", text
    )
    return tuple(Parameter(name=flag.lstrip("-"), flag=flag) for flag in dict.fromkeys(options))


def words_for(
    found: Sequence[Parameter], values: Mapping[str, str], *, spare: bool = True
) -> tuple[str, ...]:
    """The words that give each parameter its value.

    Args:
        values: value by the words that name a parameter of its kind (`reference baseline ref`). A
            positional argument that none of them names takes the next value not used yet.
        spare: also those that the program can do without.
    """
    left = dict(values)
    chosen: dict[Parameter, str] = {}
    for parameter in found:
        kind = next((kind for kind in left if _named(parameter.name, kind)), None)
        if kind is not None:
            chosen[parameter] = left.pop(kind)
    for parameter in found:
        if parameter not in chosen and parameter.required and not parameter.flag and left:
            chosen[parameter] = left.pop(next(iter(left)))
    given = {parameter: value for parameter, value in chosen.items() if spare or parameter.required}
    options = [word for p, value in given.items() if p.flag for word in (p.flag, value)]
    return (*options, *(given[p] for p in found if p in given and not p.flag))


def _named(name: str, kind: str) -> bool:
    tokens = set(re.split(r"[^a-z0-9]+", name.lower()))
    return any(word in tokens or (len(word) > 3 and word in name.lower()) for word in kind.split())


def _functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _argparse(module: ast.Module) -> Iterator[Parameter]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument")):
                keywords = _keywords(node)
                action = keywords.get("action")
                if action is not None and action not in ("store", "append"):
                    continue
                yield from _one(_strings(node), keywords, required=bool(keywords.get("required")))


def _one(names: Sequence[str], keywords: Mapping[str, object], *, required: bool) -> Iterator[Parameter]:
    flags = [name for name in names if name.startswith("-")]
    if flags:
        flag = next((name for name in flags if name.startswith("--")), flags[0])
        yield Parameter(name=flag.strip("-").replace("-", "_"), flag=flag, required=required)
    elif names:
        yield Parameter(name=names[0], required=keywords.get("nargs") not in ("?", "*"))


def _click(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Parameter]:
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        keywords = _keywords(decorator)
        match _last_name(decorator.func):
            case "option" if not keywords.get("is_flag") and not keywords.get("count"):
                flags = [name.partition("/")[0] for name in _strings(decorator) if name.startswith("-")]
                yield from _one(flags, {}, required=bool(keywords.get("required")))
            case "argument":
                optional = keywords.get("required") is False or "default" in keywords
                yield from _one(_strings(decorator), {"nargs": "?" if optional else None}, required=True)


def _typer(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[Parameter]:
    """Typer makes options of parameters with a default and positional arguments of the others."""
    if not _is_typer_command(function, module):
        return
    arguments = [*function.args.posonlyargs, *function.args.args]
    gap = len(arguments) - len(function.args.defaults)
    pairs = [
        *((argument, None) for argument in arguments[:gap]),
        *zip(arguments[gap:], function.args.defaults, strict=True),
        *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        yield from _typer_parameter(argument, default)


def _typer_parameter(argument: ast.arg, default: ast.expr | None) -> Iterator[Parameter]:
    if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "bool":
        return
    calls = [default, *(ast.walk(argument.annotation) if argument.annotation else ())]
    kinds = {_last_name(call.func): call for call in calls if isinstance(call, ast.Call)}
    call = kinds.get("Option") or kinds.get("Argument")
    required = default is None or _ellipsis_first(default)
    if "Argument" in kinds or (default is None and "Option" not in kinds):
        yield Parameter(name=argument.arg, required=required)
        return
    flags = [name for name in _strings(call) if name.startswith("--")] if call else []
    flag = flags[0] if flags else "--" + argument.arg.replace("_", "-")
    yield Parameter(name=argument.arg, flag=flag, required=required)


def _ellipsis_first(node: ast.expr) -> bool:
    match node:
        case ast.Call(args=[ast.Constant(value=value), *_]):
            return value is ...
    return False


def _is_typer_command(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> bool:
    imported = any(
        (isinstance(node, ast.Import) and any(alias.name == "typer" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "typer")
        for node in ast.walk(module)
    )
    if not imported:
        return False
    decorators = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    decorated = any(_last_name(decorator) in ("command", "callback") for decorator in decorators)
    return decorated or any(
        isinstance(node, ast.Call)
        and _last_name(node.func) == "run"
        and any(isinstance(argument, ast.Name) and argument.id == function.name for argument in node.args)
        for node in ast.walk(module)
    )


def _argv(module: ast.Module) -> list[Parameter]:
    """`reference = Path(sys.argv[1])` and the like, in order of index."""
    found: dict[int, str] = {}
    for node in ast.walk(module):
        name = ""
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        for index in _argv_indexes(node):
            found[index] = found.get(index) or name
        found |= _unpacked(node)
    return [Parameter(name=found[index], required=True) for index in sorted(found)]


def _unpacked(node: ast.AST) -> dict[int, str]:
    """`reference, current = sys.argv[1:]`."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Subscript(value=value, slice=ast.Slice())):
            if _last_name(value) == "argv":
                return {n: name.id for n, name in enumerate(names, start=1) if isinstance(name, ast.Name)}
    return {}


def _argv_indexes(node: ast.AST) -> Iterator[int]:
    for inner in ast.walk(node):
        match inner:
            case ast.Subscript(value=value, slice=ast.Constant(value=int(index))):
                if _last_name(value) == "argv" and 0 < index < 10:
                    yield index


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _strings(call: ast.Call) -> list[str]:
    constants = (node.value for node in call.args if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _keywords(call: ast.Call) -> dict[str, object]:
    """Keywords by name; a value that is no constant counts as there."""
    return {
        keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else keyword.value
        for keyword in call.keywords
        if keyword.arg
    }
