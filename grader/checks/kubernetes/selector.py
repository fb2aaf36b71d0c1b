"""Kubernetes label selectors: `matchLabels` and `matchExpressions`."""

from __future__ import annotations

from typing import Any


def selects(selector: Any, labels: dict[Any, Any]) -> bool:
    """Whether a selector matches these labels; an empty selector matches nothing."""
    if not isinstance(selector, dict):
        return False
    match_labels = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    if not isinstance(match_labels, dict) or not isinstance(expressions, list):
        return False
    if not match_labels and not expressions:
        return False
    return all(labels.get(key) == value for key, value in match_labels.items()) and all(
        _expression_holds(expression, labels) for expression in expressions
    )


def _expression_holds(expression: Any, labels: dict[Any, Any]) -> bool:
    match expression:
        case {"key": str(key), "operator": "In", "values": list(values)}:
            return labels.get(key) in values
        case {"key": str(key), "operator": "NotIn", "values": list(values)}:
            return labels.get(key) not in values
        case {"key": str(key), "operator": "Exists"}:
            return key in labels
        case {"key": str(key), "operator": "DoesNotExist"}:
            return key not in labels
    return False
