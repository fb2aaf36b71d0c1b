"""A shell script as words, operators and heredocs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EXPANDED = 2_000
"""The longest word that variables may grow to: beyond, they stay as written."""

_OPERATOR = re.compile(r"&>>|&>|<<<|<<-|<<|<>|<&|>>|>&|>\||[<>]|\|\||\|&|\||&&|&|;;&|;;|;&|;|\(|\)|\n")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?[-=]([^{}$`]*))?\})")
_EXPRESSION = re.compile(r"\$\{\{(?>(?:(?!\$\{\{|\}\}).)*)\}\}", re.DOTALL)
_BLANKS = re.compile(r"(\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`)|\s+")
_ENDS_WORD = " \t\r\n&<>|;()"
"""No other blank parts words: a shell takes a form feed or a no-break space for a part of one."""
_PLAIN = re.compile(r"[^\s\\'\"$`&<>|;()#]+")


@dataclass(frozen=True, slots=True)
class Operator:
    """`&&`, `;`, a newline…; redirections are none, they are dropped with their targets."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Word:
    """One word, quotes taken off and known variables filled in."""

    text: str
    line: int
    quoted: bool = False
    substitutions: tuple[str, ...] = ()
    """The scripts of its `$(…)`."""
    place: int = 0
    """Where it begins in the text."""


@dataclass(slots=True)
class Heredoc:
    """A heredoc of the command at hand; its body is known once the line has been read to its end."""

    delimiter: str
    strip_tabs: bool
    body: str = ""


