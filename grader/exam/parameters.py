"""Whether a value from a rubric has the type that a check's parameter declares."""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

Place = tuple[Hashable, ...]


def mismatches(value: Any, wanted: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every place inside `value` that is not as declared, with what is wrong there."""
    origin, arguments = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        if not any(fits(value, option) for option in arguments):
            yield place, _wrong(value, wanted)
    elif origin is typing.Literal:
        if not any(value == option and type(value) is type(option) for option in arguments):
            yield place, f"expected one of {', '.join(map(repr, arguments))}, not {value!r}"
    elif typing.is_typeddict(wanted) and isinstance(value, dict):
        yield from _fields(value, wanted, place)
    elif not _plain(value, origin):
        yield place, _wrong(value, wanted)
    elif isinstance(value, list | dict) and arguments:
        # Keys of a rubric are text (the schema's reader sees to it): only values can be wrong.
        for step, entry in enumerate(value) if isinstance(value, list) else value.items():
            yield from mismatches(entry, arguments[-1 if isinstance(value, dict) else 0], (*place, step))


def _fields(value: dict[Any, Any], wanted: Any, place: Place) -> Iterator[tuple[Place, str]]:
    hints = typing.get_type_hints(wanted)
    for key in sorted(wanted.__required_keys__ - value.keys()):
        yield place, f"{wanted.__name__} needs {key!r}"
    for key, entry in value.items():
        if key not in hints:
            yield (*place, key), f"{wanted.__name__} has no {key!r} (it has {', '.join(hints)})"
        else:
            yield from mismatches(entry, hints[key], (*place, key))


def fits(value: Any, wanted: Any) -> bool:
    """Whether nothing in `value` is wrong."""
    return next(mismatches(value, wanted), None) is None


def _plain(value: Any, wanted: Any) -> bool:
    if wanted in (Any, object):
        return True
    if wanted in (None, type(None)):
        return value is None
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in (list, Sequence, tuple):
        return isinstance(value, list)
    if wanted in (dict, Mapping):
        return isinstance(value, dict)
    if typing.is_typeddict(wanted):
        return False
    return isinstance(wanted, type) and isinstance(value, wanted)


def _wrong(value: Any, wanted: Any) -> str:
    return f"expected {name(wanted)}, not {value!r}"


def name(wanted: Any) -> str:
    """A type as a rubric author reads it."""
    if wanted in (None, type(None)):
        return "null"
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return " or ".join(map(name, typing.get_args(wanted)))
    if typing.get_origin(wanted) is not None:
        return str(wanted).replace("typing.", "").replace("collections.abc.", "")
    return getattr(wanted, "__name__", str(wanted))
