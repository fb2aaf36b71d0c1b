"""When a workflow runs: `on:` against a push to a branch."""

from __future__ import annotations

import re
from typing import Any

from grader.readers.regular_expressions import matches

MAX_CHARACTERS = 250
"""Longer than any branch name, so longer than any use."""


def runs_on_push(on: Any, branch: str) -> bool:
    """Whether `on:` has the workflow run on every push to a branch, as far as branches go."""
    match on:
        case "push":
            return True
        case list():
            return "push" in on
        case {"push": None}:
            return True
        case {"push": dict(filters)}:
            return _passes(filters, branch)
    return False


def _passes(filters: dict[Any, Any], branch: str) -> bool:
    if "branches" in filters:
        return _included(_patterns(filters["branches"]), branch)
    if "branches-ignore" in filters:
        return not any(_matches(pattern, branch) for pattern in _patterns(filters["branches-ignore"]))
    # With filters for tags alone, a push to a branch is none of the workflow's business.
    return "tags" not in filters and "tags-ignore" not in filters


def _patterns(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _included(patterns: list[str], branch: str) -> bool:
    """The last pattern that matches decides, `!` taking out what those before it took in."""
    included = False
    for pattern in patterns:
        if _matches(pattern.removeprefix("!"), branch):
            included = not pattern.startswith("!")
    return included


def _matches(pattern: str, branch: str) -> bool:
    """GitHub's filter patterns: `*`, `**`, `?` and `+` (of what stands before), `[]`."""
    if len(pattern) > MAX_CHARACTERS:
        return False
    pieces: list[str] = []
    for token in re.findall(r"\*\*+|\[[^\]]+\]|\\.|.", pattern, re.DOTALL):
        if token.startswith("*"):
            pieces.append(".*" if len(token) > 1 else "[^/]*")
        elif token in ("?", "+") and pieces and not pieces[-1].endswith(("*", "?", "+")):
            pieces[-1] += token
        elif token.startswith("[") and len(token) > 2:
            pieces.append("[" + re.sub(r"([\\^\[])", r"\\\1", token[1:-1]) + "]")
        else:
            pieces.append(re.escape(token.removeprefix("\\") or token))
    return matches("".join(pieces), branch)
