"""Reading from an alert's expression when it will fire, for machines without promtool.

Only shapes whose meaning is certain are read; of any other the answer is None.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.checks.prometheus import promql
from grader.checks.prometheus.scenarios import AT_ALL, Alert, worlds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_FOLDS = frozenset({"sum", "min", "max", "avg"})
_PER_SECOND = frozenset({"rate", "irate"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What an expression says; None where that is not certain."""

    fires: bool | None = None
    quiet: bool | None = None
    quantile: bool | None = None


def read(expression: promql.Expression, duration: str, spec: Alert) -> Reading:
    """When an alert with this expression and `for` fires."""
    compared = expression.comparison()
    if compared is None:
        return Reading()
    waits = promql.seconds(duration or "0")
    if waits is None:
        return Reading(fires=False, quiet=False)
    bad, good, quantile = _sides(compared, spec)
    far_worse, _, _ = _sides(compared, spec.changed(near=spec.near * AT_ALL))
    if bad is None or good is None:
        return Reading(quantile=quantile)
    at_all = far_worse and (spec.watches == "value" or waits <= AT_ALL * spec.after + spec.slack)
    return Reading(
        fires=bad and waits <= spec.after + spec.slack,
        quiet=at_all and not good and waits >= spec.after,
        quantile=quantile,
    )


def _sides(compared: promql.Comparison, spec: Alert) -> tuple[bool | None, bool | None, bool | None]:
    """Whether it holds on the bad side and on the good one, and whether it is the right quantile."""
    node, holds = _folded(compared.left), _COMPARE[compared.operator]

    def both(low: float, high: float) -> tuple[bool, bool]:
        return holds(high, compared.threshold), holds(low, compared.threshold)

    match spec.watches:
        case "value" if type(node).__name__ == "VectorSelector" and node.name == spec.metric:
            return holds(spec.bad, compared.threshold), holds(spec.good, compared.threshold), None
        case "rate" if (scale := _per_second(_numerator(node), spec.metric)) is not None:
            low, high = spec.threshold / spec.near, spec.threshold * spec.near
            return *both(low * scale, high * scale), None
        case "latency" if (quantile := _quantile(node)) is not None:
            right = abs(quantile - spec.quantile) < 1e-9 and compared.operator in (">", ">=")
            if not 0 < quantile < 1:
                return None, None, False
            units = (world.unit for world in worlds(spec, _selected(node)))
            sides = [both(spec.under * unit, spec.over * unit) for unit in units]
            return *max(sides, key=lambda side: (side[0], not side[1])), right
    return None, None, None


def _selected(node: Any) -> tuple[promql.Selector, ...]:
    return promql.Expression("", node).selectors()


def _folded(node: Any) -> Any:
    """What is inside aggregations that change nothing for a single series."""
    node = promql.bare(node)
    while type(node).__name__ == "AggregateExpr" and str(node.op) in _FOLDS:
        node = promql.bare(node.expr)
    return node


def _numerator(node: Any) -> Any:
    if type(node).__name__ == "BinaryExpr" and str(node.op) == "/" and promql.number(node.rhs) is None:
        return _folded(node.lhs)
    return node


def _per_second(node: Any, metric: str) -> float | None:
    """How often a rate of one a second counts in `rate(metric[…])` or `increase(metric[…])`."""
    if type(node).__name__ != "Call" or len(node.args) != 1:
        return None
    inner = promql.bare(node.args[0])
    if type(inner).__name__ != "MatrixSelector" or inner.vector_selector.name != metric:
        return None
    if node.func.name in _PER_SECOND:
        return 1.0
    return float(inner.range.total_seconds()) if node.func.name == "increase" else None


def _quantile(node: Any) -> float | None:
    """The quantile that is taken of rates of buckets, as long as `le` is kept."""
    if type(node).__name__ != "Call" or node.func.name != "histogram_quantile":
        return None
    inner = promql.bare(node.args[1])
    if type(inner).__name__ == "AggregateExpr":
        modifier = inner.modifier
        by = modifier is not None and str(modifier.type).endswith("By")
        if str(inner.op) != "sum" or modifier is None or ("le" in modifier.labels) is not by:
            return None
        inner = promql.bare(inner.expr)
    if type(inner).__name__ != "Call" or inner.func.name not in (_PER_SECOND | {"increase"}):
        return None
    matrix = promql.bare(inner.args[0])
    named = (type(matrix).__name__ == "MatrixSelector" and matrix.vector_selector.name) or ""
    return promql.number(node.args[0]) if named.endswith("_bucket") else None
