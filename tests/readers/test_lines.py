from __future__ import annotations

from grader.readers.lines import joined_lines


def test_lines_that_go_on() -> None:
    lines = ["a \\", "  b\\", "\tc", "", "d\\"]
    assert list(joined_lines(lines)) == [(1, "a  b c"), (4, ""), (5, "d\\")]
    assert list(joined_lines([])) == []
