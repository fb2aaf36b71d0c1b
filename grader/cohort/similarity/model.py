"""What is compared, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One candidate's submission."""

    name: str
    """Unique among all that are compared."""
    folder: Path
    """Opened through `grader.files`, and only read. It must not be a link."""
    emails: tuple[str, ...] = ()
    """Addresses that are known to be the candidate's."""
    logins: tuple[str, ...] = ()
    """Names of accounts that are known to be the candidate's, as in `/home/LOGIN`."""
    earlier: bool = False
    """Of an earlier cohort: compared with this one's, not with each other."""


class Trace(StrEnum):
    """What gives away where work comes from, beside its text."""

    RUN = "mlflow-run"
    OUTPUT = "dvc-output"
    EMAIL = "email"
    HOME = "home-folder"
    FILE = "same-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A trace that both submissions have and few others."""

    trace: Trace
    value: str
    """The run's id, the hash, the address, the account or the file's path; whatever candidates wrote."""
    left: str
    """The first file on the left in which it is; empty where it is only known of the candidate."""
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines of a file, counted from 1, both included. Of a notebook: of its code cells, one after another."""

    path: str
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What is alike on both sides."""

    left: Lines
    right: Lines
    fingerprints: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two submissions that have more in common than they should by chance."""

    left: str
    right: str
    """An earlier cohort's, if one of them is."""
    score: float
    """From 0 to 1: the share of the smaller's own work that the other has too, or of one file's."""
    whole: float
    """The share of the whole submission's."""
    reasons: tuple[Reason, ...] = ()
    blocks: tuple[Block, ...] = ()
    """The largest first."""
    more_blocks: int = 0
    """How many others there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What was not compared."""

    name: str
    path: str
    """Empty: the submission itself, or the rest of it."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """What `compute` returns."""

    works: int
    earlier: int
    files: int
    """Files that were compared, earlier ones among them."""
    pairs: tuple[Pair, ...]
    """The most alike first; those below the threshold are left out."""
    more_pairs: int = 0
    """How many others are above it."""
    mostly_shared: tuple[str, ...] = ()
    """Submissions of whose own work a quarter of the cohort has most, so that little was left to compare."""
    skipped: tuple[Skipped, ...] = ()
