"""Recipes of a Makefile as text, read without make: asking make runs what the Makefile says.

Enough for targets that a workflow calls: plain variables, prerequisites, recipes, pattern rules and
included files. What needs other functions or conditionals stays as written.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grader.readers.lines import joined_lines

MAX_LINES = 20_000
MAX_TARGETS = 200
MAX_ALIKE = 20
"""Targets of one recipe whose lines are told apart."""
MAX_VALUE = 2_000
"""Characters of a variable's value."""
MAX_LINE = 10_000
"""Characters of a line in which variables are filled in."""
MAX_FILLED = 1_000_000
"""Characters that the variables of one Makefile come to: each may use another many times."""
MAX_NESTING = 10
MAX_INCLUDED = 50

_NAME = r"[\w.-]+|[@<^*?][DF]?"
_SETS = re.compile(r"(?:export\s+|override\s+)*([A-Za-z_][\w.-]*)\s*(:::|::|:|\?|\+)?=\s*(.*)")
_SETS_FOR = re.compile(
    r"([^\s:=#]++(?>(?:\s++[^\s:=#]++)*))\s*+:\s*+([A-Za-z_][\w.-]*\s*(?::::|::|:|\?|\+)?=.*)"
)
_RULE = re.compile(
    r"([^\s:=#]++(?>(?:\s++[^\s:=#]++)*))\s*+::?(?!=)\s*+((?>(?:\$\([^()]*+\)|[^;=])*))(?:;(.*))?"
)
_CONDITION = re.compile(r"(?:ifn?eq|ifn?def|else|endif)(?:[\s(#]|$)")
_COMMENT = re.compile(r"(?<!\\)#.*")
_INCLUDE = re.compile(r"[-s]?include\s+(.*)")
_USE = re.compile(rf"\$(?:\(({_NAME})\)|\{{({_NAME})\}}|(\$)|([@<^*?]))")
_LISTS = re.compile(r"\$\((?:wildcard|sort|strip)\s+([^()$]*)\)")

Included = Callable[[str], Iterable[str]]
"""The texts of the files that a glob names, from the folder in which make runs."""


def _nothing(_: str) -> Iterable[str]:
    return ()


def recipe(
    text: str, targets: Sequence[str], variables: Mapping[str, str], included: Included = _nothing
) -> str:
    """The script that making the targets runs, prerequisites first; the first target without any named."""
    makefile = _Makefile(text, variables, included)
    wanted = list(targets) or makefile.first
    return "\n".join(makefile.script(wanted))


def recipe_lines(text: str) -> Iterator[tuple[str, int]]:
    """Every line of every recipe, with its number, whatever it is that has it made.

    Make's own marks are left out, and variables filled in.
    """
    yield from _Makefile(text, {}, _nothing).recorded()


def _recipe_line(line: str) -> str:
    """A recipe's line without make's own marks; `-` has make go on where it fails."""
    bare = line.strip()
    text = _unmarked(bare)
    ignored = "-" in bare[: len(bare) - len(text)]
    return f"( {text} ) || true" if ignored and text else text


def _unmarked(line: str) -> str:
    return line.strip().lstrip("@-+ \t")


def _uncommented(line: str) -> str:
    return _COMMENT.sub("", line).replace("\\#", "#").rstrip()


@dataclass(slots=True)
class _Rule:
    needs: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    stem: str = ""

    def automatic(self, target: str) -> dict[str, str]:
        """`$@`, `$<` and the like, and their folders and names."""
        first = self.needs[0] if self.needs else ""
        values = {"@": target, "<": first, "^": " ".join(self.needs), "*": self.stem}
        folders = {f"{name}D": posixpath.dirname(value) or "." for name, value in values.items()}
        return values | folders | {f"{name}F": posixpath.basename(value) for name, value in values.items()}


