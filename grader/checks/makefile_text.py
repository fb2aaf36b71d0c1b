"""Recipes of a Makefile as text, read without make: asking make runs what the Makefile says.

Enough for targets that a workflow calls: plain variables, prerequisites, recipes. What needs functions
or conditionals stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MOST_LINES = 20_000
MOST_TARGETS = 200
MOST_EXPANDED = 2_000

_SETS = re.compile(r"(?:export\s+|override\s+)*([A-Za-z_][\w.-]*)\s*(?::::|::|:|\?|\+)?=\s*(.*)")
_RULE = re.compile(r"([^\s:=#][^:=#]*?)\s*::?(?!=)\s*([^;=]*?)(?:;(.*))?")
_USE = re.compile(r"\$(?:\(([\w.-]+)\)|\{([\w.-]+)\}|(\$))")


def recipe(text: str, targets: Sequence[str], variables: Mapping[str, str]) -> str:
    """The script that making the targets runs, prerequisites first; the first target without any named."""
    makefile = _Makefile(text, variables)
    wanted = list(targets) or makefile.first
    return "\n".join(makefile.script(wanted))


class _Makefile:
    def __init__(self, text: str, overrides: Mapping[str, str]) -> None:
        self.variables: dict[str, str] = {"MAKE": "make", "CURDIR": "."}
        self._needs: dict[str, list[str]] = {}
        self._lines: dict[str, list[str]] = {}
        self.first: list[str] = []
        current: list[str] = []
        joined = re.sub(r"\\\n[ \t]*", " ", text)
        for line in joined.splitlines()[:MOST_LINES]:
            if line.startswith("\t"):
                for target in current:
                    self._lines[target].append(line.strip().lstrip("@-+ "))
                continue
            bare = line.strip()
            if not bare or bare.startswith("#"):
                continue
            if found := _SETS.fullmatch(bare):
                self.variables[found[1]] = found[2].strip()
            elif rule := _RULE.fullmatch(bare):
                current = self._rule(rule)
            else:
                current = []
        self.variables |= overrides

    def _rule(self, rule: re.Match[str]) -> list[str]:
        targets = self.expand(rule[1]).split()[:MOST_TARGETS]
        for target in targets:
            self._needs.setdefault(target, []).extend(self.expand(rule[2]).replace("|", " ").split())
            self._lines.setdefault(target, [])
            if rule[3]:
                self._lines[target].append(rule[3].strip())
            if not self.first and not target.startswith("."):
                self.first = [target]
        return targets

    def expand(self, text: str, depth: int = 0) -> str:
        def filled(found: re.Match[str]) -> str:
            if found[3]:
                return "$"
            value = self.variables.get(found[1] or found[2])
            if value is None or depth > 10 or len(value) > MOST_EXPANDED:
                return found[0]
            return self.expand(value, depth + 1)[:MOST_EXPANDED]

        return _USE.sub(filled, text[:MOST_EXPANDED])

    def script(self, targets: Sequence[str]) -> list[str]:
        lines: list[str] = []
        seen: set[str] = set()
        waiting = [(target, False) for target in reversed(targets)]
        while waiting and len(seen) < MOST_TARGETS:
            target, ready = waiting.pop()
            if ready:
                lines += [self.expand(line) for line in self._lines.get(target, ())]
            elif target not in seen:
                seen.add(target)
                waiting.append((target, True))
                waiting += [(need, False) for need in reversed(self._needs.get(target, []))]
        return lines
