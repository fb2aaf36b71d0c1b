"""exam.yaml and its rubrics, as frozen objects: nothing beyond this room sees a dict of YAML."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


PYTHON = ".".join(platform.python_version_tuple()[:2])
"""The grader's own, for exams that ask for no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliverable:
    """A thing that the exam asks for."""

    id: str
    path: str
    """Where the exam says it is; empty where the exam names no place."""
    accept: tuple[str, ...] = ()
    """Other paths (globs allowed) that serve as well, in order of preference."""
    calls: tuple[str, ...] = ()
    """Functions (or commands of several words) by whose use a file is discovered, where no path is named."""
    unless: tuple[str, ...] = ()
    """Functions whose callers rank lower among discovered files."""
    prefer: tuple[str, ...] = ()
    """Globs of names to prefer among discovered files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The smallest thing that a check decides. A criterion without parts has one, with an empty id."""

    id: str
    title: str
    points: float
    check: str
    parameters: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    """Criteria (`3.1.runs`) or parts (`4.1.ready/with_model`) without which it earns nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """The smallest thing that earns points on its own line of the report."""

    id: str
    title: str
    points: float
    hint: str
    parts: tuple[Part, ...]
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Ids of deliverables of the task that its checks read, and without which it earns nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One rubric file."""

    id: str
    title: str
    deliverables: tuple[Deliverable, ...]
    criteria: tuple[Criterion, ...]
    notes: str = ""
    reads: tuple[str, ...] = ()
    """Globs of files besides the deliverables on which its criteria depend."""

    @property
    def points(self) -> float:
        """The sum of its criteria's."""
        return sum(criterion.points for criterion in self.criteria)

    def concerns(self, path: str, *, by_the_way: bool = True) -> bool:
        """Whether a file is one of the task's, or a folder holds one.

        Args:
            by_the_way: its `reads` count too.
        """
        patterns = [*self.reads] if by_the_way else []
        for deliverable in self.deliverables:
            patterns += [deliverable.path, *deliverable.accept]
        return any(
            fnmatch(path, pattern) or PurePosixPath(pattern).is_relative_to(path)
            for pattern in patterns
            if pattern
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A group of tasks; a bonus section counts towards the score and not towards its full marks."""

    id: str
    title: str
    tasks: tuple[Task, ...]
    bonus: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """What candidate code runs with."""

    python: str = PYTHON
    """The Python version the exam asks for, `3.11`."""
    lock: str = ""
    """The lock file's path in a submission; empty where the exam asks for none."""
    lock_deliverables: tuple[str, ...] = ()
    """Ids of the deliverables that the exam asks for at this path: they know where it is instead."""
    fallback: Path | None = None
    """The exam's own fully pinned lock file; None where it needs no package."""
    provides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the exam needs whether a lock has it or not: requirement by distribution, with import lines."""
    imports: tuple[str, ...] = ()
    """Modules without which no environment is worth anything."""
    preload: tuple[str, ...] = ()
    """Modules that take scripts seconds to import: imported once for all of them, where they are there."""
    programs: tuple[str, ...] = ()
    """Modules besides the submission's own that are run with `-m`, and may start from what was imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Where candidate code finds the servers, and what its environment says of them."""

    tracking_port: int = 5000
    """MLflow's."""
    objects_port: int = 9000
    """The S3 endpoint's."""
    access_key: str = "exam"
    secret_key: str = "exam"  # noqa: S105  # the endpoint takes any
    region: str = "us-east-1"

    @property
    def variables(self) -> Mapping[str, str]:
        """What candidate code is told, besides what every cell sets."""
        return {
            "MLFLOW_TRACKING_URI": f"http://localhost:{self.tracking_port}",
            "AWS_ENDPOINT_URL": f"http://localhost:{self.objects_port}",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Where the cases are that prove the rubrics."""

    defects: Path | None = None
    variants: Path | None = None
    submissions: Path | None = None
    """A folder of whole submissions, each worth full marks."""
    people: Path | None = None
    """A folder of whole, imperfect submissions, each beside what it loses."""
    canary: str = ""
    """The name of a case that is graded among a cohort's submissions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """A whole exam."""

    id: str
    title: str
    version: str
    digest: str
    """SHA-256 of exam.yaml, the rubrics and the given data."""
    directory: Path
    points: float
    """Without bonus."""
    pass_mark: float
    sections: tuple[Section, ...]
    data: Mapping[str, Path]
    """Given data: path in a submission -> file of the exam."""
    reference: Path | None
    environment: EnvironmentSpec = EnvironmentSpec()
    services: Services = Services()
    text: Path | None = None
    """The exam as candidates get it."""
    corpus: Corpus = Corpus()

    @property
    def tasks(self) -> Iterator[Task]:
        """Every task, in the exam's order."""
        return (task for section in self.sections for task in section.tasks)

    @property
    def answers(self) -> frozenset[str]:
        """Where deliverables are asked for."""
        return frozenset(each.path for task in self.tasks for each in task.deliverables if each.path)
