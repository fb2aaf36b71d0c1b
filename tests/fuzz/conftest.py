from __future__ import annotations

import faulthandler
import resource
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 600
MAX_BYTES = 6 * 2**30


@pytest.fixture
def deadline() -> Iterator[None]:
    """End the whole run, with every thread's stack, where a reader does not come to an end or eats memory.

    A reader that hangs in C hears no exception.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, before[1]))
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    resource.setrlimit(resource.RLIMIT_AS, before)
