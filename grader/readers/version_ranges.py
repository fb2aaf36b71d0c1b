"""Which versions a requirement admits, in the notation of PEP 440 or Poetry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

FAR = 99999
"""A component that no release reaches: `2.0.99999` stands for all that comes just before 2.1."""
MAX_CHARACTERS = 500
"""The longest constraint that is read: Python refuses to turn endless digits into a number."""

_CONSTRAINT = re.compile(r"\s*(\^|~=|~|>=|<=|!=|===|==|=|>|<)?\s*(\*|v?\d[0-9A-Za-z.!+*_-]*)\s*,?")


@dataclass(frozen=True, slots=True)
class Range:
    """The versions that any of its alternatives admits."""

    text: str
    """As the candidate wrote it."""
    alternatives: tuple[SpecifierSet, ...]

    def admits(self, version: Version, *, prereleases: bool = False) -> bool:
        """Whether it lets a version in; pre-releases where asked for, or where it names one itself."""
        return any(
            alternative.contains(version, prereleases=prereleases or bool(alternative.prereleases))
            for alternative in self.alternatives
        )

    def under(self, floor: Version) -> Version | None:
        """A version under the floor that it admits."""
        return next((each for each in self._candidates(floor) if each < floor and self.admits(each)), None)

    def above(self, floor: Version) -> Version | None:
        """A version from the floor up that it admits."""
        return next((each for each in self._candidates(floor) if each >= floor and self.admits(each)), None)

    def _candidates(self, floor: Version) -> Iterator[Version]:
        """Versions at and around every place where admitted turns into refused: enough to tell."""
        for boundary in (*self._boundaries(), floor):
            yield from _around(boundary)

    def _boundaries(self) -> Iterator[Version]:
        for alternative in self.alternatives:
            for specifier in alternative:
                if (version := _boundary(specifier)) is not None:
                    yield version


def pep440(specifiers: SpecifierSet) -> Range | None:
    """The range of a PEP 508 requirement; None where it is too long to be one."""
    text = str(specifiers)
    return Range(text, (specifiers,)) if len(text) <= MAX_CHARACTERS else None


def poetry(text: str) -> Range | None:
    """A constraint as Poetry reads it (`^2.1`, `~2.1`, `>=2.1 <3`, `1.0 || 2.0`); None if it is invalid."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        alternatives = tuple(_conjunction(part) for part in re.split(r"\|\|?", text))
    except (InvalidSpecifier, InvalidVersion, ValueError):
        return None
    return Range(text, alternatives)


def _boundary(specifier: Specifier) -> Version | None:
    try:
        return Version(specifier.version.removesuffix(".*"))
    except (InvalidVersion, ValueError):  # `===` takes any text
        return None


def _around(boundary: Version) -> Iterator[Version]:
    epoch = f"{boundary.epoch}!" if boundary.epoch else ""
    release = [*boundary.release, 0, 0][: max(3, len(boundary.release))]

    def version(numbers: list[int], suffix: str = "") -> Version:
        return Version(epoch + ".".join(map(str, numbers)) + suffix)

    yield boundary
    yield version(release)
    yield version([*release[:-1], release[-1] + 1])
    yield version([*release, 1])
    for index, number in enumerate(release):
        if number:
            yield version([*release[:index], number - 1, FAR, FAR])
        yield version([*release[:index], number + 1])
    yield version(release, "rc1")
    yield version(release, ".post1")
    yield version([0])
    yield version([FAR])


def _conjunction(text: str) -> SpecifierSet:
    found: list[str] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _CONSTRAINT.match(text, position)
        if match is None:
            raise ValueError(text)
        found += _specifiers(match[1] or "", match[2].removeprefix("v"))
        position = match.end()
    if not text:
        raise ValueError("an empty constraint")
    return SpecifierSet(",".join(found))


def _specifiers(operator: str, version: str) -> list[str]:
    """One constraint of Poetry's as PEP 440 specifiers."""
    if version == "*":
        return []
    if operator not in ("^", "~"):
        return [("==" if operator in ("", "=") else operator) + version]
    low = Version(version)
    given = list(low.release)
    if operator == "~":
        kept = given[:2]
    else:
        first = next((index for index, number in enumerate(given) if number), len(given) - 1)
        kept = given[: first + 1]
    high = ".".join(map(str, [*kept[:-1], kept[-1] + 1]))
    epoch = f"{low.epoch}!" if low.epoch else ""
    return [f">={version}", f"<{epoch}{high}"]
