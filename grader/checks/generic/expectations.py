"""What an author expects of a value: equal, near, a pattern, a part of it; whatever the value came from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from grader.check import Parameters
from grader.readers.plain_data import as_json
from grader.readers.regular_expressions import find, problem

MAX_SHOWN = 300
MAX_COMPARED = 200_000
"""Pairs that are compared for one expectation: lists in any order are compared each with each."""


def _is_an_expression(pattern: str) -> str:
    if said := problem(pattern):
        raise ValueError(f"not a regular expression as RE2 reads it: {said}")
    return pattern


Regex = Annotated[str, AfterValidator(_is_an_expression)]
"""A regular expression in RE2's syntax: no lookaround and no backreference. It is searched for."""
Real = Annotated[float, Field(allow_inf_nan=False)]
Kind = Literal["text", "number", "boolean", "null", "list", "mapping"]


class Expect(Parameters):
    """What a value must be; all that is given must hold."""

    equals: Any = None
    """The value itself; `1` equals `1.0`, and neither equals `"1"` or `true`."""
    one_of: tuple[Any, ...] = ()
    """Values of which it must equal one."""
    contains: Any = None
    """A part of it: keys of a mapping, items of a list in any order, or a piece of a text."""
    excludes: Any = None
    """What it must not contain, likewise."""
    matches: Regex = ""
    """A regular expression (RE2) that must be found in it; a number is matched as it is written."""
    near: Real | None = None
    """A number that it must be close to."""
    tolerance: Annotated[Real, Field(ge=0)] = 1e-6
    """How far it may be from `near`, and each number in it from that of `equals` or `contains`."""
    at_least: Real | None = None
    """The smallest number that it may be."""
    at_most: Real | None = None
    """The largest number that it may be."""
    min_length: Annotated[int, Field(ge=0)] | None = None
    """How many characters, items or keys it has at least."""
    max_length: Annotated[int, Field(ge=0)] | None = None
    """How many characters, items or keys it has at most."""
    type: Kind | None = None
    """What kind of value it is."""

    @model_validator(mode="after")
    def _says_something(self) -> Expect:
        if not self.model_fields_set - {"tolerance"}:
            keys = ", ".join(name for name in type(self).model_fields if name != "tolerance")
            raise ValueError(f"nothing is expected; give one of {keys}")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"no number is at least {self.at_least:g} and at most {self.at_most:g}")
        return self

    def __hash__(self) -> int:
        return hash(json.dumps(as_json(self.model_dump()), sort_keys=True, default=str))

    def violation(self, value: Any) -> str:
        """What was expected and is not so, in words; empty if the value is as expected.

        Args:
            value: plain data, as JSON has it.
        """
        try:
            return next(self._violations(value, _Comparison(self.tolerance)), "")
        except _TooLargeError:
            return "a value that is small enough to be compared"

    def _violations(self, value: Any, comparison: _Comparison) -> Iterator[str]:
        given = self.model_fields_set
        number = float(value) if _is_number(value) else math.nan
        if "equals" in given and not comparison.equal(self.equals, value):
            yield shown(self.equals)
        if "one_of" in given and not any(comparison.equal(option, value) for option in self.one_of):
            yield f"one of {', '.join(map(shown, self.one_of))}"
        if "contains" in given and not comparison.contains(value, self.contains):
            yield f"something that contains {shown(self.contains)}"
        if "excludes" in given and comparison.contains(value, self.excludes):
            yield f"nothing that contains {shown(self.excludes)}"
        if self.matches and not (isinstance(value, str | int | float) and find(self.matches, written(value))):
            yield f"something that matches {self.matches}"
        if self.near is not None and not abs(number - self.near) <= self.tolerance:
            yield f"{self.near:g}, give or take {self.tolerance:g}"
        if self.at_least is not None and not number >= self.at_least:
            yield f"at least {self.at_least:g}"
        if self.at_most is not None and not number <= self.at_most:
            yield f"at most {self.at_most:g}"
        length = len(value) if isinstance(value, str | list | dict) else -1
        if self.min_length is not None and length < self.min_length:
            yield f"a length of at least {self.min_length}"
        if self.max_length is not None and not 0 <= length <= self.max_length:
            yield f"a length of at most {self.max_length}"
        if self.type is not None and kind_of(value) != self.type:
            yield f"a {self.type}" if self.type != "null" else "null"


class _TooLargeError(Exception):
    """A value with more pairs to compare than anybody means."""


class _Comparison:
    """Compares plain data, and counts what that takes."""

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._left = MAX_COMPARED

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError

    def equal(self, wanted: Any, found: Any) -> bool:
        self._spend()
        match wanted, found:
            case (dict(), dict()):
                return {str(key) for key in wanted} == {str(key) for key in found} and all(
                    self.equal(value, found[str(key)]) for key, value in wanted.items()
                )
            case (list() | tuple(), list() | tuple()):
                return len(wanted) == len(found) and all(map(self.equal, wanted, found))
            case _ if _is_number(wanted) and _is_number(found):
                return wanted == found or abs(float(wanted) - float(found)) <= self._tolerance
        return type(wanted) is type(found) and bool(wanted == found)

    def contains(self, found: Any, part: Any) -> bool:
        self._spend()
        match part, found:
            case (dict(), dict()):
                return all(
                    str(key) in found and self.contains(found[str(key)], value) for key, value in part.items()
                )
            case (list() | tuple(), list()):
                return all(any(self.contains(item, each) for item in found) for each in part)
            case (str(), str()):
                return part in found
            case _ if isinstance(found, list) and not isinstance(part, list | tuple):
                return any(self.equal(part, item) or self._holds(item, part) for item in found)
        return self.equal(part, found)

    def _holds(self, item: Any, part: Any) -> bool:
        return isinstance(part, dict) and self.contains(item, part)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: object) -> str:
    """The kind of a piece of plain data, as JSON has kinds."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
    return "mapping"


def written(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(as_json(value), ensure_ascii=False)


def shown(value: Any) -> str:
    """A value for a finding."""
    text = json.dumps(as_json(value), ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
