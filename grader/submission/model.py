"""A submission: a private copy of a candidate's folder, and where its deliverables are."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from grader.documents import SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from grader.results import Finding

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a candidate's `submission.yaml` says; empty where there is none."""

    paths: Mapping[str, str] = field(default_factory=dict)
    """Deliverable id -> path."""
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Deliverable id -> argv words that run it from the submission's root."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the commands need."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The private copy. Nothing writes to it after collecting; runs get copies of their own."""

    name: str
    root: Path
    files: tuple[PurePosixPath, ...]
    """Every regular file that was kept, sorted, as the candidate handed it in (given data not among them)."""
    given: Mapping[str, Path] = field(default_factory=dict)
    """The exam's given data, by path: what a workspace is filled in with."""
    deliverables: Mapping[str, PurePosixPath] = field(default_factory=dict)
    """Deliverable id -> the file that answers it; a missing one is not in here."""
    alternatives: Mapping[str, tuple[PurePosixPath, ...]] = field(default_factory=dict)
    """Deliverable id -> every file that may answer it, best first."""
    manifest: Manifest = Manifest()
    unread: int = 0
    """How many files were not searched for answers: there were too many."""
    digest: str = ""
    remarks: tuple[Finding, ...] = ()
    """What collecting refused or changed."""

    @cached_property
    def _cache(self) -> dict[PurePosixPath, SourceFile]:
        return {}

    @cached_property
    def _derived(self) -> dict[Callable[[Submission], Any], Any]:
        return {}

    @cached_property
    def _names(self) -> frozenset[PurePosixPath]:
        return frozenset(self.files)

    def file(self, path: str | PurePosixPath) -> SourceFile | None:
        """The file at a path inside the submission, or None. The same object each time."""
        pure = PurePosixPath(path)
        if pure not in self._names:
            return None
        return self._cache.setdefault(pure, SourceFile(self.root, pure))

    def derived(self, read: Callable[[Submission], T]) -> T:
        """What a reader makes of the whole submission, read once: many scripts ask for the same."""
        if read not in self._derived:
            self._derived[read] = read(self)
        found: T = self._derived[read]
        return found

    def deliverable(self, name: str) -> SourceFile | None:
        """The file that answers a deliverable, by the deliverable's id."""
        path = self.deliverables.get(name)
        return None if path is None else self.file(path)

    def matching(self, *patterns: str) -> tuple[SourceFile, ...]:
        """Files whose path matches a glob (`*.py` matches at any depth), in order of path."""
        found = (path for path in self.files if any(path.match(pattern) for pattern in patterns))
        return tuple(file for file in map(self.file, found) if file is not None)
