"""What tests of checks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.checks import laboratory


@pytest.fixture(scope="session", autouse=True)
def _workshop_is_closed() -> Iterator[None]:
    yield
    laboratory.close()
