"""Waiting for a server that was just started."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
TICK = 0.05


def wait_until(
    ready: Callable[[], T | None], *, alive: Callable[[], bool], seconds: float, pause: float = TICK
) -> T | None:
    """The first true answer of `ready`; None once the server has ended or the time is up.

    Args:
        pause: seconds between two questions; 0 where `ready` itself waits.
    """
    deadline = time.monotonic() + seconds
    # A server that ended is told at once, and not when the time is up.
    while alive() and time.monotonic() < deadline:
        if answer := ready():
            return answer
        time.sleep(pause)
    return None
