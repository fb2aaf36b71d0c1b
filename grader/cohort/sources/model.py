"""What a source holds: whose submissions, where they are, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def folded(name: str) -> str:
    """A name as people compare it: without regard to case and blanks."""
    return " ".join(name.split()).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One candidate. Texts are as the source has them: hostile, to be shown through `grader.report.safe`."""

    key: str
    """Stable over downloads of the same cohort, never empty, and text in UTF-8, as all that follows."""
    name: str = ""
    email: str = ""
    section: str = ""
    identities: tuple[tuple[str, str], ...] = ()
    """What other systems call this person: `("moodle-participant", "4711")`, `("github", "octo")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One submission, read no further than is needed to tell whose it is."""

    people: tuple[Person, ...]
    """Never empty; several are a group that handed in one work."""
    source: str
    """What `grader.submission.collect.collect` takes."""
    tag: str = ""
    """The attempt, revision or name by which a person's submissions are told apart."""
    submitted_at: datetime | None = None
    """In UTC; None where nothing says it."""
    evidence: str = ""
    """Where the time is from."""
    late: bool | None = None
    """None where there is no deadline, or no time."""
    unreadable: str = ""
    """Why there is no use in collecting it, in one line; empty where that can be tried."""
    origin: str = ""
    """Where a repository is copied from, for which `source` names the copy and the commit."""
    retry: bool = False
    """It is unreadable for a reason that is not the candidate's and may pass, such as the network's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """What was found in a source."""

    kind: str
    """What the source was taken for: `Moodle download`."""
    root: Path
    """Where the entries are: below the source if that is an archive or wraps its only folder."""
    found: tuple[Found, ...]
    """In order of the first person's key; of one person, the oldest first where times are known."""
    missing: tuple[Person, ...] = ()
    """People whom a roster names and who handed nothing in."""
    remarks: tuple[str, ...] = ()
    """What was skipped and why, and what is worth a look. Each is one line once shown through `safe`."""
