"""Recipes of a Makefile as text, read without make: asking make runs what the Makefile says.

Enough for targets that a workflow calls: plain variables, prerequisites, recipes, pattern rules and
included files. What needs other functions or conditionals stays as written.
"""

from __future__ import annotations

import posixpath
import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

MAX_LINES = 20_000
MAX_TARGETS = 200
MAX_EXPANDED = 2_000
MAX_INCLUDED = 50

_NAME = r"[\w.-]+|[@<^*?][DF]?"
_SETS = re.compile(r"(?:export\s+|override\s+)*([A-Za-z_][\w.-]*)\s*(?::::|::|:|\?|\+)?=\s*(.*)")
_SETS_FOR = re.compile(
    r"([^\s:=#]++(?>(?:\s++[^\s:=#]++)*))\s*+:\s*+([A-Za-z_][\w.-]*\s*(?::::|::|:|\?|\+)?=.*)"
)
_RULE = re.compile(r"([^\s:=#]++(?>(?:\s++[^\s:=#]++)*))\s*+::?(?!=)\s*+([^;=]*+)(?:;(.*))?")
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


def _recipe_line(line: str) -> str:
    """A recipe's line without make's own marks; `-` has make go on where it fails."""
    bare = line.strip()
    text = bare.lstrip("@-+ ")
    ignored = "-" in bare[: len(bare) - len(text)]
    return f"( {text} ) || true" if ignored and text else text


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
        self._rules: dict[str, _Rule] = {}
        self._read(text)
        self.variables |= overrides

    def _read(self, text: str) -> None:
        current: list[str] = []
        joined = re.sub(r"\\\n[ \t]*", " ", text)
        for line in joined.splitlines()[: self._lines_left]:
            self._lines_left -= 1
            if line.startswith("\t"):
                for target in current:
                    self._rules[target].lines.append(_recipe_line(line))
            elif (bare := line.strip()) and not bare.startswith("#"):
                current = self._statement(bare)

    def _statement(self, bare: str) -> list[str]:
        """Take in a line that is no recipe's, and say whose recipe may follow it."""
        if found := _SETS.fullmatch(bare):
            self.variables[found[1]] = found[2].strip()
        elif found := _INCLUDE.fullmatch(bare):
            self._include(found[1])
        elif found := _SETS_FOR.fullmatch(bare):
            if setting := _SETS.fullmatch(found[2]):
                for target in self._targets(found[1]):
                    self._rules[target].variables[setting[1]] = setting[2].strip()
        elif found := _RULE.fullmatch(bare):
            return self._rule(found)
        return []

    def _include(self, words: str) -> None:
        names = self.expand(words.partition("#")[0], ChainMap(dict(self._overrides), self.variables))
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

    def expand(self, text: str, values: Mapping[str, str], depth: int = 0) -> str:
        """The text with its plain variables filled in."""

        def filled(found: re.Match[str]) -> str:
            if found[3]:
                return "$"
            value = values.get(found[1] or found[2] or found[4])
            if value is None or depth > 10 or len(value) > MAX_EXPANDED:
                return found[0]
            return self.expand(value, values, depth + 1)[:MAX_EXPANDED]

        return _USE.sub(filled, text[:MAX_EXPANDED])

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
