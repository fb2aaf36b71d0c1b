from __future__ import annotations

import pytest

from grader.runtime.readiness import wait_until


@pytest.mark.parametrize(
    ("answers", "lives", "seconds", "expected"),
    [
        ([None, None, "up"], 9, 9, "up"),
        ([None, None, "up"], 2, 9, None),  # it ended first
        (["up"], 0, 9, None),
        (["up"], 9, 0, None),
        ([False] * 1000, 1000, 0.01, None),
    ],
)
def test_wait_until(answers: list[object], lives: int, seconds: float, expected: object) -> None:
    left, alive = iter(answers), iter([True] * lives)
    found = wait_until(lambda: next(left), alive=lambda: next(alive, False), seconds=seconds, pause=0.001)
    assert found == expected
