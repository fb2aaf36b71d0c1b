"""What to install for a submission: its lock, made safe to hand to uv, and what the exam adds to it."""

from __future__ import annotations

import ast
import platform
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grader.documents import Problem, SourceFile
from grader.readers.requirements import EDITABLE, Line, parse_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.exam.model import EnvironmentSpec
    from grader.submission.model import Submission

RECIPE = "3"
"""Change it when the way of building changes, so that what older graders built is not used."""
_INCLUDES = ("-r", "--requirement")
_MAX_INCLUDES = 20
MAX_PACKAGES = 2000
"""Of a lock: each is asked of the index, and no exam needs a quarter of them."""
_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The content of an environment: equal plans give equal environments."""

    source: str
    """`lock` or `exam`."""
    lines: tuple[Line, ...]
    """Requirements that the package index can answer."""
    additions: tuple[str, ...]
    """What the exam needs besides, one requirement each."""
    preferred: tuple[str, ...] = ()
    """The exam's own pins, for what the lock leaves open: the newest version of today is another tomorrow."""
    imports: tuple[str, ...] = ()
    """Modules that have to import."""
    left_out: tuple[str, ...] = ()
    """Lines that nobody else could install, and why, for the candidate."""

    def inputs(self, python: Sequence[str], index: Mapping[str, str]) -> dict[str, Any]:
        """What makes two environments interchangeable.

        Args:
            python: version and place of the interpreter.
            index: where packages come from.
        """
        return {
            "recipe": RECIPE,
            "source": self.source,
            "lines": sorted(f"{line.requirement} {' '.join(sorted(line.hashes))}" for line in self.lines),
            "additions": sorted(self.additions),
            "preferred": sorted(self.preferred),
            "imports": list(self.imports),
            "python": list(python),
            "index": dict(index),
            "machine": [platform.machine(), *platform.libc_ver()],
        }

    def without(self, names: frozenset[str]) -> Plan:
        """The same plan, the lines of `names` left to the additions."""
        return replace(self, lines=tuple(line for line in self.lines if line.name not in names))


def lock_plan(submission: Submission, spec: EnvironmentSpec) -> Plan | Problem | None:
    """The plan of a submission's own lock; None where it has none, a Problem where it cannot be read."""
    asked = filter(None, map(submission.deliverable, spec.lock_deliverables))
    file = next(asked, None) or (submission.file(spec.lock) if spec.lock else None)
    if file is None:
        return None
    if isinstance(file.text, Problem):
        return file.text
    lines, left_out = _installable(submission, file)
    if not lines:
        return Problem(file.name, "it names nothing that can be installed")
    if len({line.name for line in lines}) > MAX_PACKAGES:
        return Problem(file.name, f"it names more than {MAX_PACKAGES:,} packages")
    names = frozenset(line.name for line in lines)
    additions = tuple(requirement for name, requirement in _needs(submission, spec) if name not in names)
    return Plan(
        source="lock",
        lines=lines,
        additions=additions,
        preferred=tuple(str(line.requirement) for line in _exams_lines(spec)),
        imports=spec.imports,
        left_out=left_out,
    )


def exam_plan(submission: Submission, spec: EnvironmentSpec) -> Plan:
    """The plan of the exam's own lock, bent where the candidate's imports call for another major line."""
    lines = _exams_lines(spec)
    pins = {line.name: line for line in lines}
    bent = {
        name: wanted
        for name, wanted in _needs(submission, spec)
        if name not in pins or not _admits(wanted, pins[name])
    }
    plan = Plan(
        source="exam",
        lines=lines,
        additions=tuple(bent.values()),
    )
    return plan.without(frozenset(bent))


def _exams_lines(spec: EnvironmentSpec) -> tuple[Line, ...]:
    if spec.fallback is None or not spec.fallback.is_file():
        return ()
    return tuple(line for line in parse_requirements(spec.fallback.read_text("utf-8")) if line.requirement)


def _admits(requirement: str, line: Line) -> bool:
    version = line.version
    return version is None or Requirement(requirement).specifier.contains(version, prereleases=True)


def _installable(submission: Submission, file: SourceFile) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    kept: list[Line] = []
    left_out: list[str] = []
    for name, line in _lines(submission, file, [file.path]):
        where = f"{name}:{line.number}"
        if line.itself:
            continue  # every script runs in its tree
        if line.error:
            left_out.append(f"{where} is not a requirement: {line.raw[:80]}")
        elif line.local:
            left_out.append(f"{where} installs from a path that exists on no other machine: {line.raw[:80]}")
        elif line.reference:
            left_out.append(
                f"{where} installs from an address and not from the package index: {line.raw[:80]}"
            )
        elif line.requirement:
            kept.append(line)
    if (more := len(left_out) - _MAX_SHOWN) > 0:
        left_out[_MAX_SHOWN:] = [f"and {more} more lines like these"]
    return tuple(kept), tuple(left_out)


def _lines(submission: Submission, file: SourceFile, seen: list[PurePosixPath]) -> Iterator[tuple[str, Line]]:
    """The lines of a file and of those that it includes. Options that choose an index are passed over."""
    if isinstance(file.text, Problem):
        return
    for line in parse_requirements(file.text):
        if line.option not in _INCLUDES:
            if line.option is None or line.option in EDITABLE or line.error:
                yield file.name, line
            continue
        path = _beside(file.path, line.value)
        included = submission.file(path) if path else None
        if included is None or path in seen or len(seen) > _MAX_INCLUDES:
            yield file.name, Line(number=line.number, raw=line.raw, error="there is no such file")
            continue
        seen.append(included.path)
        yield from _lines(submission, included, seen)


def _beside(path: PurePosixPath, name: str) -> PurePosixPath | None:
    parts: list[str] = list(path.parent.parts)
    for part in PurePosixPath(name).parts:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts) if parts and not name.startswith("/") else None


def _needs(submission: Submission, spec: EnvironmentSpec) -> Iterator[tuple[str, str]]:
    """Each distribution that the exam needs, with the requirement that the submission's imports call for."""
    imports = imported(submission)
    for name, need in spec.provides.items():
        yield canonicalize_name(name), _requirement(name, need, imports)


def _requirement(name: str, need: Mapping[str, Any], imports: frozenset[str]) -> str:
    for line in need.get("lines", ()):
        if any(_uses(imports, module) for module in line["imports"]):
            return str(line["requirement"])
    return str(need.get("requirement", name))


def _uses(imports: frozenset[str], module: str) -> bool:
    return any(one == module or one.startswith(f"{module}.") for one in imports)


def imported(submission: Submission) -> frozenset[str]:
    """What its Python files import: modules, and `module.name` for `from module import name`."""
    return frozenset(name for file in submission.matching("*.py") for name in _imports(file))


def _imports(file: SourceFile) -> Iterator[str]:
    if isinstance(file.python, Problem):
        return
    for node in ast.walk(file.python):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
