"""Shell scripts as lists of commands: `run:` blocks, RUN instructions, Makefile recipes.

A reader, not a shell: it knows quoting, operators, redirections, heredocs, groups and plain variables,
and takes branches and loops for what stands in them. It never raises, whatever the text.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from grader.readers.shell.failure import STOPS_AT_FAILURE, Manner, Script, Spot, Trace, stops
from grader.readers.shell.lexer import Heredoc, Lexer, Operator, Word
from grader.readers.shell.wrappers import is_assignment, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_CHARACTERS = 100_000
"""The longest script that is read to its end."""
MAX_NESTING = 6
"""How deep `sh -c` and `$(…)` are followed."""

_OPENERS = frozenset({"if", "then", "else", "elif", "while", "until", "do", "!", "time"})
_CLOSERS = frozenset({"fi", "done", "esac"})
_HEADERS = frozenset({"for", "case", "select", "function"})
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
_SCRIPT_OPTIONS = {
    "nix-shell": ("--run", "--command"),
    "su": ("-c", "--command"),
    "runuser": ("-c", "--command"),
    "script": ("-c", "--command"),
}
"""Other programs that run a shell script which an option gives."""
_EXPORTS = frozenset({"export", "declare", "readonly", "local", "typeset"})


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command of a script."""

    words: tuple[str, ...]
    """As written, quotes and redirections taken off, environment prefixes left out."""
    program: str
    """What runs in the end: without path, `sudo`, `poetry run`, `python -m`…; `python3.11` is `python`."""
    arguments: tuple[str, ...]
    """The program's own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables set in front of it or exported above it."""
    line: int = 1
    """Counted from the script's first, which is 1."""
    stdin: str = ""
    """The body of its heredoc."""
    piped: bool = False
    """Its output goes on to another command."""
    module: bool = False
    """The program is a Python module, run by `python -m`."""
    trace: Trace = field(default=(), compare=False, repr=False)
    """Where it stands, in the scripts that lead to it."""

    @property
    def failure_ignored(self) -> bool:
        """Whether the script that it is part of ends well although it fails."""
        return not stops(self.trace)

    @property
    def own_words(self) -> tuple[str, ...]:
        """Its arguments up to `--`: what follows are no options and no subcommands."""
        words = self.arguments
        return words[: words.index("--")] if "--" in words else words

    def values(self, *names: str) -> tuple[str, ...]:
        """The values of these options: `--name value`, `--name=value`, `-n value`, `-nvalue`, `-xn value`."""
        found: list[str] = []
        words = self.own_words
        for word, following in zip(words, (*words[1:], None), strict=False):
            for name in names:
                if (value := _value(word, name)) is not None or (_ends_with(word, name) and following):
                    found.append(following or "" if value is None else value)
                    break
        return tuple(found)

    def option(self, *names: str) -> str | None:
        """The value of the last of these options."""
        return next(reversed(self.values(*names)), None)

    def flag(self, *names: str) -> str:
        """The word that sets one of these flags (`--push`, `--push=true`), empty where none is set.

        `--push=false` turns a flag off, as does `--no-push` after it.
        """
        return next((word for name in names if (word := self._flag(name))), "")

    def _flag(self, name: str) -> str:
        negated = "--no-" + name.removeprefix("--")
        given = ""
        for word in self.own_words:
            written, _, value = word.partition("=")
            off = value.lower() in _OFF
            if word == name or (written == name and not off):
                given = word
            elif written == name or (written == negated and not off):
                given = ""
        return given

    def has(self, *flags: str) -> bool:
        """Whether one of these flags is given, and not turned off."""
        return bool(self.flag(*flags))

    def is_given(self, option: str) -> bool:
        """Whether an option is given, with a value or without, and not turned off."""
        return self.has(option) or any(
            _ends_with(word, option) or _value(word, option) for word in self.own_words if word[1:2] != "-"
        )


_OFF = ("false", "f", "0", "no", "off", "none")
"""Values that turn a flag off: `--push=false`, `--dry-run=none`."""


def _value(word: str, name: str) -> str | None:
    """The value of an option in the same word, None without one: `--name=value`, `-nvalue`, `-n=value`."""
    written, equals, value = word.partition("=")
    if equals and written == name:
        return value
    if len(name) == 2 and len(word) > 2 and word[1] != "-" and word.startswith(name):
        return word[2:]
    return None


def _ends_with(word: str, name: str) -> bool:
    """Whether a word is an option, or short ones of which it is the last, as `-Rf` ends with `-f`."""
    if word == name:
        return True
    cluster = len(name) == 2 and word[:1] == "-" and word[1:].isalpha()
    return cluster and word[1:2] != "-" and word.endswith(name[1])


def commands(
    script: str, environment: Mapping[str, str] | None = None, manner: Manner = STOPS_AT_FAILURE
) -> tuple[Command, ...]:
    """Every simple command of a script, in order, those in `sh -c` and `$(…)` before the one around them.

    Args:
        environment: values of variables that are known beforehand; unknown ones stay as `$NAME`.
        manner: how the script is run.
    """
    return _read(script, dict(environment or {}), manner, 0)


def _read(script: str, variables: dict[str, str], manner: Manner, depth: int) -> tuple[Command, ...]:
    text = script[:MAX_CHARACTERS]
    parser = _Parser(Script(text, manner), variables, depth)
    for token in Lexer(text, variables):
        parser.take(token)
    return parser.finish()


@dataclass(slots=True)
class _Draft:
    words: list[str]
    line: int
    environment: dict[str, str]
    heredocs: list[Heredoc]
    place: int
    inner: tuple[Command, ...] = ()
    piped: bool = False


