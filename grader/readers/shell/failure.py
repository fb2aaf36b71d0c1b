"""What a shell script comes to when one of its commands fails: does it go on, and does it end well.

The script is walked through once for each command that is asked about, with that command failing and the
others doing well; a condition that only a run can tell may go either way. `set -e` and `set +e`, `if`, `&&`,
`||`, `!`, pipes, groups, functions and `$?` in variables count as they do in a shell.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from grader.readers.shell.lexer import Lexer, Operator, Word
from grader.readers.shell.tree import (
    ASSIGNMENT,
    MAX_NESTING,
    Block,
    Case,
    Chain,
    Function,
    If,
    Loop,
    Node,
    Pipeline,
    Simple,
    Subshell,
    TooLong,
    parse,
)

MAX_CHARACTERS = 100_000
MAX_TOKENS = 20_000
MAX_STEPS = 4_000
"""Commands that are walked through for one question; beyond, the script is taken to stop at a failure."""
MAX_STATES = 32
MAX_ROUNDS = 2
"""How often the body of a loop is walked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a script is run."""

    errexit: bool = True
    """It stops at the first command that fails, as `bash -e` does."""
    pipefail: bool = True
    """A pipe fails with each of its commands."""
    by_line: bool = False
    """Each line is a script of its own, and the first that fails is the last: a Makefile's recipe."""
    checked: bool = True
    """Whoever runs it looks at how it ended."""


STOPS_AT_FAILURE: Final = Manner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What the failure of one command does to its script."""

    fails: bool
    """The script ends with a failure."""
    reached: frozenset[int]
    """The places of the commands that run all the same."""
    known: frozenset[int] = frozenset()
    """The places of all commands of the script."""

    def runs(self, place: int) -> bool:
        """Whether the command at a place runs."""
        return place in self.reached or (place not in self.known and not self.fails)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a script may end where programs that ask something may answer either way."""

    may_fail: bool
    always_fails: bool


@dataclass(frozen=True, eq=False)
class Script:
    """A script that is run once, somewhere."""

    text: str
    manner: Manner = STOPS_AT_FAILURE
    _effects: dict[tuple[int, bool], Effect] = field(default_factory=dict, init=False, repr=False)

    def effect(self, place: int, *, substituted: bool = False) -> Effect:
        """What it comes to when the command at a place fails.

        Args:
            place: where the command's first word begins in the text.
            substituted: what failed is a `$(…)` among its words.
        """
        key = (place, substituted)
        if key not in self._effects:
            self._effects[key] = _effect(self, place, substituted=substituted)
        return self._effects[key]

    @cached_property
    def outcome(self) -> Outcome:
        """How it may end by itself."""
        try:
            walk = _Walk(self.manner, -1, substituted=False, fickle=True)
            ends = walk.run([parse(tokens, set()) for tokens in _units(self)])
        except (TooLong, RecursionError):
            return Outcome(may_fail=False, always_fails=False)
        failures = [bool(state.status) for state in ends]
        return Outcome(may_fail=any(failures), always_fails=bool(failures) and all(failures))


@dataclass(frozen=True, slots=True)
class Spot:
    """A command in a script."""

    script: Script
    place: int
    substituted: bool = False
    """The command next to it in a trace is a `$(…)` among its words."""

    @property
    def effect(self) -> Effect:
        """What its failure does to its script."""
        return self.script.effect(self.place, substituted=self.substituted)


Trace = tuple[Spot, ...]
"""Where a command stands: in the outermost script the command that leads to it, and so on inwards."""


def stops(trace: Trace) -> bool:
    """Whether the failure of the innermost command fails the outermost script."""
    return all(spot.effect.fails for spot in reversed(trace))


def runs_after_failure(later: Trace, failed: Trace) -> bool:
    """Whether one command of a script runs although another failed."""
    for level in reversed(range(len(failed))):
        spot = failed[level]
        same = later[:level] == failed[:level] and len(later) > level and later[level].script is spot.script
        if same and later[level].place != spot.place:
            return spot.effect.runs(later[level].place)
        if not spot.effect.fails:
            return True
    return True


def _effect(script: Script, place: int, *, substituted: bool) -> Effect:
    walk = _Walk(script.manner, place, substituted=substituted)
    known: set[int] = set()
    try:
        ends = walk.run([parse(tokens, known) for tokens in _units(script)])
    except (TooLong, RecursionError):
        ends = []
    before = frozenset(each for each in known if each < place)
    hit = [state for state in ends if state.hit]
    if not hit:
        return Effect(fails=script.manner.checked, reached=before, known=frozenset(known))
    fails = script.manner.checked and any(state.status for state in hit)
    return Effect(fails=fails, reached=frozenset(walk.reached) | {place}, known=frozenset(known))


