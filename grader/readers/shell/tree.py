"""A shell script as a tree: lists, pipes, conditions, loops and functions around its commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from grader.readers.shell.lexer import Operator, Word

MAX_NESTING = 40


class TooLong(Exception):  # noqa: N818  (not an error)
    """The script has more to walk through than is read."""


@dataclass(frozen=True, slots=True)
class Simple:
    """A command, or nothing but variables that are set."""

    place: int
    words: tuple[str, ...]
    sets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`, or one after `!`."""

    parts: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Commands joined by `&&` and `||`."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Commands one after the other."""

    items: tuple[tuple[Node, bool], ...]
    """With each, whether it runs in the background."""


@dataclass(frozen=True, slots=True)
class If:
    """`if`, `elif`, `else`."""

    branches: tuple[tuple[Block, Block], ...]
    otherwise: Block | None


@dataclass(frozen=True, slots=True)
class Loop:
    """`for` without a condition, `while` and `until` with one."""

    condition: Block | None
    until: bool
    body: Block


@dataclass(frozen=True, slots=True)
class Case:
    """`case`, with the patterns of each branch."""

    subject: str
    branches: tuple[tuple[tuple[str, ...], Block], ...]


@dataclass(frozen=True, slots=True)
class Subshell:
    """`( … )`."""

    body: Block


@dataclass(frozen=True, slots=True)
class Function:
    """A function that is defined."""

    name: str
    body: Node


Node = Simple | Pipeline | Chain | Block | If | Loop | Case | Subshell | Function

ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_CASE_ENDS = (";;", ";&", ";;&")
_CLOSERS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})


def parse(tokens: list[Word | Operator], known: set[int]) -> Block:
    """The tree of a script.

    Args:
        known: takes in the places of its commands.

    Raises:
        TooLong: it is nested more deeply than is read.
    """
    return _Parser(tokens, known).whole()


