"""When a workflow runs: `on:` against the branch or the tag of an event."""

from __future__ import annotations

import re
from typing import Any, Literal

from grader.readers.regular_expressions import matches

MAX_CHARACTERS = 250
"""Longer than any name of a branch or a tag, so longer than any use."""


def filters_of(on: Any, event: str) -> dict[Any, Any] | None:
    """What `on:` says of an event: nothing, or its filters; None if the event does not start the workflow.

    A schedule's entries are under `schedules`.
    """
    match on:
        case str() if on == event != "schedule":
            return {}
        case list() if event in on and event != "schedule":
            return {}
        case dict() if event in on:
            filters = on[event]
            if event == "schedule":
                return {"schedules": filters} if isinstance(filters, list) else None
            return {} if filters is None else filters if isinstance(filters, dict) else None
    return None


def includes(filters: dict[Any, Any], kind: Literal["branches", "tags"], name: str) -> bool:
    """Whether an event's filters let a branch or a tag through."""
    if kind in filters:
        return _included(patterns(filters[kind]), name)
    if f"{kind}-ignore" in filters:
        return not any(_matches(pattern, name) for pattern in patterns(filters[f"{kind}-ignore"]))
    # With filters for tags alone, a push to a branch is none of the workflow's business, and the other way.
    other = "tags" if kind == "branches" else "branches"
    return other not in filters and f"{other}-ignore" not in filters


def patterns(value: Any) -> list[str]:
    """The texts of a list, or the only one."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _included(those: list[str], name: str) -> bool:
    """The last pattern that matches decides, `!` taking out what those before it took in."""
    included = False
    for pattern in those:
        if _matches(pattern.removeprefix("!"), name):
            included = not pattern.startswith("!")
    return included


def _matches(pattern: str, name: str) -> bool:
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
    return matches("".join(pieces), name)
