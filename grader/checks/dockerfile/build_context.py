"""A Docker build context: which files a COPY can see, `.dockerignore` applied as Docker does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_STEPS = 20_000_000
"""Of one context, how often a name is held against a part of a pattern: large ones need a million."""
LONG_NAME = 32
"""Names and stars for which that costs once more."""


class TooMuch(Exception):  # noqa: N818  (carries what is said of it)
    """Matching the patterns against the files would take too many steps."""

    def __init__(self) -> None:
        super().__init__(
            f"matching its patterns against the build context takes more than {MAX_STEPS:,} steps"
        )


@dataclass(slots=True)
class _Steps:
    left: int

    def take(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuch


@dataclass(frozen=True)
class BuildContext:
    """Files by their path from the context's root."""

    paths: tuple[str, ...]
    """Every file that is there before anything is ignored."""
    ignore: tuple[str, ...] = ()
    """Patterns of `.dockerignore`, in order."""
    _steps: _Steps = field(default_factory=lambda: _Steps(MAX_STEPS), compare=False, repr=False)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files that are sent to the builder.

        Raises:
            TooMuch: matching takes too many steps.
        """
        ignore = _Ignore(self.ignore, self._steps)
        return tuple(path for path in self.paths if not ignore.covers(path))

    def source(self, pattern: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Find the files that a COPY source matches.

        Returns:
            `file`, `directory`, `glob` or `` (not there), and its files as (path in the context, path
            below the thing copied: the name itself for a file).

        Raises:
            TooMuch: matching takes too many steps.
        """
        wanted = _clean(pattern)
        self._steps.take(len(self.files) // LONG_NAME)
        if wanted in ("", "."):
            return "directory", tuple((path, path) for path in self.files)
        if wanted in self.files:
            return "file", ((wanted, PurePosixPath(wanted).name),)
        if below := _below(wanted, self.files):
            return "directory", below
        if not re.search(r"[*?\[]", wanted):
            return "", ()
        return "glob", tuple(self._globbed(wanted))

    def _globbed(self, pattern: str) -> Iterable[tuple[str, str]]:
        wanted = [_Part(part, self._steps) for part in pattern.split("/")]
        for path in self.files:
            parts = path.split("/")
            if len(parts) >= len(wanted) and all(
                part.matches(name) for part, name in zip(wanted, parts, strict=False)
            ):
                # A directory that a wildcard matches gives its contents, as one that is named does.
                yield path, "/".join(parts[len(wanted) :]) or parts[-1]


def _below(directory: str, paths: Iterable[str]) -> tuple[tuple[str, str], ...]:
    prefix = directory + "/"
    return tuple((path, path[len(prefix) :]) for path in paths if path.startswith(prefix))


def _clean(path: str) -> str:
    """A path from the context's root, as BuildKit makes it: nothing leads out of the context."""
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return "/".join(parts)


def ignore_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a `.dockerignore`."""
    lines = (line.strip() for line in text.splitlines() if not line.startswith("#"))
    patterns = []
    for line in lines:
        negated, bare = line.startswith("!"), line.removeprefix("!").strip()
        if cleaned := _clean(bare):
            patterns.append("!" + cleaned if negated else cleaned)
    return tuple(patterns)


def ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether `.dockerignore` keeps a file out: the last pattern that matches it or a parent decides."""
    return _Ignore(patterns, _Steps(MAX_STEPS)).covers(path)


class _Part:
    """One part of a pattern by Go's rules: `[^a]`, and no `**`."""

    def __init__(self, pattern: str, steps: _Steps) -> None:
        self._expression = re.compile(translate(pattern.replace("[!", "[[!]").replace("[^", "[!")))
        self._stars = pattern.count("*")
        self._steps = steps

    def matches(self, name: str) -> bool:
        self._steps.take(1 + self._stars * len(name) // LONG_NAME)
        return self._expression.match(name) is not None


_Reached = frozenset[int]
"""How much of a pattern the parts of a path may have used up; nothing where it cannot match any more."""
_MATCHED: _Reached = frozenset({-1})


class _Ignore:
    """The patterns of a `.dockerignore`; what a folder's path makes of them is worked out once."""

    def __init__(self, patterns: Sequence[str], steps: _Steps) -> None:
        self._steps = steps
        self._parts: dict[str, _Part | None] = {"**": None}
        self._patterns = [
            (pattern.startswith("!"), self._compiled(pattern.removeprefix("!"))) for pattern in patterns
        ]
        start = {number: frozenset({0}) for number in range(len(self._patterns))}
        self._folders: dict[str, dict[int, _Reached]] = {"": start}

    def _compiled(self, pattern: str) -> tuple[_Part | None, ...]:
        """The pattern's parts, None for `**`; `**.pyc` is `**/*.pyc`."""
        parts: list[str] = []
        for part in pattern.split("/"):
            if part.startswith("**") and part != "**":
                parts += ["**", part[1:]]
            elif not (part == "**" and parts[-1:] == ["**"]):
                parts.append(part)
        for part in parts:
            if part not in self._parts:
                self._parts[part] = _Part(part, self._steps)
        return tuple(self._parts[part] for part in parts)

    def covers(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        reached = self._after(self._folder(folder), name)
        for number in sorted(reached, reverse=True):
            negated, parts = self._patterns[number]
            if reached[number] is _MATCHED or (parts[-1] is None and len(parts) - 1 in reached[number]):
                return not negated
        return False

    def _folder(self, path: str) -> dict[int, _Reached]:
        if path not in self._folders:
            above, _, name = path.rpartition("/")
            self._folders[path] = self._after(self._folder(above), name)
        return self._folders[path]

    def _after(self, reached: dict[int, _Reached], name: str) -> dict[int, _Reached]:
        found: dict[int, _Reached] = {}
        for number, before in reached.items():
            after = before if before is _MATCHED else self._advance(self._patterns[number][1], before, name)
            self._steps.take(1 + len(after))
            if after:
                found[number] = after
        return found

    def _advance(self, parts: tuple[_Part | None, ...], reached: _Reached, name: str) -> _Reached:
        """Where a pattern stands after one more name, given where it stood before."""
        now = reached | {index + 1 for index in reached if parts[index] is None}
        after: set[int] = set()
        for index in now:
            part = parts[index] if index < len(parts) else None
            if index < len(parts) and part is None:
                after |= {index, index + 1}
            elif part is not None and part.matches(name):
                after.add(index + 1)
        return _MATCHED if len(parts) in after else frozenset(after)
