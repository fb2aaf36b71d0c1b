from __future__ import annotations

from typing import Any, TypedDict

import pytest

from grader.exam.parameters import mismatches


class How(TypedDict):
    path: str
    seconds: float
    words: dict[str, list[str]]


RIGHT = {"path": "x", "seconds": 3, "words": {"a": ["b"]}}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (RIGHT, None),
        ({**RIGHT, "seconds": "3"}, ("seconds",)),
        ({**RIGHT, "words": {"a": [1]}}, ("words", "a", 0)),
        ({**RIGHT, "more": 1}, ("more",)),
        ({"path": "x", "seconds": 3}, ()),
        ([], ()),
    ],
)
def test_a_mapping_with_known_keys(value: Any, place: tuple[object, ...] | None) -> None:
    assert [found for found, _ in mismatches(value, How)] == ([] if place is None else [place])
