"""Which contexts and functions an expression may use at a place of a workflow, as GitHub documents it."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from grader.schemas import read_table

if TYPE_CHECKING:
    from grader.checks.workflow.expressions import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """What is available under a key."""

    key: str
    contexts: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    """The special ones among them; all others are available everywhere."""
    plain: bool = False
    """The key takes no expressions at all."""

    def complaint(self, reading: Reading) -> str:
        """What GitHub refuses in an expression under the key, empty where it accepts it."""
        if self.plain:
            return f"{self.key} takes no expressions"
        if reading.problem:
            return reading.problem
        known = _table()
        for context in reading.contexts:
            if context not in known["contexts"]:
                return f"unknown context {context}{_nearest(context, known['contexts'])}"
            if context not in self.contexts:
                return f"the context {context} is not available in {self.key}"
        for name, given in reading.functions:
            special = name in known["special_functions"]
            bounds = known["special_functions" if special else "functions"].get(name)
            if bounds is None:
                return f"unknown function {name}{_nearest(name, known['functions'])}"
            if special and name not in self.functions:
                return f"the function {name} is not available in {self.key}"
            if not bounds[0] <= given <= bounds[1]:
                return f"the function {name} is called with {given} argument{'' if given == 1 else 's'}"
        return ""

    def expected(self, reading: Reading) -> str:
        """What the key takes instead."""
        if self.plain:
            return "plain text"
        if reading.problem:
            return "an expression in ${{ }}, with 'text' in single quotes and == to compare"
        return f"the contexts {', '.join(sorted(self.contexts))}"


def availability(path: Sequence[Hashable]) -> Availability | None:
    """What is available at a path of a workflow; None where expressions mean nothing or nobody knows."""
    keys = tuple(str(part) for part in path if not isinstance(part, int))
    found = _nearest_key(keys)
    if found is None:
        return None
    if found in _table()["no_expressions"]:
        return Availability(key=found, plain=True)
    entry = _table()["keys"][found]
    return Availability(
        key=found,
        contexts=frozenset(entry["contexts"]),
        functions=frozenset(entry.get("functions", ())),
    )


def _nearest_key(keys: tuple[str, ...]) -> str | None:
    """The longest key of the table that leads to a place."""
    table = _table()
    listed = (*table["keys"], *table["no_expressions"])
    leading = [key for key in listed if _leads(key.split("."), keys)]
    return max(leading, key=lambda key: key.count("."), default=None)


def _leads(key: list[str], keys: tuple[str, ...]) -> bool:
    return len(key) <= len(keys) and all(
        wanted in ("*", part) for wanted, part in zip(key, keys, strict=False)
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


@cache
def _table() -> dict[str, Any]:
    return read_table("workflow-contexts")