class _Parser:
    def __init__(self, script: Script, variables: dict[str, str], depth: int) -> None:
        self._script = script
        self._variables = variables
        self._exported: dict[str, str] = {}
        self._depth = depth
        self._drafts: list[_Draft] = []
        self._words: list[Word] = []
        self._heredocs: list[Heredoc] = []

    def take(self, token: Word | Operator | Heredoc) -> None:
        """One more token."""
        match token:
            case Word():
                self._word(token)
            case Heredoc():
                self._heredocs.append(token)
            case Operator(text="("):
                self._words.clear()  # `name (` defines a function
            case Operator():
                self._end_command()
                if token.text in ("|", "|&") and self._drafts:
                    self._drafts[-1].piped = True

    def finish(self) -> tuple[Command, ...]:
        """What was read."""
        self._end_command()
        found: list[Command] = []
        for draft in self._drafts:
            found += draft.inner
            if draft.words:
                found += self._finished(draft)
        return tuple(found)

    def _word(self, word: Word) -> None:
        if not self._words and not word.quoted:
            if word.text in ("{", "}"):
                self._end_command()
                return
            if word.text in _OPENERS or word.text in _CLOSERS:
                return
        self._words.append(word)

    def _end_command(self) -> None:
        words, heredocs = self._words, self._heredocs
        self._words, self._heredocs = [], []
        environment: dict[str, str] = {}
        rest = list(words)
        while rest and is_assignment(rest[0].text):
            name, _, value = rest.pop(0).text.partition("=")
            environment[name] = value
        place = words[0].place if words else 0
        inner = tuple(command for word in words for command in self._substituted(word, place))
        if not rest:
            self._variables |= environment
            environment = {}
        elif not rest[0].quoted and rest[0].text in _HEADERS:
            rest = []
        elif rest[0].text in _EXPORTS:
            self._export(rest[1:])
        if rest or inner:
            line = words[0].line
            texts = [word.text for word in rest]
            self._drafts.append(_Draft(texts, line, self._exported | environment, heredocs, place, inner))

    def _export(self, words: list[Word]) -> None:
        for word in words:
            name, equals, value = word.text.partition("=")
            if equals:
                self._variables[name] = value
            if name in self._variables:
                self._exported[name] = self._variables[name]

    def _substituted(self, word: Word, place: int) -> Iterator[Command]:
        if self._depth >= MAX_NESTING:
            return
        # A shell that reads a `$(…)` forgets about `set -e`.
        manner = Manner(errexit=False, pipefail=self._script.manner.pipefail)
        for script in word.substitutions:
            for command in _read(script, dict(self._variables), manner, self._depth + 1):
                around = Spot(self._script, place, substituted=True)
                yield replace(_moved(command, word.line), trace=(around, *command.trace))

    def _finished(self, draft: _Draft) -> tuple[Command, ...]:
        found = unwrap(draft.words)
        stdin = "\n".join(heredoc.body for heredoc in draft.heredocs)
        command = Command(
            words=tuple(draft.words),
            program=found.program,
            arguments=found.arguments,
            environment=draft.environment | found.environment,
            line=draft.line,
            stdin=stdin,
            piped=draft.piped,
            module=found.module,
            trace=(Spot(self._script, draft.place),),
        )
        return (*self._scripted(command), command)

    def _scripted(self, command: Command) -> tuple[Command, ...]:
        """The commands of `sh -c '…'`, `eval '…'`, `bash <<EOF`."""
        script = _script_of(command)
        if not script or self._depth >= MAX_NESTING:
            return ()
        if command.program == "eval":
            manner = self._script.manner
        else:
            manner = shell_manner(command.arguments if command.program in SHELLS else ())
        inner = _read(script, self._variables | dict(command.environment), manner, self._depth + 1)
        return tuple(
            replace(
                _moved(each, command.line),
                environment=dict(command.environment) | dict(each.environment),
                trace=(*command.trace, *each.trace),
            )
            for each in inner
        )


def _moved(command: Command, line: int) -> Command:
    return replace(command, line=command.line + line - 1)


def _script_of(command: Command) -> str:
    if command.program == "eval":
        return " ".join(command.arguments)
    if command.program in _SCRIPT_OPTIONS:
        return command.option(*_SCRIPT_OPTIONS[command.program]) or ""
    if command.program not in SHELLS:
        return ""
    words = list(command.arguments)
    while words and words[0].startswith(("-", "+")):
        option = words.pop(0)
        if "c" in option.lstrip("-+") and not option.startswith("--"):
            return next((word for word in words if not word.startswith("-")), "")
        if option.endswith(("o", "-rcfile", "-init-file")) and words:
            words.pop(0)
    return "" if words else command.stdin


def shell_manner(words: Sequence[str]) -> Manner:
    """How a shell runs a script, by the options that it is given: `bash -e`, `sh -euc`, `-o pipefail`."""
    flags = [word[1:] for word in words if re.fullmatch(r"-[a-z]+", word)]
    options = [after for word, after in itertools.pairwise(words) if re.fullmatch(r"-[a-z]*o", word)]
    errexit = any("e" in each for each in flags) or "errexit" in options
    return Manner(errexit=errexit, pipefail="pipefail" in options)


def script_file(command: Command) -> str:
    """The shell script that a command runs: `bash scripts/test.sh`, `source env.sh`, `./scripts/test.sh`."""
    if command.program in ("source", "."):
        return next(iter(command.arguments), "")
    if command.program not in SHELLS:
        paths = [word for word in command.words if word.endswith("/" + command.program)]
        return paths[0] if paths and not paths[0].startswith("/") else ""
    words = list(command.arguments)
    while words and words[0].startswith(("-", "+")):
        option = words.pop(0)
        if "c" in option.lstrip("-+") and not option.startswith("--"):
            return ""
        if option.endswith("o") and words:
            words.pop(0)
    return words[0] if words else ""
