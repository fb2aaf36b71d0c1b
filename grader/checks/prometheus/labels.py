"""Label values that satisfy what an expression matches on: what its series have to carry to be selected."""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grader.readers.regular_expressions import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grader.checks.prometheus.promql import Matcher

MAX_CHARACTERS = 200
"""Of a pattern that samples are made of, and of a sample."""
MAX_SAMPLES = 10
_USUAL = ("service", "500", "200", "prod", "x", "0", "true", "error", "/x", "POST")


def satisfying(matchers: Iterable[Matcher]) -> str | None:
    """A value for a label that all its matchers accept: empty where it may be absent, None if none is."""
    matchers = tuple(matchers)
    exact = [each.value for each in matchers if each.operator == "="]
    sampled = [sample for each in matchers if each.operator == "=~" for sample in samples(each.value)]
    nothing = () if exact or sampled else ("",)
    candidates = (*exact, *sampled, *nothing, *_USUAL)
    return next((value for value in candidates if all(accepts(each, value) for each in matchers)), None)


def accepts(matcher: Matcher, value: str) -> bool:
    """Whether a matcher takes a value."""
    match matcher.operator:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return matches(matcher.value, value)
    return not matches(matcher.value, value)


def samples(pattern: str) -> tuple[str, ...]:
    """Some strings that a pattern takes: one for each of its outermost alternatives.

    Python's parser reads it, which knows most of Go's syntax; what it gets wrong is no sample.
    """
    tree = _parsed(pattern)
    if tree is None:
        return ()
    try:
        found = tuple(dict.fromkeys(_alternatives(tree)))[:MAX_SAMPLES]
    except _NoSampleError:
        return ()
    return tuple(each for each in found if matches(pattern, each))


class _NoSampleError(Exception):
    """The pattern holds something that has no plain sample, such as a lookahead."""


def _parsed(pattern: str) -> Any:
    if len(pattern) > MAX_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("re._parser").parse(pattern)
    except (re.error, RecursionError, OverflowError, ValueError):
        return None


def _alternatives(tree: Any) -> Iterator[str]:
    items = list(tree)
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        for branch in items[0][1][1]:
            yield from _alternatives(branch)
    elif len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        yield from _alternatives(items[0][1][-1])
    else:
        yield "".join(_sample(item) for item in items)


def _sample(item: tuple[Any, Any]) -> str:
    operation, argument = str(item[0]), item[1]
    match operation:
        case "LITERAL":
            return chr(argument)
        case "ANY":
            return "0"
        case "AT":
            return ""
        case "IN":
            return _member(argument)
        case "NOT_LITERAL":
            return "a" if argument == ord("0") else "0"
        case "BRANCH":
            return "".join(_sample(each) for each in argument[1][0])
        case "SUBPATTERN":
            return "".join(_sample(each) for each in argument[-1])
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = argument
            text, times = "".join(_sample(each) for each in inner), min(max(least, 1), most)
            if len(text) * times > MAX_CHARACTERS:
                raise _NoSampleError
            return str(text * times)
    raise _NoSampleError


def _member(items: list[tuple[Any, Any]]) -> str:
    excluded = str(items[0][0]) == "NEGATE"
    if excluded:
        inside = {character for item in items[1:] for character in _members(item)}
        return next((character for character in "0az_-/ " if character not in inside), "~")
    return next(_members(items[0]))


def _members(item: tuple[Any, Any]) -> Iterator[str]:
    operation, argument = str(item[0]), item[1]
    if operation == "LITERAL":
        yield chr(argument)
    elif operation == "RANGE":
        yield from map(chr, range(argument[0], min(argument[1], argument[0] + 200) + 1))
    elif str(argument) == "CATEGORY_DIGIT":
        yield from "0123456789"
    elif str(argument) == "CATEGORY_WORD":
        yield from "a0_z"
    elif str(argument) == "CATEGORY_SPACE":
        yield " "
    else:
        yield from "-/~"
