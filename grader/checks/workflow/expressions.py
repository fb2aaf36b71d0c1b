"""GitHub's expressions, `${{ … }}` and `if:`, as far as they can be decided without a run.

What cannot be known (a secret, a variable of the repository) is `UNKNOWN`, and so is what depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

MAX_CHARACTERS = 2_000
MAX_NESTING = 30

_EXPRESSION = re.compile(r"\$\{\{((?>(?:'[^']*'|(?!\}\})[^'])*))\}\}", re.DOTALL)
_OPENING = "${{"
_TOKEN = re.compile(
    r"\s*(?:'((?>(?:[^']|'')*))'|([+-]?(?:0x[\da-fA-F]+|0o[0-7]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+))"
    r"|([A-Za-z_][\w-]*)|(==|!=|<=|>=|&&|\|\||[!<>().,*]|\[|\]))"
)
_TEXT = re.compile(r"'(?>(?:[^']|'')*)'")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an expression is made of."""

    contexts: tuple[str, ...] = ()
    """In small letters, as are functions."""
    functions: tuple[tuple[str, int], ...] = ()
    """With the number of their arguments."""
    problem: str = ""
    """Why GitHub cannot read it."""


def read_expressions(text: str, *, whole: bool = False) -> Iterator[tuple[str, Reading]]:
    """Every expression of a text, and what it is made of.

    Args:
        whole: the text is one expression, as in `if:`.
    """
    if whole and _OPENING not in text:
        yield text, _reading(text) if text.strip() else Reading()
        return
    place = text.find(_OPENING)
    while place >= 0:
        found = _EXPRESSION.match(text, place)
        if found is None:
            yield text[place:], Reading(problem="an expression that is not closed with }}")
            return
        yield found[1].strip(), _reading(found[1])
        place = text.find(_OPENING, found.end())


def _reading(text: str) -> Reading:
    if len(text) > MAX_CHARACTERS:
        return Reading()
    if not text.strip():
        return Reading(problem="an empty expression")
    rest = _TEXT.sub("", text)
    if "'" not in rest and (sign := _FOREIGN.search(rest)):
        return Reading(problem=f"an expression with {sign[0]}")
    try:
        parser = _Parser(_tokens(text), lambda _: UNKNOWN, None)
        parser.either(0)
    except _TooDeep:
        return Reading()
    except _Unreadable:
        return Reading(problem="an expression with a syntax error")
    if not parser.done:
        return Reading(problem="an expression with a syntax error")
    return Reading(contexts=tuple(parser.contexts), functions=tuple(parser.functions))


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


class _TooDeep(_Unreadable):
    """An expression that is nested more deeply than is read."""


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
        self.contexts: list[str] = []
        self.functions: list[tuple[str, int]] = []

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
        value = self._ordered(depth)
        while sign := self._took_one("==", "!="):
            value = _compare(sign, value, self._ordered(depth))
        return value

    def _ordered(self, depth: int) -> Any:
        value = self._single(depth)
        while sign := self._took_one("<=", ">=", "<", ">"):
            value = _compare(sign, value, self._single(depth))
        return value

    def _single(self, depth: int) -> Any:
        if depth > MAX_NESTING:
            raise _TooDeep
        if self.done:
            raise _Unreadable
        kind, content = self._tokens[self._at]
        self._at += 1
        match kind, content:
            case "text", _:
                return content.replace("''", "'")
            case "number", _:
                return float(content) if "x" not in content and "o" not in content else float(int(content, 0))
            case "name", _:
                return self._named(content, depth)
            case "sign", "!":
                truth = _truth(self._single(depth + 1))
                return UNKNOWN if truth is None else not truth
            case "sign", "(":
                value = self.either(depth + 1)
                self._expect(")")
                return UNKNOWN if self._path(depth) else value
        raise _Unreadable

    def _named(self, name: str, depth: int) -> Any:
        if self._took("("):
            value = self._called(name.lower(), depth)
            return UNKNOWN if self._path(depth) else value
        if name.lower() in ("true", "false", "null", "nan", "infinity"):
            return {"true": True, "false": False}.get(name.lower())
        self.contexts.append(name.lower())
        return self._lookup((name, *self._path(depth)))

    def _path(self, depth: int) -> list[str]:
        """The properties that follow: `.name`, `.*`, `[0]`."""
        path: list[str] = []
        while True:
            if self._took("."):
                if self.done or not (self._tokens[self._at][0] == "name" or self._tokens[self._at][1] == "*"):
                    raise _Unreadable
                path.append(self._tokens[self._at][1])
                self._at += 1
            elif self._took("["):
                path.append("*" if self._took("*") else as_text(self.either(depth + 1)))
                self._expect("]")
            else:
                return path

    def _called(self, name: str, depth: int) -> Any:
        arguments: list[Any] = []
        if not self._took(")"):
            arguments.append(self.either(depth + 1))
            while self._took(","):
                arguments.append(self.either(depth + 1))
            self._expect(")")
        self.functions.append((name, len(arguments)))
        if name in ("contains", "startswith", "endswith") and len(arguments) == 2:
            return _text_function(name, *arguments)
        return UNKNOWN if self._call is None else self._call(name, arguments)

    def _took_one(self, *signs: str) -> str:
        return next(filter(self._took, signs), "")

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
