"""Until when submissions are in time, and which of a person's submissions counts.

A submission that is late is not lost: it is marked so, and counts where there is none in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.cohort.sources.model import Found, Person

LATEST, BEST = POLICIES = ("latest", "best")
"""Ways to tell which submission of a candidate counts; anything else is the tag of the one that does."""
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Of all, and of those who have another."""

    at: datetime | None = None
    """Aware."""
    extensions: Mapping[str, datetime] = field(default_factory=dict)
    """By the key of a person."""

    def of(self, people: Sequence[Person]) -> datetime | None:
        """The latest among a group; None where somebody of it has none."""
        each = [self.extensions.get(person.key, self.at) for person in people]
        known = [time for time in each if time is not None]
        return max(known) if known and len(known) == len(each) else None

    def judged(self, found: Found) -> Found:
        """The same, and whether it is late, unless its platform says so already."""
        until = self.of(found.people)
        if found.late is not None or until is None or found.submitted_at is None:
            return found
        return replace(found, late=found.submitted_at > until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is to be graded."""

    found: tuple[Found, ...]
    without: tuple[Person, ...] = ()
    """Who handed something in, and nothing under the tag that was asked for."""


def select(found: Sequence[Found], which: str = LATEST) -> Selection:
    """The submissions that count by a policy.

    Args:
        found: as `Cohort.found`: of one person, the oldest first.
        which: `latest` (before late ones, those in time), `best` (all are graded, and the best one counts),
            or the tag of a submission.

    Raises:
        UsageError: nobody has a submission with that tag.
    """
    if which == BEST:
        return Selection(found=tuple(found))
    of_person: dict[str, list[int]] = {}
    people: dict[str, Person] = {}
    for index, each in enumerate(found):
        for person in each.people:
            people[person.key] = person
            of_person.setdefault(person.key, []).append(index)
    chosen: dict[int, set[str]] = {}
    without = []
    for key, indices in of_person.items():
        if which != LATEST:
            indices = [index for index in indices if found[index].tag == which]  # noqa: PLW2901
        if indices:
            chosen.setdefault(max(indices, key=lambda index: _rank(found[index], index)), set()).add(key)
        else:
            without.append(people[key])
    if not chosen and found:
        tags = sorted({each.tag for each in found if each.tag})
        known = f"tags are {', '.join(tags[:5])}" if tags else "none has a tag"
        raise UsageError(f"no submission is called {which!r}: give latest, best or a tag ({known})")
    return Selection(
        found=tuple(_of(found[index], keys) for index, keys in sorted(chosen.items())), without=tuple(without)
    )


def _rank(found: Found, index: int) -> tuple[bool, bool, datetime, int]:
    return not found.unreadable, not found.late, found.submitted_at or _NEVER, index


def _of(found: Found, keys: set[str]) -> Found:
    """For those of a group whose latest it is."""
    return replace(found, people=tuple(person for person in found.people if person.key in keys))
