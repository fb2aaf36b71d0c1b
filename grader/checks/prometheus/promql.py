"""PromQL expressions as facts: what they select, under which labels, what they compare.

`promql_parser` reads them. It overflows its stack on deep nesting, which would end the whole process, so
expressions with more tokens than that takes are refused before it sees them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_TOKENS = 400
"""The parser goes at most one level deeper a token, and is safe some way past this."""
MAX_CHARACTERS = 20_000

# A text that does not end goes to the end: else each quote in it would be tried as the beginning of one.
_STRING = re.compile(
    r"#[^\n]*+|([\"'])(?>(?:\\.|(?!\1)[^\\])*)(?:\1|(?P<open>\\?\Z))|`[^`]*+(?:`|(?P<raw>\Z))", re.DOTALL
)
_TOKEN = re.compile(r"\w+|[^\w\s]")
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdwy]))+")
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason why an expression cannot be read."""

    message: str
    too_long: bool = False
    """Whether it exceeds the grader's limits and was not read."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label."""

    label: str
    operator: str
    """`=`, `!=`, `=~` or `!~`"""
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A series that an expression takes, and the functions that it goes through."""

    metric: str
    """Empty where only a regular expression names it."""
    matchers: tuple[Matcher, ...] = ()
    """Those on `__name__` only where they leave the name open."""
    within: tuple[str, ...] = ()
    """Functions and aggregations around it, the outermost first; `unless` where it is an exception."""
    window: float | None = None
    """Seconds of its range."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator threshold` with the number on the right, whichever way it was written."""

    left: Any
    operator: str
    threshold: float


class Expression:
    """An expression that was read."""

    def __init__(self, text: str, tree: Any) -> None:
        self.text = text
        self.tree = tree

    def selectors(self) -> tuple[Selector, ...]:
        """Every series that it takes, in order, each once."""
        return tuple(dict.fromkeys(_selectors(self.tree, (), None)))

    def grouping(self) -> frozenset[str]:
        """Labels that `by`, `on` and `group_left` name."""
        return frozenset(_grouping(self.tree))

    def comparison(self) -> Comparison | None:
        """The comparison with a number that it is as a whole, if it is one."""
        return comparison(self.tree)


def read(text: str) -> Expression | Unreadable:
    """Read an expression, or say why it cannot be."""
    import promql_parser

    if len(text) > MAX_CHARACTERS:
        return Unreadable(f"longer than {MAX_CHARACTERS:,} characters", too_long=True)
    if any(found["open"] is not None or found["raw"] is not None for found in _STRING.finditer(text)):
        return Unreadable("not valid PromQL: a string is not closed")
    if len(_TOKEN.findall(_STRING.sub(" s ", text))) > MAX_TOKENS:
        return Unreadable(f"more than {MAX_TOKENS} tokens", too_long=True)
    try:
        return Expression(text, promql_parser.parse(text))
    except ValueError as error:
        return Unreadable(f"not valid PromQL: {' '.join(str(error).split())}")


def seconds(duration: str) -> float | None:
    """A Prometheus duration in seconds, or None if it is not a duration."""
    import promql_parser

    if duration == "0":
        return 0.0
    if len(duration) > 50 or _DURATION.fullmatch(duration) is None:
        return None
    try:
        return promql_parser.parse_duration(duration).total_seconds()
    except (ValueError, OverflowError):
        return None


def bare(node: Any) -> Any:
    """A node without the parentheses around it."""
    while type(node).__name__ == "ParenExpr":
        node = node.expr
    return node


def number(node: Any) -> float | None:
    """The value of constant arithmetic, or None."""
    node = bare(node)
    match type(node).__name__:
        case "NumberLiteral":
            return float(node.val)
        case "UnaryExpr":
            value = number(node.expr)
            return None if value is None else -value
        case "BinaryExpr":
            return _arithmetic(str(node.op), number(node.lhs), number(node.rhs))
        case "Call" if node.func.name in ("scalar", "vector") and len(node.args) == 1:
            return number(node.args[0])
    return None


def _arithmetic(operator: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/" if right:
            return left / right
    return None


def comparison(node: Any) -> Comparison | None:
    """A node as a comparison with a number, a factor on the other side moved over (`100 * x > 5`)."""
    node = bare(node)
    if type(node).__name__ != "BinaryExpr" or str(node.op) not in _FLIPPED:
        return None
    if node.modifier is not None and node.modifier.return_bool:
        return None  # `> bool 1` always has a value, and so always fires
    left, right, operator = node.lhs, node.rhs, str(node.op)
    if number(left) is not None:
        left, right, operator = right, left, _FLIPPED[operator]
    threshold = number(right)
    if threshold is None or number(left) is not None:
        return None
    return _without_factor(Comparison(bare(left), operator, threshold))


def _without_factor(found: Comparison) -> Comparison:
    node = found.left
    if type(node).__name__ != "BinaryExpr" or str(node.op) not in ("*", "/"):
        return found
    right, left = number(node.rhs), number(node.lhs)
    if right is not None and right > 0:
        threshold = found.threshold / right if str(node.op) == "*" else found.threshold * right
        return _without_factor(Comparison(bare(node.lhs), found.operator, threshold))
    if left is not None and left > 0 and str(node.op) == "*":
        return _without_factor(Comparison(bare(node.rhs), found.operator, found.threshold / left))
    return found


def _children(node: Any) -> Iterator[Any]:
    match type(node).__name__:
        case "BinaryExpr":
            yield from (node.lhs, node.rhs)
        case "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            yield node.expr
        case "AggregateExpr":
            yield node.expr
            if node.param is not None:
                yield node.param
        case "Call":
            yield from node.args


def _selectors(node: Any, within: tuple[str, ...], window: float | None) -> Iterator[Selector]:
    match type(node).__name__:
        case "VectorSelector":
            yield _selector(node, within, window)
            return
        case "MatrixSelector":
            yield _selector(node.vector_selector, within, node.range.total_seconds())
            return
        case "SubqueryExpr":
            window = node.range.total_seconds()
        case "Call":
            within = (*within, node.func.name)
        case "AggregateExpr":
            within = (*within, str(node.op))
        case "BinaryExpr" if str(node.op) == "unless":
            yield from _selectors(node.lhs, within, window)
            yield from _selectors(node.rhs, (*within, "unless"), window)
            return
    for child in _children(node):
        yield from _selectors(child, within, window)


def _selector(node: Any, within: tuple[str, ...], window: float | None) -> Selector:
    groups = [node.matchers.matchers, *node.matchers.or_matchers]
    chosen = next((group for group in groups if group), ())
    matchers = [Matcher(each.name, _operator(each.op), each.value) for each in chosen]
    named = [each.value for each in matchers if each.label == "__name__" and each.operator == "="]
    metric = node.name or next(iter(named), "")
    kept = tuple(each for each in matchers if not (metric and each.label == "__name__"))
    return Selector(metric, kept, within, window)


def _operator(operator: Any) -> str:
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(operator).rpartition(".")[2]]


def _grouping(node: Any) -> Iterator[str]:
    match type(node).__name__:
        case "AggregateExpr" if node.modifier is not None and str(node.modifier.type).endswith("By"):
            yield from node.modifier.labels
        case "BinaryExpr" if node.modifier is not None:
            matching = node.modifier.matching
            if matching is not None and str(matching.type).endswith("Include"):
                yield from matching.labels
            yield from node.modifier.group_labels or ()
    for child in _children(node):
        yield from _grouping(child)
