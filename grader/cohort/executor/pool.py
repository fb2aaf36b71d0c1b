"""What a batch asks of whoever runs its attempts: agents of this machine, or of a cluster's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from grader.cohort.executor.messages import Done, Failed, Lost, Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.cohort.executor.messages import Doing, Grade, Look

Outcome = Seen | Done | Failed | Lost | str
"""Of an attempt; a text where the agent, or the machine that it was on, died of it: how."""


class Slot(Protocol):
    """Where one attempt at a time is made."""

    name: str
    ready: bool
    """Whether it has started, and can be handed something once it is at nothing."""
    work: object
    """What it was handed, until it has answered."""
    doing: Doing
    since: float
    """When it was handed that, by `time.monotonic`."""

    def hand(self, work: object, request: Look | Grade) -> None:
        """Give it something to do; `work` comes back with the answer."""


class Pool(Protocol):
    """The slots there are. For one thread."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What results depend on besides submissions and options."""

    @property
    def agents(self) -> Sequence[Slot]:
        """All slots, ready or not."""

    def fill(self, wanted: int | None = None) -> None:
        """See to it that there are slots: as many as can be had, or as are wanted."""

    def idle(self) -> Sequence[Slot]:
        """Those that can be handed something."""

    def busy(self) -> Sequence[Slot]:
        """Those that are at something."""

    def wait(self, seconds: float) -> Sequence[tuple[Slot, object, Outcome]]:
        """What was answered meanwhile.

        Raises:
            UsageError: nothing can be graded there, and why.
            GraderFault: nothing more can be graded there, though it should.
        """
