"""What an agent and its dispatcher say to each other: JSON objects, one a line.

The dispatcher begins with `Hello` and sends requests, one at a time; the end of its lines is the end of the
dispatcher, however it ended. The agent answers each request once, and tells in between what it is doing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

MAX_LINE = 2**27
"""Bytes: a result document with room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first line to an agent: what is the same for all jobs."""

    kind: ClassVar[str] = "hello"
    exam: str = ""
    """The directory of the exam; empty: the bundled one."""
    seed: int = 0
    isolation: str = "bubblewrap"
    slots: int = 1
    """Runs of candidate code at a time."""
    neighbours: str = ""
    """A directory that the agents of one machine share; see `grader.runtime.queue.Neighbours`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Say whether a submission can be read, and the digest of its contents."""

    kind: ClassVar[str] = "look"
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """Grade a submission."""

    kind: ClassVar[str] = "grade"
    source: str
    tasks: tuple[str, ...] = ()
    """Only these; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The first line of an agent that can work."""

    kind: ClassVar[str] = "ready"
    facts: dict[str, str] = field(default_factory=dict)
    """Versions and the like, by which results of different machines are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The first line of one that cannot, and why: an option or this machine is unusable."""

    kind: ClassVar[str] = "refused"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """A sign of life."""

    kind: ClassVar[str] = "doing"
    what: str = ""
    decided: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The answer to `Look`."""

    kind: ClassVar[str] = "seen"
    digest: str = ""
    unreadable: str = ""
    """Why the submission cannot be graded by anybody; empty where it can."""
    retry: bool = False
    """That is not the candidate's fault and may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The answer to `Grade`."""

    kind: ClassVar[str] = "done"
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The answer to a request that came to nothing through no fault of the candidate's."""

    kind: ClassVar[str] = "failed"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What a pool says of an attempt of which it has heard no more, for no reason that has to do with it."""

    kind: ClassVar[str] = "lost"
    reason: str


Request = Hello | Look | Grade
Answer = Ready | Refused | Doing | Seen | Done | Failed
_KINDS: dict[str, Any] = {
    each.kind: each for each in (Hello, Look, Grade, Ready, Refused, Doing, Seen, Done, Failed)
}


def to_line(message: Request | Answer) -> bytes:
    """A message as one line."""
    return json.dumps({"kind": message.kind, **asdict(message)}, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> Any:
    """The message in a line.

    Raises:
        ValueError: there is none.
    """
    try:
        data = json.loads(line)
        message = _KINDS[data.pop("kind")](**data)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no message: {error}") from None
    return message