def _units(script: Script) -> Iterator[list[Word | Operator]]:
    """The tokens of what is run one after the other: the script, or its lines."""
    tokens = [each for each in Lexer(script.text[:MAX_CHARACTERS], {}) if isinstance(each, Word | Operator)]
    if len(tokens) > MAX_TOKENS:
        raise TooLong
    if not script.manner.by_line:
        yield tokens
        return
    line: list[Word | Operator] = []
    for token in tokens:
        if isinstance(token, Operator) and token.text == "\n":
            yield line
            line = []
        else:
            line.append(token)
    yield line


_PLAIN, _GUARDED, _TESTED = range(3)
"""How a command's failure is met: `set -e` counts; it does not; and what cannot be told may go either way."""


@dataclass(frozen=True, slots=True)
class _State:
    status: int = 0
    errexit: bool = True
    pipefail: bool = True
    hit: bool = False
    """The command that fails has been reached."""
    leaving: str = ""
    """`exit`, `return`, `break` or `continue`."""
    values: tuple[tuple[str, str], ...] = ()
    """What is known of variables."""

    def value(self, name: str) -> str | None:
        return dict(self.values).get(name)

    def ended(self, status: int) -> _State:
        return replace(self, status=status)

    def given(self, name: str, value: str | None) -> _State:
        values = {known: each for known, each in self.values if known != name}
        if value is not None and len(value) < 100 and len(values) < 50:
            values[name] = value
        return replace(self, values=tuple(sorted(values.items())))


