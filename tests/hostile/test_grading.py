"""What two grades say differently."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hostile.grading import Outcome, differences


def outcome(document: dict[str, Any] | None) -> Outcome:
    return Outcome(
        status=0,
        hung=False,
        seconds=1.0,
        text="what it said",
        document=document,
        left=(),
        memory=0.0,
        disk=0.0,
        grader_memory=0.0,
    )


def document(seconds: float = 1.0, score: float = 3.0, **tasks: str) -> dict[str, Any]:
    found = [{"id": name, "says": said, "seconds": seconds} for name, said in tasks.items()]
    return {"score": score, "seconds": seconds, "sections": [{"tasks": found}]}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, ["no result: what it said"]),
        (document(a="x", b="z"), ["b was {'id': 'b', 'says': 'y'}, and is {'id': 'b', 'says': 'z'}"]),
        (document(b="z"), ["b was {'id': 'b', 'says': 'y'}, and is {'id': 'b', 'says': 'z'}"]),
        (document(score=2.0, a="x", b="y"), ["score was 3.0, and is 2.0"]),
        (document(score=2.0, b="y"), []),
        (document(seconds=9.0, a="x", b="y"), []),
    ],
)
def test_differences_of_two_grades(after: dict[str, Any] | None, expected: list[str]) -> None:
    assert list(differences(outcome(document(a="x", b="y")), outcome(after))) == expected
