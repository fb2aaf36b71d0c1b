"""What tests of checks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checks import laboratory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _workshop_is_closed() -> Iterator[None]:
    yield
    laboratory.close()
