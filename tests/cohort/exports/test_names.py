from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.cohort.exports.names import MAX_BYTES, FileNames, file_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("..", "candidate"),
        ("", "candidate"),
        ("  ", "candidate"),
        (".hidden", "hidden"),
        ("~root", "root"),
        ("C:\\Users\\x", "C-Users-x"),
        ("<img src=x onerror=alert(1)>", "img src-x onerror-alert-1"),
        ("a\0b\nc\x1b[31m", "a-b-c-31m"),
        ("\u202egpj.exe", "gpj.exe"),
        ("con", "candidate-con"),
        ("NUL.txt", "candidate-NUL.txt"),
        ("-rf", "rf"),
        ("name. ", "name"),
        ("שרה כהן", "שרה כהן"),
        ("José", "José"),
        ("👩‍🎓", "candidate"),
        ("x" * 1000, "x" * MAX_BYTES),
        ("é" * 1000, "é" * (MAX_BYTES // 2)),
        ("\ud800x", "x"),
    ],
)
def test_names_are_safe(text: str, name: str) -> None:
    assert file_name(text) == name


def test_names_differ_on_every_file_system() -> None:
    names = FileNames()
    taken = [
        names.take(each)
        for each in ("Jane", "jane", "JANE", "Jane-2", "José", "Jose\u0301", "", "..", "\uff2aane")
    ]
    assert taken == [
        *("Jane", "jane-2", "JANE-3", "Jane-2-2", "José", "José-2", "candidate", "candidate-2", "\uff2aane-4")
    ]


@given(st.lists(st.text(max_size=200), max_size=6))
def test_any_names(texts: list[str]) -> None:
    names = FileNames()
    taken = [names.take(text) for text in texts]
    assert len({name.casefold() for name in taken}) == len(texts)
    for name in taken:
        assert re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]+", name)
        assert len(name.encode()) <= MAX_BYTES + 3
        assert name[0] not in ".-~ "
        assert name[-1] not in ". "
