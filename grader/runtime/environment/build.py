"""The Python environment that candidate code runs with: from its own lock, or else the exam's."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from grader.documents import Problem
from grader.errors import GraderFault
from grader.runtime.cache import Cache, outline
from grader.runtime.environment import uv
from grader.runtime.environment.build_sandbox import build_sandbox
from grader.runtime.environment.installed import USUAL, Installed
from grader.runtime.environment.plan import Plan, exam_plan, lock_plan
from grader.runtime.environment.uv import Say, say_nothing
from grader.runtime.environment.wheels import WheelBuilder
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from grader.exam.model import EnvironmentSpec
    from grader.readers.requirements import Line
    from grader.runtime.helpers.jail import Wall
    from grader.submission.model import Submission

_KIND = "environments"
_FACTS = "environment.json"
_TAIL = 4000
MAX_DOWNLOADED = 10 * 2**30
"""Bytes of what a lock names: one with a GPU's libraries takes three."""
MAX_BUILDS = 20
"""Packages of a lock without a wheel: building one may take minutes."""
MAX_BUILD_SECONDS = 900
_IMPORT_LIMITS = Limits(cpu_seconds=240, wall_seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment that candidate code may read and not write."""

    python: Path
    root: Path
    key: str
    source: str
    """`lock` (the candidate's own) or `exam`."""
    packages: Mapping[str, str]
    """What is installed: normalised name -> version."""
    reason: str = ""
    """For the candidate: why it is the exam's, or what was left out or chosen otherwise."""
    installs: bool | None = None
    """Whether the lock installs as it stands; None where there is none, or a package did not build here."""
    missing: tuple[str, ...] = ()
    """Requirements of the lock's packages that the lock does not meet."""
    log_tail: str = ""
    broken: str = ""
    """Why no program could use it."""

    @property
    def readable(self) -> tuple[Path, ...]:
        """What must be readable wherever it is used: itself, and the installation of Python behind it."""
        base = self.python.resolve().parent.parent
        return (self.root,) if base.is_relative_to("/usr") else (self.root, base)


def prepare(
    submission: Submission, spec: EnvironmentSpec, cache: Cache, bwrap: Wall | None, say: Say = say_nothing
) -> Environment:
    """The environment of a submission, built or reused.

    Args:
        bwrap: what walls off the build of source packages; None builds in the open.
        say: told what is being done, for those who wait.

    Raises:
        GraderFault: index, disk or the exam's own lock are at fault.
    """
    python, remark = uv.find_interpreter(spec.python)
    plan = lock_plan(submission, spec)
    installs: bool | None = None
    why, log = (f"there is no {spec.lock}" if spec.lock else ""), ""
    if isinstance(plan, Problem):
        installs, why = False, f"{plan.where}: {plan.message}"
    elif plan is not None:
        try:
            environment = _built(plan, python, cache, bwrap, say)
            if not environment.broken:
                return replace(environment, reason="; ".join(filter(None, (remark, environment.reason))))
            installs, log = False, environment.log_tail
            why = f"{spec.lock} gives an environment in which {environment.broken}"
        except uv.Refused as refused:
            installs = None if isinstance(refused, uv.NotBuilt) else False
            log = refused.output[-_TAIL:]
            why = f"{spec.lock} cannot be installed: {refused}"
    environment = _exams_own(submission, spec, python, cache, bwrap, say)
    used = f"{why}; the exam's own environment was used" if why else ""
    reason = "; ".join(filter(None, (used, remark)))
    return replace(environment, reason=reason, installs=installs, missing=(), log_tail=log)


def _exams_own(
    submission: Submission,
    spec: EnvironmentSpec,
    python: uv.Interpreter,
    cache: Cache,
    bwrap: Wall | None,
    say: Say,
) -> Environment:
    if spec.fallback is not None and not spec.fallback.is_file():
        raise GraderFault(f"the exam's own lock file is missing: {spec.fallback.name}")
    try:
        return _built(exam_plan(submission, spec), python, cache, bwrap, say)
    except uv.Refused as refused:
        raise GraderFault("the exam's own lock cannot be installed", log_tail=refused.output) from refused


def _built(plan: Plan, python: uv.Interpreter, cache: Cache, bwrap: Wall | None, say: Say) -> Environment:
    builder = _Build(plan, python, cache, bwrap, say)
    inputs = plan.inputs([python.version, str(python.path)], uv.index_settings())
    return _load(cache.get(_KIND, inputs, builder, outline), plan)


def _load(entry: Path, plan: Plan) -> Environment:
    """What lines were left out is the submission's own: others with the same packages share the rest."""
    facts = json.loads((entry / _FACTS).read_text())
    root = entry / "venv"
    return Environment(
        python=root / "bin" / "python",
        root=root,
        key=entry.name,
        source=facts["source"],
        packages=MappingProxyType(facts["packages"]),
        reason="; ".join(filter(None, (*plan.left_out, facts["reason"]))),
        installs=not plan.left_out,
        missing=tuple(facts["missing"]),
        log_tail=facts["log_tail"],
        broken=facts["broken"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What building found out, kept beside the environment."""

    source: str
    packages: dict[str, str]
    reason: str
    missing: tuple[str, ...]
    log_tail: str
    broken: str
    """Why it is of no use."""


class _Build:
    """Fills an environment's directory."""

    def __init__(
        self,
        plan: Plan,
        python: uv.Interpreter,
        cache: Cache,
        bwrap: Wall | None,
        say: Say = say_nothing,
    ) -> None:
        self._plan = plan
        self._say = say
        self._python = python
        self._builder = WheelBuilder(cache, python, bwrap)
        self._bwrap = bwrap
        self._wheels: list[Path] = []

    def __call__(self, directory: Path) -> None:
        self._say("resolving the packages")
        texts = [_text(line) for line in self._plan.lines]
        packages = uv.describe(texts, (line.name for line in self._plan.lines), self._python)
        if sum(package.size for package in packages) > MAX_DOWNLOADED:
            raise uv.Refused(f"error: its packages are larger than {MAX_DOWNLOADED >> 30} GiB together")
        own = self._own_wheels(packages)
        self._wheels = self._spare_wheels()
        lock = [_text(line) for line in self._plan.lines if line.name not in own] + list(own.values())
        completed, remarks = self._complete(lock)
        root = directory / "venv"
        uv.make_environment(root, self._python)
        own_files = _interpreter(root)
        names = {package.name for package in packages}
        wanted = [*self._hashed(own), *_others(completed, names)]
        log = uv.install(root, wanted, self._python, wheels=self._wheels, say=self._say)
        if _interpreter(root) != own_files:
            raise uv.Refused("error: a package puts files in the place of the environment's own Python")
        self._say(f"compiling {len(wanted)} packages")
        uv.compile_bytecode(root, self._python, self._bwrap)
        installed = Installed(root, self._python.version)
        self._say("trying its imports")
        broken, said = self._tried(root)
        facts = _Facts(
            source=self._plan.source,
            packages=installed.versions,
            reason="; ".join(remarks),
            missing=installed.missing(self._wanted(names)),
            log_tail=(said or log)[-_TAIL:],
            broken=broken,
        )
        (directory / _FACTS).write_text(json.dumps(asdict(facts)))

    def _tried(self, root: Path) -> tuple[str, str]:
        """What of the exam's imports fails, and its traceback; nothing where this machine was in the way."""
        statement = f"import {', '.join(self._plan.imports)}"
        if not self._plan.imports:
            return "", ""
        words: list[str | Path] = [root / "bin" / "python", "-I", "-c", statement]
        readable = [root, self._python.path.parent.parent]
        with build_sandbox(self._bwrap) as sandbox:
            done = sandbox.run(words, readable=readable, limits=_IMPORT_LIMITS)
        said = "\n".join(filter(None, (done.stdout.strip(), done.stderr.strip())))
        last = said.rpartition("\n")[2]
        if done.returncode != 1 or "Error" not in last or last.startswith(("MemoryError", "OSError")):
            return "", ""
        return f"`{statement}` fails: {last[:200]}", said

    def _own_wheels(self, packages: Sequence[uv.Package]) -> dict[str, str]:
        """Name -> requirement of the wheels that had to be built."""
        sources = [package for package in packages if not package.has_wheel]
        if len(sources) > MAX_BUILDS:
            raise uv.NotBuilt(f"error: more than {MAX_BUILDS} packages have no wheel for this machine")
        deadline = time.monotonic() + MAX_BUILD_SECONDS
        own: dict[str, str] = {}
        for package in sources:
            if time.monotonic() > deadline:
                raise uv.NotBuilt("error: its packages take too long to build")
            self._say(f"building {package.name} ({len(own) + 1} of {len(sources)} without a wheel)")
            own[package.name] = f"{package.name} @ {self._builder.wheel(package).as_uri()}"
        return own

    def _spare_wheels(self) -> list[Path]:
        """Wheels of what the exam pins and the index has in source only, for whatever comes to need them."""
        preferred = self._plan.preferred
        packages = uv.describe(preferred, map(_name, preferred), self._python) if preferred else []
        wheels = []
        for package in packages:
            with contextlib.suppress(uv.NotBuilt):
                wheels += [] if package.has_wheel else [self._builder.wheel(package).parent]
        return wheels

    def _resolve(self, requirements: list[str], constraints: Sequence[str] = ()) -> list[str]:
        return uv.resolve(
            requirements,
            self._python,
            constraints=constraints,
            preferred=self._plan.preferred,
            wheels=self._wheels,
        )

    def _complete(self, lock: list[str]) -> tuple[list[str], list[str]]:
        """Pins for everything: the lock, what it forgot, what the exam adds; and remarks on what did not fit.

        What a lock forgot is installed all the same: it has lost its point already, and must not lose those
        of every task whose program needs it.
        """
        pinned = {line.name for line in self._plan.lines}
        additions = [*self._plan.additions, *(text for name, text in USUAL.items() if name not in pinned)]
        try:
            return self._resolve([*lock, *additions]), []
        except uv.Refused:
            return self._complete_by_parts(lock, additions)

    def _complete_by_parts(self, lock: list[str], additions: list[str]) -> tuple[list[str], list[str]]:
        """The same for a lock that contradicts itself or an addition: whatever can be had besides it."""
        try:
            pins = self._resolve(lock)
        except uv.Refused:
            pins = lock
        remarks = []
        for addition in additions:
            try:
                pins = _joined(pins, self._resolve([addition], _constraints(pins)))
            except uv.Refused as refused:
                remarks.append(f"{addition} cannot be added to the lock: {refused}")
        return pins, remarks

    def _hashed(self, own: Mapping[str, str]) -> list[str]:
        lines = [_text(line, hashes=True) for line in self._plan.lines if line.name not in own]
        return [*lines, *own.values()]

    def _wanted(self, names: set[str]) -> list[tuple[str, frozenset[str]]]:
        asked = ((line.name, line.requirement) for line in self._plan.lines if line.requirement)
        return [(name, frozenset(requirement.extras)) for name, requirement in asked if name in names]


def _interpreter(root: Path) -> dict[str, str]:
    """What an environment's Python starts from, before it looks at any package."""
    names = (entry.name for entry in (root / "bin").iterdir() if entry.name.startswith("python"))
    links = {name: os.fspath(path.readlink()) for name in names if (path := root / "bin" / name).is_symlink()}
    return {**links, "pyvenv.cfg": (root / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")}


def _text(line: Line, *, hashes: bool = False) -> str:
    return " ".join((str(line.requirement), *(f"--hash={one}" for one in line.hashes if hashes)))


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def _others(pins: Sequence[str], names: set[str]) -> list[str]:
    return [pin for pin in pins if _name(pin) not in names]


def _joined(pins: Sequence[str], more: Sequence[str]) -> list[str]:
    return [*pins, *_others(more, {_name(pin) for pin in pins})]


def _constraints(pins: Sequence[str]) -> list[str]:
    """Extras are no part of a constraint."""
    found: list[str] = []
    for pin in pins:
        requirement = Requirement(pin)
        requirement.extras = set()
        found.append(str(requirement))
    return found
