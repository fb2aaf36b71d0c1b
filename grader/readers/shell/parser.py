"""Shell scripts as lists of commands: `run:` blocks, RUN instructions, Makefile recipes.

A reader, not a shell: it knows quoting, operators, redirections, heredocs, groups and plain variables,
and takes branches and loops for what stands in them. It never raises, whatever the text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from grader.readers.shell.lexer import Heredoc, Lexer, Operator, Word
from grader.readers.shell.wrappers import is_assignment, unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHARACTERS = 100_000
"""The longest script that is read to its end."""
MAX_NESTING = 6
"""How deep `sh -c` and `$(…)` are followed."""

_OPENERS = frozenset({"if", "then", "else", "elif", "while", "until", "do", "!", "time"})
_CLOSERS = frozenset({"fi", "done", "esac"})
_HEADERS = frozenset({"for", "case", "select", "function"})
SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
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
    forgiven: bool = False
    """Its failure is undone, by `|| true` or by `&`."""
    piped: bool = False
    """Its output goes on to another command, so without `pipefail` its status is lost."""
    stdin: str = ""
    """The body of its heredoc."""
    module: bool = False
    """The program is a Python module, run by `python -m`."""

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


def commands(script: str, environment: Mapping[str, str] | None = None) -> tuple[Command, ...]:
    """Every simple command of a script, in order, those in `sh -c` and `$(…)` before the one around them.

    Args:
        environment: values of variables that are known beforehand; unknown ones stay as `$NAME`.
    """
    return _read(script, dict(environment or {}), 0)


def _read(script: str, variables: dict[str, str], depth: int) -> tuple[Command, ...]:
    parser = _Parser(variables, depth)
    for token in Lexer(script[:MAX_CHARACTERS], variables):
        parser.take(token)
    return parser.finish()


@dataclass(slots=True)
class _Draft:
    words: list[str]
    line: int
    environment: dict[str, str]
    heredocs: list[Heredoc]
    inner: tuple[Command, ...] = ()
    forgiven: bool = False
    piped: bool = False


@dataclass(slots=True)
class _Chain:
    """Pipelines joined by `&&` and `||`, as ranges of drafts."""

    start: int
    ranges: list[tuple[int, int]] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)


class _Parser:
    def __init__(self, variables: dict[str, str], depth: int) -> None:
        self._variables = variables
        self._exported: dict[str, str] = {}
        self._depth = depth
        self._drafts: list[_Draft] = []
        self._chains = [_Chain(0)]
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
                self._group()
            case Operator(text=")"):
                self._close()
            case Operator(text="&&" | "||"):
                self._end_pipeline(token.text)
            case Operator():
                self._separator(token.text)

    def finish(self) -> tuple[Command, ...]:
        """What was read."""
        while len(self._chains) > 1:
            self._close()
        self._end_chain()
        found: list[Command] = []
        for draft in self._drafts:
            found += draft.inner
            if draft.words:
                found += self._finished(draft)
        return tuple(found)

    def _word(self, word: Word) -> None:
        if not self._words and not word.quoted:
            if word.text == "{":
                self._group()
                return
            if word.text == "}":
                self._close()
                return
            if word.text in _OPENERS or word.text in _CLOSERS:
                return
        self._words.append(word)

    def _separator(self, operator: str) -> None:
        chain = self._chains[-1]
        if operator == "\n" and not self._words and chain.operators and len(self._drafts) == chain.start:
            return  # a newline after `&&` goes on
        if operator in ("|", "|&", "&"):
            self._end_command()
            for index in range(len(self._drafts) - 1, chain.start - 1, -1):
                draft = self._drafts[index]
                if draft.piped:
                    break  # those before are marked already
                draft.piped = operator != "&"
                draft.forgiven = draft.forgiven or operator == "&"
        if operator not in ("|", "|&"):
            self._end_chain()

    def _group(self) -> None:
        self._words.clear()  # `name (` defines a function
        self._chains.append(_Chain(len(self._drafts)))

    def _close(self) -> None:
        self._end_chain()
        if len(self._chains) > 1:
            self._chains.pop()

    def _end_command(self) -> None:
        words, heredocs = self._words, self._heredocs
        self._words, self._heredocs = [], []
        environment: dict[str, str] = {}
        rest = list(words)
        while rest and is_assignment(rest[0].text):
            name, _, value = rest.pop(0).text.partition("=")
            environment[name] = value
        inner = tuple(command for word in words for command in self._substituted(word))
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
            self._drafts.append(_Draft(texts, line, self._exported | environment, heredocs, inner))

    def _export(self, words: list[Word]) -> None:
        for word in words:
            name, equals, value = word.text.partition("=")
            if equals:
                self._variables[name] = value
            if name in self._variables:
                self._exported[name] = self._variables[name]

    def _substituted(self, word: Word) -> tuple[Command, ...]:
        if self._depth >= MAX_NESTING:
            return ()
        return tuple(
            _moved(command, word.line)
            for script in word.substitutions
            for command in _read(script, dict(self._variables), self._depth + 1)
        )

    def _end_pipeline(self, operator: str) -> None:
        self._end_command()
        chain = self._chains[-1]
        chain.ranges.append((chain.start, len(self._drafts)))
        chain.operators.append(operator)
        chain.start = len(self._drafts)

    def _end_chain(self) -> None:
        self._end_pipeline("")
        chain = self._chains[-1]
        undoers = (
            index
            for index in range(len(chain.operators) - 1, -1, -1)
            if chain.operators[index] == "||" and self._harmless(*chain.ranges[index + 1])
        )
        if (undoer := next(undoers, None)) is not None:
            for draft in self._drafts[chain.ranges[0][0] : chain.ranges[undoer][1]]:
                draft.forgiven = True
        chain.ranges, chain.operators = [], []

    def _harmless(self, start: int, end: int) -> bool:
        """Whether what stands after `||` ends well whatever happened, and so undoes the failure."""
        drafts = [draft for draft in self._drafts[start:end] if draft.words]
        last = drafts[-1].words if drafts else ["false"]
        leaves = any(draft.words[0] in ("exit", "return", "false") for draft in drafts[:-1])
        if last[0] in ("exit", "return"):
            return last[1:2] == ["0"] and not leaves
        return last[0] in ("true", ":", "echo", "printf") and not leaves

    def _finished(self, draft: _Draft) -> tuple[Command, ...]:
        found = unwrap(draft.words)
        stdin = "\n".join(heredoc.body for heredoc in draft.heredocs)
        command = Command(
            words=tuple(draft.words),
            program=found.program,
            arguments=found.arguments,
            environment=draft.environment | found.environment,
            line=draft.line,
            forgiven=draft.forgiven,
            piped=draft.piped,
            stdin=stdin,
            module=found.module,
        )
        return (*self._scripted(command), command)

    def _scripted(self, command: Command) -> tuple[Command, ...]:
        """The commands of `sh -c '…'`, `eval '…'`, `bash <<EOF`."""
        script = _script_of(command)
        if not script or self._depth >= MAX_NESTING:
            return ()
        inner = _read(script, self._variables | dict(command.environment), self._depth + 1)
        return tuple(
            replace(
                _moved(each, command.line),
                environment=dict(command.environment) | dict(each.environment),
                forgiven=each.forgiven or command.forgiven,
                piped=each.piped or command.piped,
            )
            for each in inner
        )


def _moved(command: Command, line: int) -> Command:
    return replace(command, line=command.line + line - 1)


def _script_of(command: Command) -> str:
    if command.program == "eval":
        return " ".join(command.arguments)
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
