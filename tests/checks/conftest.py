"""What tests of checks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checks import live

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _shared_runtime_is_closed() -> Iterator[None]:
    yield
    live.close()