class _Walk:
    def __init__(self, manner: Manner, failing: int, *, substituted: bool, fickle: bool = False) -> None:
        self._manner = manner
        self._fickle = fickle
        self._failing = failing
        self._substituted = substituted
        self._steps = 0
        self._depth = 0
        self._functions: dict[str, Node] = {}
        self.reached: set[int] = set()

    def run(self, units: Sequence[Block]) -> list[_State]:
        """How it may end."""
        if not self._manner.by_line:
            states = [_State(errexit=self._manner.errexit, pipefail=self._manner.pipefail)]
            for unit in units:
                states = self._node(unit, states, _PLAIN)
            return states
        states = [_State(errexit=False, pipefail=self._manner.pipefail)]
        for unit in units:
            fresh = [replace(each, errexit=False, values=()) if not each.leaving else each for each in states]
            states = [
                replace(each, leaving="exit" if each.status else "")
                for each in self._node(unit, fresh, _PLAIN)
            ]
        return states

    def _node(self, node: Node, states: Sequence[_State], mode: int) -> list[_State]:
        """The states after a node; those that are leaving already pass it by."""
        going = [each for each in states if not each.leaving]
        left = [each for each in states if each.leaving]
        if going:
            self._depth += 1
            if self._depth > 4 * MAX_NESTING:
                raise TooLong
            left += self._enter(node, going, mode)
            self._depth -= 1
        return list(dict.fromkeys(left))[:MAX_STATES]

    def _enter(self, node: Node, states: list[_State], mode: int) -> list[_State]:
        inner = min(mode, _GUARDED)
        match node:
            case Simple():
                return [end for each in states for end in self._simple(node, each, mode)]
            case Pipeline(parts=(only,), negated=True):
                ended = self._node(only, states, max(mode, _TESTED))
                return [each if each.leaving else each.ended(int(not each.status)) for each in ended]
            case Pipeline():
                return [end for each in states for end in self._pipeline(node, each, mode)]
            case Chain():
                return self._chain(node, states, mode)
            case Block():
                for item, background in node.items:
                    states = (
                        self._background(item, states)
                        if background
                        else self._node(item, states, inner)
                        if mode != _TESTED
                        else self._node(item, states, _TESTED)
                    )
                return states
            case If():
                return self._if(node, states, inner)
            case Loop():
                return self._loop(node, states, inner)
            case Case():
                return self._case(node, states, inner)
            case Subshell():
                return [
                    self._out(each, end, mode)
                    for each in states
                    for end in self._node(node.body, [each], inner)
                ]
            case Function():
                self._functions[node.name] = node.body
                return [each.ended(0) for each in states]

    def _out(self, outer: _State, end: _State, mode: int) -> _State:
        """What is left of a subshell: its status."""
        return self._judged(replace(outer, status=end.status, hit=end.hit), mode)

    def _judged(self, state: _State, mode: int) -> _State:
        """With `set -e`, a failure that nobody looks at ends the script."""
        return replace(state, leaving="exit") if state.status and state.errexit and mode == _PLAIN else state

    def _background(self, node: Node, states: Sequence[_State]) -> list[_State]:
        ended = self._node(node, states, _GUARDED)
        return [replace(each, status=0, leaving="").given("!", str(each.status)) for each in ended]

    def _pipeline(self, node: Pipeline, state: _State, mode: int) -> list[_State]:
        ends: list[tuple[_State, tuple[int, ...]]] = [(state, ())]
        for index, part in enumerate(node.parts):
            last = index == len(node.parts) - 1
            inner = _TESTED if last and (mode == _TESTED or node.negated) else _GUARDED
            ends = [
                (replace(each, status=end.status, hit=end.hit), (*statuses, end.status))
                for each, statuses in ends
                for end in self._node(part, [each], inner)
            ][:MAX_STATES]
        found: list[_State] = []
        for each, statuses in ends:
            status = max(statuses) if each.pipefail else statuses[-1]
            for index, one in enumerate(statuses):
                each = each.given(f"PIPESTATUS[{index}]", str(one))  # noqa: PLW2901
            ended = each.ended(int(not status) if node.negated else status)
            found.append(ended if node.negated else self._judged(ended, mode))
        return found

    def _chain(self, node: Chain, states: list[_State], mode: int) -> list[_State]:
        states = self._node(node.first, states, _TESTED)
        for index, (sign, part) in enumerate(node.rest):
            last = index == len(node.rest) - 1
            wanted = [each for each in states if not each.leaving and (each.status == 0) is (sign == "&&")]
            others = [each for each in states if each not in wanted]
            states = others + self._node(part, wanted, mode if last else _TESTED)
        return states

    def _if(self, node: If, states: list[_State], mode: int) -> list[_State]:
        done: list[_State] = []
        for condition, body in node.branches:
            tried = self._node(condition, states, _TESTED)
            done += [each for each in tried if each.leaving]
            going = [each for each in tried if not each.leaving]
            done += self._node(body, [each for each in going if not each.status], mode)
            states = [each for each in going if each.status]
        if node.otherwise is not None:
            return done + self._node(node.otherwise, states, mode)
        return done + [each.ended(0) for each in states]

    def _loop(self, node: Loop, states: list[_State], mode: int) -> list[_State]:
        done: list[_State] = []
        for _ in range(MAX_ROUNDS):
            if node.condition is not None:
                tried = self._node(node.condition, states, _TESTED)
                over = [each for each in tried if not each.leaving and bool(each.status) is not node.until]
                done += [each.ended(0) for each in over] + [each for each in tried if each.leaving]
                states = [each for each in tried if not each.leaving and each not in over]
            ended = self._node(node.body, states, mode)
            done += [replace(each, leaving="") for each in ended if each.leaving == "break"]
            done += [each for each in ended if each.leaving in ("exit", "return")]
            states = [replace(each, leaving="") for each in ended if each.leaving in ("", "continue")]
        if node.condition is None:
            return done + states
        # A loop that nothing ended is ended by the clock.
        return done or [replace(each, status=1, leaving="exit") for each in states]

    def _case(self, node: Case, states: list[_State], mode: int) -> list[_State]:
        done: list[_State] = []
        for each in states:
            subject = _expand(node.subject, each)
            chosen = [
                body
                for patterns, body in node.branches
                if subject is None or any(fnmatch.fnmatchcase(subject, pattern) for pattern in patterns)
            ]
            for body in chosen if subject is None else chosen[:1]:
                done += self._node(body, [each], mode)
            if not chosen:
                done.append(each.ended(0))
        return done

    def _simple(self, node: Simple, state: _State, mode: int) -> list[_State]:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooLong
        failing = node.place == self._failing and node.place >= 0
        if state.hit or node.place < self._failing:
            self.reached.add(node.place)
        if failing:
            state = replace(state, hit=True)
        # The status of a `$(…)` counts only where nothing but variables are set.
        failed = failing and not (self._substituted and node.words)
        if not node.words:
            for name, value in node.sets:
                state = state.given(name.rstrip("+"), None if name.endswith("+") else _expand(value, state))
            return [self._judged(state.ended(int(failed)), mode)]
        if failed:
            leaving = node.words[0] if node.words[0] in ("exit", "return") else ""
            ends = [replace(state, status=1, leaving=leaving)]
        else:
            ends = self._builtin(node, state, mode)
        if node.words[0] == "exec" and len(node.words) > 1:
            return [replace(each, leaving="exit") for each in ends]
        return [each if each.leaving else self._judged(each, mode) for each in ends]

    def _builtin(self, node: Simple, state: _State, mode: int) -> list[_State]:
        written, *arguments = node.words
        name = _expand(written, state) or written
        if name in ("command", "builtin") and arguments and not arguments[0].startswith("-"):
            name, *arguments = arguments
        either = [state.ended(0), state.ended(1)]
        mode = _TESTED if self._fickle and _asks(name, arguments) else mode
        match name:
            case "exit" | "return":
                status = _expand(arguments[0], state) if arguments else str(state.status)
                if status is None or not status.isdigit():
                    return [replace(each, leaving=name) for each in either]
                return [replace(state, status=int(int(status) != 0), leaving=name)]
            case "break" | "continue":
                return [replace(state, status=0, leaving=name)]
            case "true" | ":" | "echo" | "printf":
                return [state.ended(0)]
            case "false":
                return [state.ended(1)]
            case "set":
                return [_set(state, arguments)]
            case "wait" if arguments:
                return [state.ended(int(state.value("!") or 0))]
            case "export" | "declare" | "local" | "readonly" | "typeset":
                return [_export(state, arguments)]
            case "test" | "[" | "[[" | "((" if (truth := _truth(arguments, state)) is not None:
                return [state.ended(int(not truth))]
        if name in self._functions:
            ended = self._node(self._functions[name], [state], mode)
            return [replace(each, leaving="") if each.leaving == "return" else each for each in ended]
        return either if mode == _TESTED else [state.ended(0)]


