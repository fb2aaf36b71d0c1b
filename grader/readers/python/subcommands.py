"""The commands of a program that has several, `registry.py best`: click, typer and argparse."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIBRARIES = frozenset({"click", "rich_click", "typer"})
"""`@click.command()` makes a whole program, `@group.command()` a part of one."""


@dataclass(frozen=True, slots=True)
class Subcommand:
    """One of them."""

    name: str
    """As it is typed."""
    function: str = ""
    """What does it, where that can be told."""


def subcommands(module: ast.Module) -> tuple[Subcommand, ...]:
    """All of a module's, in its order."""
    nodes = sorted(
        (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.Call)),
        key=lambda node: (node.lineno, node.col_offset),
    )
    found = (each for node in nodes for each in _of(node))
    return tuple(dict.fromkeys(found))


def _of(node: ast.FunctionDef | ast.Call) -> Iterator[Subcommand]:
    if isinstance(node, ast.FunctionDef):
        yield from (each for decorator in node.decorator_list for each in _decorated(decorator, node.name))
        return
    match node:
        case ast.Call(func=ast.Attribute(attr="add_parser"), args=[ast.Constant(value=str(name)), *_]):
            yield Subcommand(name)


def _decorated(decorator: ast.expr, function: str) -> Iterator[Subcommand]:
    call = decorator if isinstance(decorator, ast.Call) else None
    match call.func if call is not None else decorator:
        case ast.Attribute(value=ast.Name(id=owner), attr="command") if owner not in _LIBRARIES:
            yield Subcommand(_given(call) or function.lower().replace("_", "-"), function)


def _given(call: ast.Call | None) -> str:
    """`@app.command("best")`, `@app.command(name="best")`."""
    if call is None:
        return ""
    values = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    return next((v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)), "")
