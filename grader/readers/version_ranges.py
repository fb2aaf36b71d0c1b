"""Which versions a requirement admits, in the notation of PEP 440 or Poetry."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.ranges import VersionRange

MAX_CHARACTERS = 500
"""The longest constraint that is read: Python refuses to turn endless digits into a number."""

_CONSTRAINT = re.compile(r"\s*(\^|~=|~|>=|<=|!=|===|==|=|>|<)?\s*([*xX](?!\w)|v?\d[0-9A-Za-z.!+*_-]*)\s*,?")
_WILDCARD = re.compile(r"(?:\.[*xX])+")


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

    def reaches_below(self, floor: Version) -> bool:
        """Whether it lets in any version under the floor."""
        return any(not (part - above).is_empty for part, above in self._parts(floor))

    def reaches(self, floor: Version) -> bool:
        """Whether it lets in any version from the floor up."""
        return any(not (part & above).is_empty for part, above in self._parts(floor))

    def example_below(self, floor: Version) -> Version | None:
        """A version under the floor that it lets in, near one that it names; there may be others only."""
        near = (each for version in self._named() for each in (version, _next(version)))
        return next((each for each in near if each < floor and self.admits(each)), None)

    def _parts(self, floor: Version) -> Iterator[tuple[VersionRange, VersionRange]]:
        """Each alternative, and all from the floor up; without pre-releases where it names none."""
        for alternative in self.alternatives:
            prereleases = bool(alternative.prereleases)
            ranges = (str(alternative), f">={floor.public}")
            part, above = (SpecifierSet(text, prereleases=prereleases).to_range() for text in ranges)
            yield part, above

    def _named(self) -> Iterator[Version]:
        for alternative in self.alternatives:
            for specifier in alternative:
                with suppress(InvalidVersion, ValueError):  # `===` takes any text
                    yield Version(specifier.version.removesuffix(".*"))


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


def _next(version: Version) -> Version:
    """The release after a version: `2.0.1` after `2.0`."""
    *front, last = [*version.release, 0, 0][: max(3, len(version.release))]
    return Version(f"{version.epoch}!{'.'.join(map(str, [*front, last + 1]))}")


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
    bare = _WILDCARD.sub("", version)
    if bare in ("*", "x", "X"):
        return []
    if operator in ("", "=", "==", "!=", "==="):
        sign = "==" if operator in ("", "=") else operator
        return [sign + (bare if bare == version else f"{bare}.*")]
    if bare != version and operator in ("^", "~", "~="):
        raise ValueError(version)
    version = bare.partition("+")[0]
    if operator not in ("^", "~") and not (operator == "~=" and "." not in version):
        return [operator + version]
    low = Version(version)
    given = list(low.release)
    if operator in ("~", "~="):
        kept = given[:2]
    else:
        first = next((index for index, number in enumerate(given) if number), len(given) - 1)
        kept = given[: first + 1]
    high = ".".join(map(str, [*kept[:-1], kept[-1] + 1]))
    epoch = f"{low.epoch}!" if low.epoch else ""
    return [f">={version}", f"<{epoch}{high}"]