class Lexer:
    """Yields the tokens; `variables` is looked at anew for every word."""

    def __init__(self, text: str, variables: dict[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0
        self._line = 1
        self._pending: list[Heredoc] = []

    def __iter__(self) -> Iterator[Word | Operator | Heredoc]:
        while self._skip_blanks():
            operator = _OPERATOR.match(self._text, self._at)
            if operator is None:
                yield from self._words()
            elif operator[0][0] in "<>" or operator[0].startswith("&>"):
                self._at = operator.end()
                yield from self._redirection(operator[0])
            else:
                yield Operator(operator[0], self._line)
                self._advance(operator.end())
                if operator[0] == "\n":
                    self._read_heredocs()

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _skip_blanks(self) -> bool:
        """Go to the next token, past blanks, comments and continued lines; False at the end."""
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in " \t\r":
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._advance(self._at + 2)
            elif character == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            else:
                return True
        return False

    def _redirection(self, operator: str) -> Iterator[Heredoc]:
        if operator in ("<", ">") and self._text.startswith("(", self._at):
            return  # process substitution: what is inside is read as a group
        if not self._skip_blanks() or _OPERATOR.match(self._text, self._at):
            return
        target = "".join(word.text for word in self._words())
        if operator in ("<<", "<<-"):
            self._pending.append(Heredoc(target, operator == "<<-"))
            yield self._pending[-1]
        elif operator == "<<<":
            yield Heredoc("", False, target)

    def _read_heredocs(self) -> None:
        for heredoc in self._pending:
            body: list[str] = []
            while self._at < len(self._text):
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line = self._text[self._at : end]
                self._advance(min(end + 1, len(self._text)))
                if heredoc.strip_tabs:
                    line = line.lstrip("\t")
                if line.rstrip("\r") == heredoc.delimiter:
                    break
                body.append(line)
            heredoc.body = "\n".join(body)
        self._pending = []

    def _words(self) -> Iterator[Word]:
        """The word at hand: several where an unquoted variable holds several, none for a descriptor."""
        reading = _Reading(self._line, self._at)
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in _ENDS_WORD:
                break
            self._piece(character, reading)
        descriptor = reading.text().isdigit() and self._text[self._at : self._at + 1] in ("<", ">")
        if not (descriptor and not reading.quoted):
            yield from reading.words()

    def _piece(self, character: str, reading: _Reading) -> None:
        if character == "\\":
            if self._text[self._at + 1 : self._at + 2] != "\n":
                reading.add(self._text[self._at + 1 : self._at + 2])
            self._advance(min(self._at + 2, len(self._text)))
        elif character == "'":
            end = self._find("'", self._at + 1)
            reading.add(self._text[self._at + 1 : end], quoted=True)
            self._advance(min(end + 1, len(self._text)))
        elif character == '"':
            self._double_quoted(reading)
        elif character in "$`":
            self._dollar(reading, quoted=False)
        else:
            plain = _PLAIN.match(self._text, self._at)
            end = plain.end() if plain else self._at + 1
            reading.add(self._text[self._at : end])
            self._at = end

    def _double_quoted(self, reading: _Reading) -> None:
        self._at += 1
        reading.add("", quoted=True)
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == '"':
                self._at += 1
                return
            if character == "\\":
                following = self._text[self._at + 1 : self._at + 2]
                kept = "" if following == "\n" else following if following in '"\\$`' else "\\" + following
                reading.add(kept, quoted=True)
                self._advance(min(self._at + 2, len(self._text)))
            elif character in "$`":
                self._dollar(reading, quoted=True)
            else:
                end = min(self._find(stop, self._at) for stop in '"\\$`')
                reading.add(self._text[self._at : end], quoted=True)
                self._advance(end)

    def _find(self, what: str, start: int) -> int:
        found = self._text.find(what, start)
        return len(self._text) if found < 0 else found

    def _dollar(self, reading: _Reading, *, quoted: bool) -> None:
        """A GitHub expression, `$(…)`, a backtick, a variable, or just a dollar."""
        start = self._at
        if expression := _EXPRESSION.match(self._text, start):
            reading.add(expression[0], quoted=quoted)
            self._advance(expression.end())
        elif self._text.startswith("$(", start) or self._text[start] == "`":
            end = _closing(self._text, start)
            script = self._text[start + (2 if self._text[start] == "$" else 1) : end - 1]
            if not script.startswith("("):
                reading.substitutions.append(script)
            reading.add(self._text[start:end], quoted=quoted)
            self._advance(end)
        elif variable := _VARIABLE.match(self._text, start):
            value = self._variables.get(variable[1] or variable[2], variable[3])
            if value is None or len(value) > MAX_EXPANDED:
                reading.add(variable[0], quoted=quoted)
            else:
                reading.expand(value, quoted=quoted)
            self._advance(variable.end())
        else:
            reading.add("$", quoted=quoted)
            self._at += 1


def _closing(text: str, start: int) -> int:
    """Where a `$(…)` or a backtick that opens at `start` has been closed."""
    if text[start] == "`":
        end = text.find("`", start + 1)
        return len(text) if end < 0 else end + 1
    depth, quote, at = 0, "", start + 1
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(text)


def _parted(value: str) -> list[str]:
    """The value's words; a command whose output stands in it is in one of them, since it is never run."""
    parts, at = [""], 0
    for match in _BLANKS.finditer(value):
        parts[-1] += value[at : match.start()] + (match[1] or "")
        if match[1] is None:
            parts.append("")
        at = match.end()
    parts[-1] += value[at:]
    return parts


class _Reading:
    """The pieces of a word so far."""

    def __init__(self, line: int, place: int) -> None:
        self._line = line
        self._place = place
        self._done: list[str] = []
        self._pieces: list[str] = []
        self._length = 0
        self.quoted = False
        self.substitutions: list[str] = []

    def add(self, text: str, *, quoted: bool = False) -> None:
        self._pieces.append(text)
        self._length += len(text)
        self.quoted = self.quoted or quoted

    def expand(self, value: str, *, quoted: bool) -> None:
        """A variable's value: unquoted, blanks in it part words."""
        if self._length + len(value) > MAX_EXPANDED:
            return
        if quoted:
            self.add(value, quoted=True)
            return
        first, *others = _parted(value)
        self.add(first)
        for other in others:
            if text := self.text():
                self._done.append(text)
            self._pieces = [other]
            self._length += len(other)

    def text(self) -> str:
        return "".join(self._pieces)

    def words(self) -> Iterator[Word]:
        last = self.text()
        texts = [*self._done, last] if last or self.quoted else self._done
        for index, text in enumerate(texts):
            substitutions = tuple(self.substitutions) if index == 0 else ()
            yield Word(text, self._line, self.quoted, substitutions, self._place)
        if not texts and self.substitutions:
            yield Word("", self._line, self.quoted, tuple(self.substitutions), self._place)
