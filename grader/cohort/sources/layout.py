"""What every layout gives: submissions with whose they are, and remarks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from grader.cohort.sources.entries import Entry, Work, skipped, works
from grader.cohort.sources.model import Found, Person

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_NAMED = 5
"""Names that one remark lists."""


@dataclass(slots=True)
class Reading:
    """What a layout makes of a folder, as it grows."""

    root: Path
    aside: Path
    """A folder of ours for what has to be put together; it need not exist yet."""
    found: list[Found] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def take(
        self, people: tuple[Person, ...], entry: Entry, *, tag: str = "", late: bool | None = None
    ) -> None:
        """Note what an entry holds as submissions of some people."""
        if why := skipped(entry):
            self.remarks.append(why)
            return
        held = works(entry)
        for work in held:
            self.found.append(found(people, work, tag=work.title or tag, late=late))
        if len(held) > 1:
            self.remarks.append(
                f"{entry.text} holds {len(held)} archives, each of which is taken for a submission: "
                f"{listed(work.title for work in held)}"
            )


def found(people: tuple[Person, ...], work: Work, *, tag: str = "", late: bool | None = None) -> Found:
    """A work as a submission of some people."""
    return Found(
        people=people,
        source=os.path.abspath(work.path),  # noqa: PTH100  (`resolve` would follow a link put there since)
        tag=tag,
        submitted_at=work.submitted_at,
        evidence=work.evidence,
        late=late,
        unreadable=work.unreadable,
    )


def listed(names: Iterable[str]) -> str:
    """The first of some names."""
    every = list(names)
    more = f" and {len(every) - MAX_NAMED:,} more" if len(every) > MAX_NAMED else ""
    return ", ".join(every[:MAX_NAMED]) + more
