"""A Docker build context: which files a COPY can see, `.dockerignore` applied as Docker does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import PurePosixPath

MOST_PATTERNS = 200


@dataclass(frozen=True)
class BuildContext:
    """Files by their path from the context's root."""

    paths: tuple[str, ...]
    """Every file that is there before anything is ignored."""
    ignore: tuple[str, ...] = ()
    """Patterns of `.dockerignore`, in order."""

    @cached_property
    def files(self) -> tuple[str, ...]:
        """What the builder is sent."""
        return tuple(path for path in self.paths if not ignored(path, self.ignore))

    def source(self, pattern: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        """What a COPY source stands for.

        Returns:
            `file`, `directory`, `glob` or `` (not there), and its files as (path in the context, path
            below the thing copied: the name itself for a file).
        """
        wanted = _clean(pattern)
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
        wanted = pattern.split("/")
        for path in self.files:
            parts = path.split("/")
            if len(parts) >= len(wanted) and all(map(_same, parts, wanted)):
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
    return tuple(patterns[:MOST_PATTERNS])


def ignored(path: str, patterns: Sequence[str]) -> bool:
    """Whether `.dockerignore` keeps a file out: the last pattern that matches it or a parent decides."""
    parts = tuple(path.split("/"))
    for pattern in reversed(patterns):
        if _covers(_segments(pattern.removeprefix("!")), parts):
            return not pattern.startswith("!")
    return False


@cache
def _segments(pattern: str) -> tuple[str, ...]:
    """The pattern's parts; `**.pyc` is `**/*.pyc`."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part.startswith("**") and part != "**":
            parts += ["**", part[1:]]
        elif not (part == "**" and parts[-1:] == ["**"]):
            parts.append(part)
    return tuple(parts)


def _covers(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Whether a pattern matches a path or one of its parents."""
    reached = {0}  # how much of the pattern may have been used up before this part
    for part in parts:
        reached |= {index + 1 for index in reached if pattern[index : index + 1] == ("**",)}
        following = {index for index in reached if pattern[index : index + 1] == ("**",)}
        following |= {i + 1 for i in reached if i < len(pattern) and _same(part, pattern[i])}
        reached = following
        if len(pattern) in reached:
            return True
    return pattern[-1:] == ("**",) and len(pattern) - 1 in reached


def _same(name: str, pattern: str) -> bool:
    """One name against one part of a pattern, by Go's rules: `[^a]`, and no `**`."""
    return fnmatchcase(name, pattern.replace("[!", "[[!]").replace("[^", "[!"))
