"""From a folder or archive of many submissions to whose they are: the front door of this package."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from grader.cohort.sources import folders, moodle
from grader.cohort.sources.entries import Entry, entries
from grader.cohort.sources.layout import Reading
from grader.cohort.sources.model import Cohort
from grader.errors import UsageError
from grader.submission.manifest import NAMES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

LAYOUTS = (moodle,)
"""Those that have names of their own, in the order in which they are tried."""
MIN_ANSWERS = 2
"""Paths of the exam's that a folder has itself, from which on it is one submission."""


def discover(
    source: Path,
    *,
    mapping: str = "",
    deadline: datetime | None = None,
    starter: Collection[str] = (),
    aside: Path | None = None,
) -> Cohort:
    """Say what a source holds.

    Args:
        mapping: a regular expression over names of entries with the group `key`, or the path of a roster.
        deadline: aware; what was handed in later is `late`.
        starter: paths at which the exam expects answers, by which one submission is told from many.
        aside: a folder of ours, kept from run to run, for what is unpacked, cloned or put together.

    Raises:
        UsageError: there is no such source, it cannot be read, is itself one submission, or holds none.
    """
    if mapping or deadline:
        raise UsageError("neither a mapping nor a deadline can be given yet")
    if not source.is_dir():
        raise UsageError(f"there is no folder at {source}")
    held = entries(source)
    _refuse_one(source, held, starter)
    layout = next((each for each in LAYOUTS if each.recognises(held)), None)
    reading = Reading(source, aside or Path(tempfile.gettempdir()))
    (layout or folders).read(held, reading)
    if not reading.found:
        raise UsageError(f"{source} holds no submissions: there is neither a folder nor an archive in it")
    found = sorted(reading.found, key=lambda each: (each.people[0].key, each.tag))
    return Cohort(
        kind=(layout or folders).KIND, root=source, found=tuple(found), remarks=tuple(reading.remarks)
    )


def _refuse_one(source: Path, held: Sequence[Entry], starter: Collection[str]) -> None:
    names = {entry.name for entry in held}
    first = {path.partition("/")[0] for path in starter}
    if names.intersection(NAMES) or len(names & first) >= MIN_ANSWERS:
        raise UsageError(f"{source} is one submission, not a folder of them: use `grader score {source}`")
