"""What is installed in an environment, read from its files: nothing in it is started."""

from __future__ import annotations

import importlib.metadata
from collections import deque
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName, default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

USUAL = {"pip": "pip", "setuptools": "setuptools<81", "wheel": "wheel"}
"""What a virtual environment of Python 3.11 has by itself; `pkg_resources` went with setuptools 82."""
UNLISTED = frozenset((*USUAL, "distribute"))
"""`pip freeze` and `pip-compile` leave these out."""

Wanted = tuple[str, frozenset[str]]
"""A distribution and the extras asked of it."""


class Installed:
    """The distributions of one environment, by normalised name."""

    def __init__(self, environment: Path, python_version: str) -> None:
        self._found: dict[str, importlib.metadata.Distribution] = {}
        for folder in environment.glob("lib/python*/site-packages"):
            for distribution in importlib.metadata.distributions(path=[str(folder)]):
                if name := distribution.metadata["Name"]:
                    self._found[canonicalize_name(name)] = distribution
        self._markers: dict[str, str] = {
            **{key: str(value) for key, value in default_environment().items()},
            "python_full_version": python_version,
            "python_version": ".".join(python_version.split(".")[:2]),
        }

    @property
    def versions(self) -> dict[str, str]:
        """Name -> version, in order of name."""
        return {name: self._found[name].version for name in sorted(self._found)}

    def missing(self, wanted: Iterable[Wanted]) -> tuple[str, ...]:
        """What the `wanted` distributions need and the wanted ones alone do not give, with who needs it."""
        asked = {name: extras for name, extras in wanted if name in self._found}
        complaints: dict[str, None] = {}
        queue = deque(asked.items())
        seen = set(queue)
        while queue:
            name, extras = queue.popleft()
            for requirement in self._requirements(name, extras):
                target = canonicalize_name(requirement.name)
                if complaint := self._complaint(requirement, target, asked):
                    complaints[f"{complaint} (needed by {name} {self._found[name].version})"] = None
                elif target in asked and (item := (target, frozenset(requirement.extras))) not in seen:
                    seen.add(item)
                    queue.append(item)
        return tuple(complaints)

    def _complaint(self, requirement: Requirement, target: str, asked: Mapping[str, frozenset[str]]) -> str:
        if target in UNLISTED and target not in asked:
            return ""
        wanted = f"{requirement.name}{requirement.specifier}"
        if target not in asked:
            return wanted
        version = self._found[target].version
        try:
            fits = requirement.specifier.contains(Version(version), prereleases=True)
        except InvalidVersion:
            return ""
        return "" if fits else f"{wanted}, not {version}"

    def _requirements(self, name: str, extras: frozenset[str]) -> Iterator[Requirement]:
        for text in self._found[name].requires or ():
            try:
                requirement = Requirement(text)
                if self._applies(requirement, extras):
                    yield requirement
            except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
                continue  # the package's own fault, and no fault of the lock

    def _applies(self, requirement: Requirement, extras: frozenset[str]) -> bool:
        marker = requirement.marker
        return marker is None or any(
            marker.evaluate(self._markers | {"extra": extra}) for extra in ("", *sorted(extras))
        )
