"""The values that make up a grade. Nothing here runs, reads or prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.timeline import Span


class Status(StrEnum):
    """The status of a criterion, or of one part of it."""

    EARNED = "earned"
    PARTIAL = "partial"
    LOST = "lost"
    BLOCKED = "blocked"  # something it needs was lost already
    UNVERIFIED = "unverified"  # this machine lacks what it takes to decide
    ERROR = "error"  # the grader failed

    @property
    def open(self) -> bool:
        """Whether the points are still undecided."""
        return self in (Status.UNVERIFIED, Status.ERROR)


class Evidence(StrEnum):
    """How an outcome was decided."""

    STATIC = "static"
    RUNS = "runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """How a deliverable was called."""

    path: str
    """The file."""
    command: str
    """The command whose result was judged, as a shell has it."""
    origin: str = ""
    """Where the command was found, `dvc.yaml:7`; empty where it is the program's name alone."""
    variables: tuple[str, ...] = ()
    """Variables that it was given, and where each was found: `MODEL_NAME (k8s/deployment.yaml:31)`."""
    trials: tuple[str, ...] = ()
    """Earlier calls, and how each ended."""


class Verdict(StrEnum):
    """What a check decided."""

    PASSED = "passed"
    FAILED = "failed"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check saw, in the candidate's terms."""

    message: str
    """One sentence, no final newline: what is wrong (or, on a pass, what was noticed)."""
    expected: str = ""
    actual: str = ""
    where: str = ""
    """`Dockerfile.train:12`, `GET /ready`, `python src/train.py`."""
    detail: str = ""
    """Several lines where they help: the tail of an output, a traceback cut to the candidate's frames."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    """An image that a check looked at, small and drawn anew: no byte of the candidate's is in it."""

    name: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check returns. A check that raises has decided nothing (`grader.errors` says what follows)."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    evidence: Evidence | None = None
    """How it was decided, if that differs from what the check declares."""
    cause: str = ""
    """What stands in the way of several criteria at once, such as a server that does not start. The first
    criterion of a task that is lost to a cause is lost; the others are blocked by it."""
    thumbnails: tuple[Thumbnail, ...] = ()
    """The images that were judged, for people who look again."""


def passed(*findings: Finding, evidence: Evidence | None = None) -> Outcome:
    """An outcome that earns the points; findings, if any, are remarks."""
    return Outcome(Verdict.PASSED, findings, evidence)


def failed(*findings: Finding, evidence: Evidence | None = None, cause: str = "") -> Outcome:
    """An outcome that loses the points, with at least one finding that says why.

    Args:
        cause: what takes other criteria of the task along; see `Outcome.cause`.
    """
    if not findings:
        raise ValueError("a failed outcome needs a finding")
    return Outcome(Verdict.FAILED, findings, evidence, cause)


def stopped(finding: Finding, *, evidence: Evidence | None = None) -> Outcome:
    """An outcome that is lost to what takes others along, such as a file that cannot be read.

    All that are lost to an equal message at the same place are lost to the same cause.
    """
    return failed(finding, evidence=evidence, cause=f"{finding.where} {finding.message}".strip())


def unverified(reason: str, *, detail: str = "") -> Outcome:
    """An outcome for a machine that cannot decide: a tool or a network is missing."""
    return Outcome(Verdict.UNVERIFIED, (Finding(message=reason, detail=detail),))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """A part of a criterion; a criterion without parts has one, with an empty id."""

    id: str
    title: str
    points: float
    status: Status
    findings: tuple[Finding, ...] = ()
    evidence: Evidence | None = None
    blocked_by: str = ""
    """The criterion, part or deliverable that was lost first."""
    cause: str = ""
    """Of a loss: see `Outcome.cause`."""
    thumbnails: tuple[Thumbnail, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """The smallest thing that earns points."""

    id: str
    title: str
    points: float
    earned: float
    highest: float
    """The most it can still earn: more than `earned` only while a part is undecided."""
    status: Status
    evidence: Evidence | None
    hint: str
    parts: tuple[PartResult, ...]
    blocked_by: str = ""
    seconds: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all parts, in order and without repetitions."""
        return tuple(dict.fromkeys(finding for part in self.parts for finding in part.findings))

    @property
    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """Those of all parts, each once."""
        return tuple(dict.fromkeys(each for part in self.parts for each in part.thumbnails))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """One of the exam's tasks."""

    id: str
    title: str
    criteria: tuple[CriterionResult, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    """Deliverable id -> the file that was taken for it; empty where none was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionResult:
    """One of the exam's sections."""

    id: str
    title: str
    bonus: bool
    tasks: tuple[TaskResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A submitted deliverable next to the reference solution's."""

    task: str
    deliverable: str
    path: str
    """Empty if it was not handed in."""
    text: str
    reference_path: str
    reference_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file of the submission that a finding speaks of, or a line of it with those around it."""

    path: str
    line: int | None = None
    first: int = 0
    """The number of the first of `lines`."""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The totals; `lowest` and `highest` differ while something is undecided."""

    earned: float
    possible: float
    bonus_earned: float
    bonus_possible: float
    lowest: float
    highest: float
    pass_mark: float
    passed: bool
    complete: bool

    @property
    def certain(self) -> bool:
        """Whether nothing that is still open can change the verdict."""
        return self.passed or self.highest < self.pass_mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """Everything a report is made from."""

    exam: Mapping[str, str]
    """id, title, version, digest"""
    submission: Mapping[str, str]
    """name, digest"""
    score: Score
    sections: tuple[SectionResult, ...]
    criteria_of_exam: int = 0
    """How many criteria the whole exam has; a grade of some tasks has fewer."""
    environment: Mapping[str, object] = field(default_factory=dict)
    isolation: str = ""
    seed: int = 0
    tools: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Finding, ...] = ()
    """Findings from collecting and preparing that no criterion covers."""
    calls: Mapping[str, CallRecord] = field(default_factory=dict)
    """Deliverable id -> how it was called."""
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    """`Finding.where` -> the places in files that it names."""
    comparisons: tuple[Comparison, ...] = ()
    """The reference solution's files for what was lost, if requested."""
    seconds: float = 0.0
    spans: tuple[Span, ...] = ()
    """Where the time went; only `--timings` shows it."""

    @property
    def tasks(self) -> tuple[TaskResult, ...]:
        """The tasks of all sections."""
        return tuple(task for section in self.sections for task in section.tasks)

    @property
    def criteria(self) -> tuple[CriterionResult, ...]:
        """The criteria of all tasks."""
        return tuple(row for task in self.tasks for row in task.criteria)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding of every criterion, and the remarks."""
        return (*(finding for row in self.criteria for finding in row.findings), *self.remarks)