_ASKING = frozenset({"grep", "egrep", "fgrep", "rg", "test", "[", "[[", "((", "diff", "cmp"})


def _asks(name: str, arguments: Sequence[str]) -> bool:
    """Whether a program's status is an answer: `grep -q HIGH`, `jq -e '.count == 0'`."""
    if name in ("jq", "yq"):
        return any(
            word == "--exit-status" or re.fullmatch(r"-[a-zA-Z]*e[a-zA-Z]*", word) for word in arguments
        )
    return name in _ASKING


def _export(state: _State, arguments: Sequence[str]) -> _State:
    for word in arguments:
        if ASSIGNMENT.match(word):
            variable, _, value = word.partition("=")
            state = state.given(variable, _expand(value, state))
    return state.ended(0)


def _set(state: _State, arguments: Sequence[str]) -> _State:
    words = iter(arguments)
    for word in words:
        on = word.startswith("-")
        if not on and not word.startswith("+"):
            break
        if "e" in word[1:]:
            state = replace(state, errexit=on)
        if word.endswith("o"):
            match next(words, ""):
                case "errexit":
                    state = replace(state, errexit=on)
                case "pipefail":
                    state = replace(state, pipefail=on)
    return state.ended(0)


_VARIABLE = re.compile(r"\$(?:(\w+|\?|!)|\{(\w+|\?|PIPESTATUS\[\d+\])\})")


def _expand(text: str, state: _State) -> str | None:
    """A word with its variables filled in; None where only a run can tell."""
    known = True

    def filled(found: re.Match[str]) -> str:
        nonlocal known
        name = found[1] or found[2]
        value = str(state.status) if name == "?" else state.value(name)
        known = known and value is not None
        return value or ""

    expanded = _VARIABLE.sub(filled, text)
    return expanded if known and "$" not in expanded and "`" not in expanded else None


_INTEGERS: Mapping[str, Callable[[int, int], bool]] = {
    "-eq": operator.eq,
    "-ne": operator.ne,
    "-gt": operator.gt,
    "-ge": operator.ge,
    "-lt": operator.lt,
    "-le": operator.le,
}


def _truth(words: Sequence[str], state: _State) -> bool | None:
    """What `[ … ]` comes to, None where only a run can tell."""
    operands = [word for word in words if word not in ("]", "]]")]
    negated = operands[:1] == ["!"]
    values = [_expand(word, state) for word in operands[int(negated) :]]
    truth: bool | None = None
    match values:
        case [str(left), str(sign), str(right)] if sign in _INTEGERS:
            if left.lstrip("-").isdecimal() and right.lstrip("-").isdecimal():
                truth = _INTEGERS[sign](int(left), int(right))
        case [str(left), "=" | "==", str(right)]:
            truth = left == right
        case [str(left), "!=", str(right)]:
            truth = left != right
        case ["-n", str(text)]:
            truth = bool(text)
        case ["-z", str(text)]:
            truth = not text
    return truth if truth is None else truth is not negated
