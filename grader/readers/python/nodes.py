"""Small pieces for reading Python syntax trees: constants put together, parameters, assignments."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Unknown:
    """The value of an expression that only running could tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def known(value: Any) -> bool:
    """Whether a value is one, all its elements included."""
    if isinstance(value, list):
        return all(known(each) for each in value)
    return not isinstance(value, Unknown)


def same(left: Any, right: Any) -> bool:
    """Whether two values are one and the same known value."""
    return type(left) is type(right) and not isinstance(left, Unknown) and left == right


def joined(parts: list[Any]) -> Any:
    """The text of an f-string."""
    return "".join(map(str, parts)) if all(map(known, parts)) else UNKNOWN


def calculated(kind: ast.operator, left: Any, right: Any) -> Any:
    """`left <kind> right` for small numbers and for texts and lists that are added."""
    if not known(left) or not known(right):
        return UNKNOWN
    numbers = all(isinstance(each, int | float) and abs(each) < 1e15 for each in (left, right))
    if isinstance(kind, ast.Pow):
        return left**right if numbers and abs(left) <= 1000 and 0 <= right <= 12 else UNKNOWN
    texts = all(isinstance(each, str | list) for each in (left, right)) and isinstance(kind, ast.Add)
    if isinstance(kind, ast.Mod) and isinstance(left, str):
        simple = isinstance(right, str | int | float) and left.count("%") == 1 and len(left) < 500
        return left % right if simple and ("%s" in left or "%d" in left) else UNKNOWN
    return _ARITHMETIC[type(kind)](left, right) if numbers or texts else UNKNOWN


def positional(function: Function) -> list[str]:
    """The names of a function's positional parameters, `self` left out."""
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def parameters(function: Function) -> dict[str, ast.expr | None]:
    """Parameter -> its default."""
    arguments = function.args
    names = positional(function)
    given = arguments.defaults[-len(names) :] if names else []
    found: dict[str, ast.expr | None] = dict.fromkeys(names)
    found |= dict(zip(names[len(names) - len(given) :], given, strict=True))
    found |= {
        each.arg: default for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }
    return found


def assignments(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a statement gives a value, with the value where it is just that."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _targets(target, value)
        case ast.AnnAssign(target=target, value=value) if value is not None:
            yield from _targets(target, value)
        case ast.NamedExpr(target=target, value=value):
            yield from _targets(target, value)
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            yield from _targets(target, None)
        case ast.withitem(optional_vars=ast.expr() as target) | ast.comprehension(target=target):
            yield from _targets(target, None)


def _targets(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, ast.expr | None]]:
    match target:
        case ast.Name(id=name):
            yield name, value
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            fits = len(values) == len(elements)
            for index, element in enumerate(elements):
                yield from _targets(element, values[index] if fits else None)
