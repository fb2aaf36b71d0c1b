"""A lock file: exact pins, the right packages, nothing missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from grader.check import Deliverable, DeliverableIfAny, check
from grader.checks.project.pyproject import Needed, runtime, target_environment
from grader.context import source_file
from grader.documents import Problem, SourceFile
from grader.readers.requirements import Line, parse_requirements
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.context import Context

MAX_SHOWN = 5
"""How many findings of one kind are shown: the sixth unpinned line teaches nothing new."""


def _lines(context: Context, *, file: Deliverable) -> tuple[Line, ...] | Finding:
    """The lines of the lock file."""
    text = context.deliverable(file).text
    return text.finding("a requirements file") if isinstance(text, Problem) else parse_requirements(text)


@check("lockfile.pinned", reads=_lines)
def pinned(context: Context, lines: tuple[Line, ...], *, file: Deliverable) -> Outcome:
    """Every requirement of the lock file is pinned with `==`."""
    source = context.deliverable(file)
    asked = (line for line in lines if line.option is None or line.reference is not None)
    wanted = [line for line in asked if not line.itself]
    if not wanted:
        return failed(
            Finding(
                message="the file has no requirements",
                expected="one name==version per line",
                where=source.name,
            )
        )
    loose = [_loose(line, source) for line in wanted if line.pin is None]
    return failed(*_some(loose)) if loose else passed()


@check("lockfile.agrees", reads=_lines)
def agrees(
    context: Context,
    lines: tuple[Line, ...],
    *,
    file: Deliverable,
    project: DeliverableIfAny,
    packages: tuple[str, ...],
) -> Outcome:
    """The named packages are in the lock file, at versions that the project file allows.

    Args:
        packages: the packages' names on PyPI.
    """
    source = context.deliverable(file)
    described = context.submission.deliverable(project)
    needed = runtime(context, described) if described is not None else ()
    complaints = [
        complaint
        for package in packages
        for complaint in _disagreements(context, source, lines, needed, package)
    ]
    return failed(*complaints) if complaints else passed()


@check("lockfile.complete", reads=source_file, evidence=Evidence.RUNS)
def complete(context: Context, source: SourceFile) -> Outcome:
    """The lock file installs, and includes every package that its packages need."""
    if context.runtime is None:
        return unverified("--static does not install the lock file")
    environment = context.runtime.environment
    if environment.installs is None:
        return unverified(
            environment.reason or "the installation of the lock file could not be tested",
            detail=environment.log_tail,
        )
    if not environment.installs:
        return failed(
            Finding(
                message=environment.reason or "the lock file does not install",
                expected="all of its packages install together",
                where=source.name,
                detail=environment.log_tail,
            )
        )
    missing = [Finding(message=f"{needed} is missing", where=source.name) for needed in environment.missing]
    return failed(*_some(missing)) if missing else passed()


def _loose(line: Line, source: SourceFile) -> Finding:
    message = "not pinned to an exact version"
    if line.error:
        message = f"not a valid requirement: {line.error}"
    elif line.local:
        message = "a local path, which no other machine has"
    elif line.reference is not None:
        message = "a URL instead of a pinned version"
    return Finding(
        message=message,
        expected="name==version",
        actual=line.raw.partition(" --hash")[0].strip()[:200],
        where=source.where(line.number),
    )


def _some(findings: Sequence[Finding]) -> Iterator[Finding]:
    yield from findings[:MAX_SHOWN]
    if (more := len(findings) - MAX_SHOWN) > 0:
        yield Finding(message=f"and {more} more like these")


def _disagreements(
    context: Context, source: SourceFile, lines: Sequence[Line], needed: Sequence[Needed], package: str
) -> Iterator[Finding]:
    name = canonicalize_name(package)
    environment = target_environment(context)
    here = [line for line in lines if line.name == name and line.applies(environment)]
    if not here:
        other = any(line.name == name for line in lines)
        why = " for this platform" if other else ""
        yield Finding(message=f"{package} is missing{why}", expected=f"{package}==…", where=source.name)
    # A package that the project file does not ask for has no range to be in: 1.1.dependencies says so.
    ranges = [each for each in needed if each.name == name and each.range is not None]
    for line in here:
        if line.version is None:
            yield _loose(line, source)
            continue
        for each in ranges:
            if each.range is not None and not each.range.admits(line.version, prereleases=True):
                yield Finding(
                    message=f"{package} is pinned outside the range of pyproject.toml",
                    expected=f"{each.text} ({each.where})",
                    actual=line.raw.partition(" ")[0],
                    where=source.where(line.number),
                )


CHECKS = (pinned, agrees, complete)