class _Makefile:
    def __init__(self, text: str, overrides: Mapping[str, str], included: Included) -> None:
        self.variables: dict[str, str] = {"MAKE": "make", "CURDIR": "."}
        self.first: list[str] = []
        self._overrides = overrides
        self._included = included
        self._globs: set[str] = set()
        self._lines_left = MAX_LINES
        self._left = MAX_FILLED
        self._rules: dict[str, _Rule] = {}
        self._recorded: list[tuple[int, str, list[str]]] = []
        self._read(text)
        self.variables |= overrides

    def _read(self, text: str) -> None:
        current: list[str] = []
        for number, line in itertools.islice(joined_lines(text.split("\n")), self._lines_left):
            self._lines_left -= 1
            if line.startswith("\t"):
                self._recorded.append((number, line, current[:MAX_ALIKE]))
                for target in current:
                    self._rules[target].lines.append(_recipe_line(line))
            elif (bare := line.strip()) and not bare.startswith("#") and not _CONDITION.match(bare):
                current = self._statement(bare, number)

    def _statement(self, bare: str, number: int) -> list[str]:
        """Take in a line that is no recipe's, and say whose recipe may follow it."""
        plain = _uncommented(bare)
        if found := _SETS.fullmatch(plain):
            self._set(self.variables, found)
        elif found := _INCLUDE.fullmatch(plain):
            self._include(found[1])
        elif found := _SETS_FOR.fullmatch(plain):
            if setting := _SETS.fullmatch(found[2]):
                for target in self._targets(found[1]):
                    self._set(self._rules[target].variables, setting)
        elif found := _RULE.fullmatch(bare if "#" not in bare.partition(";")[0] else plain):
            targets = self._rule(found)
            if found[3]:
                self._recorded.append((number, found[3], targets[:MAX_ALIKE]))
            return targets
        return []

    def _set(self, variables: dict[str, str], found: re.Match[str]) -> None:
        """Set a variable as one of make's assignments does."""
        name, operator, value = found[1], found[2] or "", found[3].strip()
        before = variables.get(name, self.variables.get(name))
        if operator == "?" and before is not None:
            return
        if operator == "+" and before:
            value = f"{before} {value}"[: MAX_VALUE + 1]
        elif operator.startswith(":"):
            value = self.expand(value, ChainMap(dict(self._overrides), variables, self.variables), "$$")
        variables[name] = value

    def _include(self, words: str) -> None:
        names = self.expand(words, ChainMap(dict(self._overrides), self.variables))
        while (plain := _LISTS.sub(r"\1", names)) != names:
            names = plain
        for glob in names.split():
            if glob not in self._globs and len(self._globs) < MAX_INCLUDED:
                self._globs.add(glob)  # each once: a file may include itself
                for text in self._included(glob):
                    self._read(text)

    def _targets(self, text: str) -> list[str]:
        targets = self.expand(text, self.variables).split()[:MAX_TARGETS]
        for target in targets:
            self._rules.setdefault(target, _Rule())
        return targets

    def _rule(self, found: re.Match[str]) -> list[str]:
        targets = self._targets(found[1])
        needs = self.expand(found[2], self.variables).replace("|", " ").split()
        for target in targets:
            rule = self._rules[target]
            rule.needs.extend(needs)
            if found[3]:
                rule.lines.append(found[3].strip())
            if not self.first and not target.startswith(".") and "%" not in target:
                self.first = [target]
        return targets

    def _rule_for(self, target: str) -> _Rule:
        """The rule that makes a target; without a recipe of its own, that of the closest pattern."""
        own = self._rules.get(target, _Rule())
        if own.lines:
            return own
        matching = []
        for pattern, rule in self._rules.items():
            before, wild, after = pattern.partition("%")
            if wild and rule.lines and re.fullmatch(f"{re.escape(before)}.+{re.escape(after)}", target):
                matching.append((target[len(before) : len(target) - len(after)], rule))
        if not matching:
            return own
        stem, rule = min(matching, key=lambda match: len(match[0]))
        needs = [need.replace("%", stem, 1) for need in rule.needs]
        return _Rule([*needs, *own.needs], rule.lines, {**rule.variables, **own.variables}, stem)

    def expand(self, text: str, values: Mapping[str, str], dollar: str = "$", depth: int = 0) -> str:
        """The text with its plain variables filled in.

        Args:
            dollar: what `$$` comes to: itself, where the text is filled in once more.
        """

        def filled(found: re.Match[str]) -> str:
            if found[3]:
                return dollar
            value = values.get(found[1] or found[2] or found[4])
            if value is None or depth > MAX_NESTING or len(value) > MAX_VALUE or self._left <= 0:
                return found[0]
            inner = self.expand(value, values, dollar, depth + 1)[:MAX_VALUE]
            self._left -= 10 + len(inner)  # so that uses of nothing end too
            return inner

        return _USE.sub(filled, text[:MAX_LINE])

    def recorded(self) -> Iterator[tuple[str, int]]:
        """Every line of a recipe, in the file's order; for several targets once for each that changes it."""
        known: dict[str, Mapping[str, str]] = {}
        for number, line, targets in self._recorded:
            text = _unmarked(line)
            if "$" not in text:
                yield text, number
                continue
            for target in targets:
                if target not in known:
                    known[target] = self._of(target)
            filled = [self.expand(text, known[target]) for target in targets]
            yield from (
                (each, number) for each in dict.fromkeys(filled or [self.expand(text, self.variables)])
            )

    def _of(self, target: str) -> Mapping[str, str]:
        rule = self._rules[target]
        # What a pattern comes to, only the target that is made would tell.
        automatic = {} if "%" in target or target.startswith(".") else rule.automatic(target)
        return ChainMap(automatic, rule.variables, self.variables)

    def script(self, targets: Sequence[str]) -> list[str]:
        """The lines of the targets' recipes, of what each needs first."""
        lines: list[str] = []
        seen: set[str] = set()
        waiting = [(target, False) for target in reversed(targets)]
        while waiting and len(seen) < MAX_TARGETS:
            target, ready = waiting.pop()
            rule = self._rule_for(target)
            if ready:
                values = ChainMap(
                    rule.automatic(target), dict(self._overrides), rule.variables, self.variables
                )
                lines += [self.expand(line, values) for line in rule.lines]
            elif target not in seen:
                seen.add(target)
                waiting.append((target, True))
                waiting += [(need, False) for need in reversed(rule.needs)]
        return lines
