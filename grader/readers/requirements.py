"""The format of requirements files, as pip reads it: one parser for everyone who asks about a lock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_URL = re.compile(r"^(?:[a-z][a-z0-9+.]*:/{1,3}|file:)\S", re.IGNORECASE)
_PATH = re.compile(r"^(?:\.{1,2}(?:[/\[]|$)|/|~/|[A-Za-z]:\\)|\.(?:whl|tar\.gz|zip)$")
_ITSELF = re.compile(r"\./?(?:\[[\w\s.,-]*\])?")
_TRAILING = re.compile(r"\s--?[a-zA-Z]")
_HASH = re.compile(r"--hash[=\s]\s*(\S+)")
_OPTION = re.compile(r"^(--[A-Za-z][\w-]*|-[A-Za-z])(?:\s*=\s*|\s*)(.*)$", re.DOTALL)

MAX_LINES = 10_000
"""Logical lines: no lock has a tenth of them."""
MAX_CHARACTERS = 100_000
"""The characters of a logical line; hundreds of hashes fit in."""
MAX_BRACKETS = 50
"""Opening brackets in a requirement: markers are read, written and evaluated by recursion."""
EDITABLE = ("-e", "--editable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One logical line that says something; empty lines and comments are left out."""

    number: int
    """Where it begins, counted from 1."""
    raw: str
    """Without its comment, its continuation lines joined."""
    requirement: Requirement | None = None
    option: str | None = None
    """`-r`, `--index-url`: a line that is an option rather than a requirement."""
    value: str = ""
    """What the option is given."""
    hashes: tuple[str, ...] = ()
    """`sha256:…`, in the order of the line."""
    reference: str | None = None
    """The path or URL that it installs from instead of the index (`-e .`, `name @ url`, `./wheel.whl`)."""
    error: str | None = None
    """Why it is neither a requirement nor an option."""

    @property
    def name(self) -> str:
        """The distribution's normalised name; empty where the line names none."""
        return canonicalize_name(self.requirement.name) if self.requirement else ""

    @property
    def pin(self) -> str | None:
        """The version that `==` or `===` pins it to, or None where it admits several or is a reference."""
        if self.requirement is None or self.requirement.url:
            return None
        specifiers = list(self.requirement.specifier)
        exact = [
            one for one in specifiers if one.operator in ("==", "===") and not one.version.endswith(".*")
        ]
        return exact[0].version if exact and len(specifiers) == 1 else None

    @property
    def version(self) -> Version | None:
        """The pin as a version."""
        try:
            return Version(self.pin) if self.pin else None
        except ValueError:  # InvalidVersion is one, and so is a number of endless digits
            return None

    @property
    def local(self) -> bool:
        """Whether it points into somebody's own file system."""
        return self.reference is not None and (
            self.reference.lower().startswith("file:") or not _URL.match(self.reference)
        )

    @property
    def itself(self) -> bool:
        """Whether it is the project that the file belongs to (`-e .`, as uv exports it): no dependency."""
        return self.reference is not None and _ITSELF.fullmatch(self.reference) is not None

    def applies(self, environment: Mapping[str, str] | None = None) -> bool:
        """Whether its marker, if any, is true (in this interpreter, or with `environment`'s values)."""
        if self.requirement is None or self.requirement.marker is None:
            return True
        try:
            return self.requirement.marker.evaluate(dict(environment) if environment else None)
        # Nonsense that still parses, as endless digits do.
        except (ValueError, UndefinedEnvironmentName, RecursionError):
            return True


def parse_requirements(text: str) -> tuple[Line, ...]:
    """Every logical line of a requirements file; a line that cannot be read says so in its `error`."""
    found: list[Line] = []
    for number, raw in _logical(text.removeprefix("\ufeff")):
        if len(found) == MAX_LINES:
            error = f"it comes after {MAX_LINES:,} lines, which are all that is read"
            found.append(Line(number=number, raw=raw[:MAX_CHARACTERS], error=error))
            break
        found.append(_line(number, raw))
    return tuple(found)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Join continuations the way pip does: a comment line ends one, and is dropped."""
    begun: list[str] = []
    start = 1
    for number, physical in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if not begun:
            start = number
        comment = physical.lstrip().startswith("#")
        if physical.endswith("\\") and not comment:
            begun.append(physical[:-1])
            continue
        begun.append("" if comment else physical)
        joined = _COMMENT.sub("", " ".join(begun)).strip()
        begun = []
        if joined:
            yield start, joined
    joined = _COMMENT.sub("", " ".join(begun)).strip()
    if joined:
        yield start, joined


def _line(number: int, raw: str) -> Line:
    if raw.startswith("-"):
        return _option(number, raw)
    if len(raw) > MAX_CHARACTERS:
        said = f"the line has {len(raw):,} characters"
        return Line(number=number, raw=raw[:MAX_CHARACTERS], error=said)
    hashes = tuple(_HASH.findall(raw))
    trailing = _TRAILING.search(raw)
    text = (raw[: trailing.start()] if trailing else raw).strip()
    if _URL.match(text) or _PATH.search(text.partition(" ")[0]):
        return Line(number=number, raw=raw, hashes=hashes, reference=text)
    if text.count("(") > MAX_BRACKETS:
        return Line(number=number, raw=raw, hashes=hashes, error="its marker is nested too deeply")
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        return Line(number=number, raw=raw, hashes=hashes, error=_first_line(error))
    return Line(
        number=number, raw=raw, requirement=requirement, hashes=hashes, reference=requirement.url or None
    )


def _option(number: int, raw: str) -> Line:
    match = _OPTION.match(raw)
    if match is None:
        return Line(number=number, raw=raw, error="it is neither a requirement nor an option")
    option, value = match[1], match[2].strip()
    reference = value if option in EDITABLE else None
    return Line(number=number, raw=raw, option=option, value=value, reference=reference)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["it is not a requirement"])[0].rstrip(":")
