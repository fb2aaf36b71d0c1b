from __future__ import annotations

import pytest

from grader.readers.regular_expressions import matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("5..", "500", True),
        ("5..", "5000", False),
        ("^/x$", "/x", True),
        ("é+", "éé", True),
        ("", "", True),
        ("(a|aa)+$", "a" * 100_000 + "!", False),
        ("((a*)*)*b", "a" * 100_000, False),
        ("(x+x+)+y", "x" * 100_000 + "y", True),
        ("a.c", "a\ud800c", False),
        ("\ud800", "a", False),
        # What RE2 refuses.
        ("(", "(", False),
        ("(?=a)a", "a", False),
        (r"(a)\1", "aa", False),
        ("a++", "a", False),
        ("a{1001}", "a" * 1001, False),
        (r"(\pL{900}|x)" * 100, "x" * 100, False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_whole_texts(pattern: str, text: str, expected: bool, capfd: pytest.CaptureFixture[str]) -> None:
    assert matches(pattern, text) is expected
    assert capfd.readouterr() == ("", "")