class _Parser:
    """A recursive descent that never complains: what it does not know is passed over."""

    def __init__(self, tokens: list[Word | Operator], known: set[int]) -> None:
        self._tokens = tokens
        self._known = known
        self._at = 0
        self._depth = 0

    def whole(self) -> Block:
        items: list[tuple[Node, bool]] = []
        while self._at < len(self._tokens):
            items += self._list(frozenset()).items
            self._at += 1  # a closer that closes nothing
        return Block(tuple(items))

    def _operator(self, *texts: str) -> bool:
        token = self._peek()
        if isinstance(token, Operator) and token.text in texts:
            self._at += 1
            return True
        return False

    def _keyword(self, *texts: str) -> bool:
        if self._is_keyword(texts):
            self._at += 1
            return True
        return False

    def _is_keyword(self, texts: Sequence[str] | frozenset[str]) -> bool:
        token = self._peek()
        return isinstance(token, Word) and not token.quoted and token.text in texts

    def _peek(self, ahead: int = 0) -> Word | Operator | None:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def _list(self, ends: frozenset[str]) -> Block:
        """Commands up to a keyword that ends them, which is left to the caller."""
        items: list[tuple[Node, bool]] = []
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise TooLong
        while True:
            while self._operator("\n", ";", "&"):
                pass
            token = self._peek()
            ended = token is None or self._is_keyword(ends or _CLOSERS)
            if ended or (isinstance(token, Operator) and token.text in (")", *_CASE_ENDS)):
                break
            before = self._at
            node = self._chain()
            items.append((node, self._operator("&")))
            if self._at == before:
                self._at += 1
        self._depth -= 1
        return Block(tuple(items))

    def _chain(self) -> Node:
        first = self._pipeline()
        rest: list[tuple[str, Node]] = []
        while isinstance(token := self._peek(), Operator) and token.text in ("&&", "||"):
            self._at += 1
            self._lines()
            rest.append((token.text, self._pipeline()))
        return Chain(first, tuple(rest)) if rest else first

    def _lines(self) -> None:
        while self._operator("\n"):
            pass

    def _pipeline(self) -> Node:
        negated = False
        while self._is_keyword(("!", "time")):
            negated ^= self._keyword("!") or not self._keyword("time")
        parts = [self._command()]
        while self._operator("|", "|&"):
            self._lines()
            parts.append(self._command())
        return Pipeline(tuple(parts), negated) if negated or len(parts) > 1 else parts[0]

    def _command(self) -> Node:
        if self._keyword("if"):
            return self._if()
        if self._keyword("while"):
            return self._while(until=False)
        if self._keyword("until"):
            return self._while(until=True)
        if self._keyword("for", "select"):
            while self._peek() is not None and not self._is_keyword(("do", "done")):
                self._at += 1
            return Loop(None, False, self._do())
        if self._keyword("case"):
            return self._case()
        if self._keyword("{"):
            body = self._list(frozenset({"}"}))
            self._keyword("}")
            return body
        if self._keyword("function"):
            name = self._peek()
            self._at += 1
            if self._operator("("):
                self._operator(")")
            self._lines()
            return Function(name.text if isinstance(name, Word) else "", self._command())
        if isinstance(token := self._peek(), Operator) and token.text == "(":
            return self._parenthesis()
        return self._simple()

    def _parenthesis(self) -> Node:
        self._at += 1
        if isinstance(token := self._peek(), Operator) and token.text == "(":
            # `(( … ))` is arithmetic, true or false.
            self._skip_parenthesis()
            self._operator(")")
            return Simple(-1, ("((",), ())
        body = self._list(frozenset())
        while (token := self._peek()) is not None and not self._operator(")"):
            self._at += 1
            if isinstance(token, Operator) and token.text == "\n":
                break
        return Subshell(body)

    def _skip_parenthesis(self) -> None:
        depth = 0
        while (token := self._peek()) is not None:
            self._at += 1
            if isinstance(token, Operator):
                depth += {"(": 1, ")": -1}.get(token.text, 0)
                if depth == 0:
                    return

    def _if(self) -> Node:
        branches: list[tuple[Block, Block]] = []
        otherwise: Block | None = None
        while True:
            condition = self._list(frozenset({"then"}))
            self._keyword("then")
            branches.append((condition, self._list(frozenset({"elif", "else", "fi"}))))
            if not self._keyword("elif"):
                break
        if self._keyword("else"):
            otherwise = self._list(frozenset({"fi"}))
        self._keyword("fi")
        return If(tuple(branches), otherwise)

    def _while(self, *, until: bool) -> Node:
        condition = self._list(frozenset({"do"}))
        return Loop(condition, until, self._do())

    def _do(self) -> Block:
        self._keyword("do")
        body = self._list(frozenset({"done"}))
        self._keyword("done")
        return body

    def _case(self) -> Node:
        subject = self._peek()
        self._at += 1
        self._lines()
        self._keyword("in")
        branches: list[tuple[tuple[str, ...], Block]] = []
        while True:
            while self._operator("\n", ";", *_CASE_ENDS):
                pass
            if self._peek() is None or self._keyword("esac"):
                break
            self._operator("(")
            patterns: list[str] = []
            while (token := self._peek()) is not None and not self._operator(")", "\n"):
                self._at += 1
                if isinstance(token, Word):
                    patterns.append(token.text)
            branches.append((tuple(patterns), self._list(frozenset({"esac"}))))
            if isinstance(token := self._peek(), Operator) and token.text == ")":
                self._at += 1
        return Case(subject.text if isinstance(subject, Word) else "", tuple(branches))

    def _simple(self) -> Node:
        words: list[Word] = []
        while (token := self._peek()) is not None:
            if isinstance(token, Word):
                words.append(token)
                self._at += 1
            elif token.text == "(":
                following = self._peek(1)
                if len(words) == 1 and isinstance(following, Operator) and following.text == ")":
                    self._at += 2
                    self._lines()
                    return Function(words[0].text, self._command())
                self._skip_parenthesis()  # an array, or what `<(…)` runs
            else:
                break
        sets: list[tuple[str, str]] = []
        texts = [word.text for word in words]
        while texts and ASSIGNMENT.match(texts[0]):
            name, _, value = texts.pop(0).partition("=")
            sets.append((name, value))
        place = words[0].place if words else -1
        self._known.add(place)
        return Simple(place, tuple(texts), tuple(sets))
