"""GitHub's expressions, `${{ … }}` and `if:`, as far as they can be decided without a run.

What cannot be known (a secret, a variable of the repository) is `UNKNOWN`, and so is what depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

MAX_CHARACTERS = 2_000
MAX_NESTING = 30

_EXPRESSION = re.compile(r"\$\{\{((?>(?:(?!\$\{\{|\}\}).)*))\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"\s*(?:'((?:[^']|'')*)'|(-?\d+(?:\.\d+)?)|([A-Za-z_][\w-]*)|(==|!=|<=|>=|&&|\|\||[!<>().,*]|\[|\]))"
)
_TEXT = re.compile(r"'(?:[^']|'')*'")
_FOREIGN = re.compile(r"\"|(?<![=!<>])=(?!=)")
_STATUS = re.compile(r"\b(?:always|success|failure|cancelled)\s*\(", re.IGNORECASE)


class Unknown:
    """The value of what only a run can tell."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
Lookup = Callable[[tuple[str, ...]], Any]
"""A context's value by its path, `("github", "ref")`."""
Call = Callable[[str, Sequence[Any]], Any]
"""A function's value by its name in small letters."""


def has_status_function(text: str) -> bool:
    """Whether a condition speaks of what came before; otherwise `success()` is understood."""
    return _STATUS.search(text) is not None


def foreign(text: str, *, whole: bool = False) -> str:
    """What an expression of the text holds that no expression knows (`"`, a single `=`), empty if nothing.

    Args:
        whole: the text is one expression, as in `if:`.
    """
    found = _EXPRESSION.findall(text)
    for expression in found or ([text] if whole else []):
        rest = _TEXT.sub("", expression)
        if "'" not in rest and (sign := _FOREIGN.search(rest)):
            return sign[0]
    return ""


def substitute(text: str, lookup: Lookup) -> str:
    """Fill in the expressions of a text that can be known; others stay as written."""

    def filled(found: re.Match[str]) -> str:
        value = evaluate(found[1], lookup)
        if isinstance(value, Unknown | dict):
            return found[0]
        return as_text(value)

    return _EXPRESSION.sub(filled, text)


def as_text(value: Any) -> str:
    """A value as GitHub writes it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return " ".join(map(as_text, value))
    return str(value)


def condition(value: Any, lookup: Lookup, call: Call) -> bool | None:
    """Whether an `if:` holds; None where it cannot be known. No condition holds."""
    if value is None:
        return True
    if not isinstance(value, str):
        return _truth(value)
    text = value.strip()
    whole = _EXPRESSION.fullmatch(text)
    return _truth(evaluate(whole[1] if whole else _EXPRESSION.sub(r"(\1)", text), lookup, call))


def evaluate(text: str, lookup: Lookup, call: Call | None = None) -> Any:
    """The value of an expression, `UNKNOWN` where it cannot be known or read."""
    if len(text) > MAX_CHARACTERS:
        return UNKNOWN
    try:
        tokens = _tokens(text)
        parser = _Parser(tokens, lookup, call)
        value = parser.either(0)
    except _Unreadable:
        return UNKNOWN
    return value if parser.done else UNKNOWN


class _Unreadable(Exception):  # noqa: N818  (never seen outside)
    """An expression that this reader does not know."""


def _tokens(text: str) -> list[tuple[str, str]]:
    """Pairs of kind (`text`, `number`, `name`, `sign`) and content."""
    found: list[tuple[str, str]] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        kind = next(name for name, group in zip(_KINDS, match.groups(), strict=True) if group is not None)
        found.append((kind, match[_KINDS.index(kind) + 1]))
        at = match.end()
    return found


_KINDS = ("text", "number", "name", "sign")


def _truth(value: Any) -> bool | None:
    return None if isinstance(value, Unknown) else value not in (None, "", 0, False)


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], lookup: Lookup, call: Call | None) -> None:
        self._tokens = tokens
        self._at = 0
        self._lookup = lookup
        self._call = call

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def either(self, depth: int) -> Any:
        value = self._both(depth)
        while self._took("||"):
            other = self._both(depth)
            truth = _truth(value)
            if truth is None:
                value = other if _truth(other) else UNKNOWN
            elif not truth:
                value = other
        return value

    def _both(self, depth: int) -> Any:
        value = self._compared(depth)
        while self._took("&&"):
            other = self._compared(depth)
            truth = _truth(value)
            if truth is None:
                value = False if _truth(other) is False else UNKNOWN
            elif truth:
                value = other
        return value

    def _compared(self, depth: int) -> Any:
        value = self._single(depth)
        for sign in ("==", "!=", "<=", ">=", "<", ">"):
            if self._took(sign):
                return _compare(sign, value, self._single(depth))
        return value

    def _single(self, depth: int) -> Any:
        if depth > MAX_NESTING or self.done:
            raise _Unreadable
        kind, content = self._tokens[self._at]
        self._at += 1
        match kind, content:
            case "text", _:
                return content.replace("''", "'")
            case "number", _:
                return float(content)
            case "name", _:
                return self._named(content, depth)
            case "sign", "!":
                truth = _truth(self._single(depth + 1))
                return UNKNOWN if truth is None else not truth
            case "sign", "(":
                value = self.either(depth + 1)
                self._expect(")")
                return value
        raise _Unreadable

    def _named(self, name: str, depth: int) -> Any:
        if self._took("("):
            return self._called(name.lower(), depth)
        if name.lower() in ("true", "false", "null"):
            return {"true": True, "false": False}.get(name.lower())
        path = [name]
        while True:
            if self._took("."):
                if self.done:
                    raise _Unreadable
                path.append(self._tokens[self._at][1])
                self._at += 1
            elif self._took("["):
                path.append(as_text(self.either(depth + 1)))
                self._expect("]")
            else:
                return self._lookup(tuple(path))

    def _called(self, name: str, depth: int) -> Any:
        arguments: list[Any] = []
        while not self._took(")"):
            arguments.append(self.either(depth + 1))
            if not self._took(","):
                self._expect(")")
                break
        if name in ("contains", "startswith", "endswith") and len(arguments) == 2:
            return _text_function(name, *arguments)
        return UNKNOWN if self._call is None else self._call(name, arguments)

    def _took(self, sign: str) -> bool:
        if not self.done and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._took(sign):
            raise _Unreadable


def _text_function(name: str, whole: Any, part: Any) -> Any:
    if isinstance(whole, Unknown | dict) or isinstance(part, Unknown | dict | list):
        return UNKNOWN
    wanted = as_text(part).lower()
    if isinstance(whole, list):
        return any(as_text(item).lower() == wanted for item in whole) if name == "contains" else UNKNOWN
    text = as_text(whole).lower()
    if name == "contains":
        return wanted in text
    return text.startswith(wanted) if name == "startswith" else text.endswith(wanted)


def _compare(sign: str, left: Any, right: Any) -> Any:
    if isinstance(left, Unknown | dict | list) or isinstance(right, Unknown | dict | list):
        return UNKNOWN
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    else:
        left, right = _number(left), _number(right)
    if sign in ("==", "!="):
        return (left == right) is (sign == "==")
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[sign]


def _number(value: Any) -> float:
    """GitHub compares values of different types as numbers."""
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except ValueError:
        return float("nan")
