"""Which commands count as one that was asked for: `docker buildx build --push`, `kubectl apply *`.

One reading for every place where a command stands: a Makefile, a workflow, a Dockerfile, a script, a README.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from grader.readers.shell.parser import Command
from grader.readers.shell.wrappers import unwrap

OPERAND = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A command that is the one that was asked for, and what it makes of it."""

    command: Command
    rest: tuple[str, ...]
    """Its words after those of the pattern, options among them."""
    problem: str = ""
    """Why it does nothing all the same; empty where it does its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPattern:
    """A program, words that follow it in this order, and options that are given anywhere.

    Options and their values may stand between the words. An option counts as `--push`, `--push=true`,
    `-f x`, `-fx` and `-Rf x`, and not as `--push=false` or where a later `--no-push` takes it back.
    Wrappers (`sudo`, `poetry run`, `python -m`) are no part of a command, nor of a pattern.
    """

    program: str
    words: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    needs_operand: bool = False
    """Whether a word has to follow that is neither an option nor an option's value."""
    no_op_options: tuple[str, ...] = ()
    """Options with which the command does not do its work: `--version`."""
    ignored_operands: tuple[str, ...] = ()
    """Operands that alone leave the work undone: `pip install pip`."""
    value_options: tuple[str, ...] = ()
    """Options that take the next word."""

    @property
    def name(self) -> str:
        """The program and its words, as people write it."""
        return " ".join((self.program, *self.words, *self.options))

    def match(self, command: Command) -> Match | None:
        """What the command makes of the pattern; None where it is another command altogether."""
        if command.program != self.program:
            return None
        if not all(command.is_given(option) for option in self.options):
            return None
        end = self._end(command.own_words)
        if end is None:
            return None
        rest = command.arguments[end:]
        return Match(command=command, rest=rest, problem=self._problem(command, end))

    def _end(self, words: Sequence[str]) -> int | None:
        """Where the pattern's words end in a command's, None where they do not all stand there."""
        index = 0
        for wanted in self.words:
            while index < len(words) and (words[index] != wanted or self._is_value(words, index)):
                if not words[index].startswith("-") and not (index and self._may_take_next(words[index - 1])):
                    return None
                index += 1
            if index == len(words):
                return None
            index += 1
        return index

    def _is_value(self, words: Sequence[str], index: int) -> bool:
        return index > 0 and words[index - 1] in self.value_options

    def _may_take_next(self, word: str) -> bool:
        """Whether the word after this one may be its value."""
        glued = len(word) > 2 and word[1] != "-" and word[:2] in self.value_options
        return word.startswith("-") and "=" not in word and not glued

    def _problem(self, command: Command, end: int) -> str:
        if no_op := command.flag(*self.no_op_options):
            return f"{self.name} with {no_op} has no effect"
        operands = self._operands(command.arguments, end)
        if self.needs_operand and not operands:
            return f"{self.name} lacks an argument"
        named = [_without_version(word) for word in command.arguments[end:] if not word.startswith("-")]
        if named and all(operand in self.ignored_operands for operand in named):
            return f"{self.name} only applies to {', '.join(named)}"
        return ""

    def _operands(self, arguments: Sequence[str], end: int) -> list[str]:
        found: list[str] = []
        before = arguments[end - 1] if end else ""
        for index in range(end, len(arguments)):
            word = arguments[index]
            if word == "--":
                return [*found, *arguments[index + 1 :]]
            if word == "-" or (not word.startswith("-") and before not in self.value_options):
                found.append(word)
            before = word
        return found


def _without_version(word: str) -> str:
    """The package of a requirement: `pip>=24` is pip."""
    for sign in "=<>~![;":
        word = word.partition(sign)[0]
    return word


@lru_cache(maxsize=4_096)
def parse_pattern(
    text: str,
    no_op_options: tuple[str, ...] = (),
    ignored_operands: tuple[str, ...] = (),
    value_options: tuple[str, ...] = (),
) -> CommandPattern:
    """The pattern of a rubric's text: a program, words, options, and `*` for an operand at its end.

    Raises:
        ValueError: it names no program.
    """
    written = text.split()
    needs_operand = written[-1:] == [OPERAND]
    plain = [word for word in written if word != OPERAND]
    found = unwrap(plain)
    program, rest = (found.program, found.arguments) if found.program else ("".join(plain[:1]), plain[1:])
    if not program:
        raise ValueError(f"a command names a program: {text!r}")
    return CommandPattern(
        program=program,
        words=tuple(word for word in rest if not word.startswith("-")),
        options=tuple(word for word in rest if word.startswith("-")),
        needs_operand=needs_operand,
        no_op_options=no_op_options,
        ignored_operands=ignored_operands,
        value_options=value_options,
    )


def matches(
    commands: Iterable[Command], patterns: Iterable[str], no_op_options: Sequence[str] = ()
) -> Iterator[Match]:
    """The commands that do what one of the patterns names."""
    wanted = by_program(tuple(patterns), tuple(no_op_options))
    for command in commands:
        for pattern in wanted.get(command.program, ()):
            if (found := pattern.match(command)) is not None and not found.problem:
                yield found
                break


@lru_cache(maxsize=512)
def by_program(
    patterns: tuple[str, ...], no_op_options: tuple[str, ...] = ()
) -> dict[str, list[CommandPattern]]:
    """The patterns by their programs."""
    found: dict[str, list[CommandPattern]] = {}
    for text in filter(str.strip, patterns):
        pattern = parse_pattern(text, no_op_options)
        found.setdefault(pattern.program, []).append(pattern)
    return found
