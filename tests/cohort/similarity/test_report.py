from __future__ import annotations

import io
import json

import pytest

from grader.cohort.similarity.model import Block, Lines, Pair, Reason, Similarity, Skipped, Trace
from grader.cohort.similarity.report import document, write
from grader.report.console import tolerate

HOSTILE = "a\x1b[31m\u202e\n[bold]::error::x"


def lines(path: str, first: int, last: int) -> Lines:
    return Lines(path=path, first=first, last=last)


BLOCKS = tuple(
    Block(left=lines("src/a.py", at, at + 9), right=lines("x.py", at + 5, at + 12), fingerprints=9 - at)
    for at in range(1, 8)
)
PAIR = Pair(
    left="ann",
    right="bob",
    score=0.914,
    whole=0.5,
    reasons=(
        Reason(trace=Trace.RUN, value="0" * 32, left="a.py", right="b.py"),
        Reason(trace=Trace.EMAIL, value="bob@uni.cz", left="README.md", right=""),
        Reason(trace=Trace.FILE, value="m.pkl", left="m.pkl", right="m.pkl"),
    ),
    blocks=BLOCKS,
    more_blocks=3,
)
RESULT = Similarity(
    works=40,
    earlier=3,
    files=900,
    pairs=(PAIR,),
    more_pairs=2,
    mostly_shared=("cyd",),
    skipped=(
        Skipped(name="dan", path="a.py", reason="it is not text"),
        Skipped(name="eve", path="", reason="r"),
    ),
)


def text_of(result: Similarity) -> str:
    stream = io.StringIO()
    write(result, stream)
    return stream.getvalue()


def test_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert text_of(RESULT) == (
        "40 submissions and 3 of earlier cohorts, 900 files compared\n"
        "\n"
        "  1  91 % █████████  ann and bob\n"
        "    the same MLflow run 00000000000000000000000000000000: a.py and b.py\n"
        "    the same e-mail address bob@uni.cz: README.md and known of the candidate\n"
        "    the same file, byte for byte: m.pkl\n"
        "    src/a.py:1-10 and x.py:6-13\n"
        "    src/a.py:2-11 and x.py:7-14\n"
        "    src/a.py:3-12 and x.py:8-15\n"
        "    src/a.py:4-13 and x.py:9-16\n"
        "    src/a.py:5-14 and x.py:10-17\n"
        "    5 other blocks\n"
        "\n"
        "3 pairs, 2 of them not shown: pairs to look at, never a verdict\n"
        "a quarter of the cohort has most of the work of cyd; little of it was left to \n"
        "compare\n"
        "not compared: dan: a.py: it is not text\n"
        "not compared: eve: r\n"
    )


def test_no_pairs() -> None:
    assert text_of(Similarity(works=1, earlier=0, files=1, pairs=())) == (
        "1 submission, 1 file compared\n\nno pair is more alike than independent work\n"
    )


def test_lists_are_cut() -> None:
    skipped = tuple(Skipped(name="a", path=str(at), reason="r") for at in range(12))
    reasons = tuple(Reason(trace=Trace.HOME, value=str(at), left="x", right="y") for at in range(7))
    pair = Pair(left="a", right="b", score=0.8, whole=0, reasons=reasons)
    shown = text_of(Similarity(works=2, earlier=0, files=1, pairs=(pair,), skipped=skipped)).splitlines()
    assert "    2 other traces" in shown
    assert shown[-2:] == ["not compared: a: 9: r", "not compared: 2 others"]


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(len(line) for line in text_of(RESULT).splitlines()) <= width


def test_what_candidates_wrote_steers_nothing() -> None:
    reason = Reason(trace=Trace.HOME, value=HOSTILE, left=HOSTILE, right=HOSTILE)
    block = Block(left=lines(HOSTILE, 1, 2), right=lines(HOSTILE, 1, 2), fingerprints=1)
    pair = Pair(left=HOSTILE, right=HOSTILE, score=1, whole=1, reasons=(reason,), blocks=(block,))
    skipped = (Skipped(name=HOSTILE, path=HOSTILE, reason=HOSTILE),)
    shown = text_of(
        Similarity(works=2, earlier=0, files=1, pairs=(pair,), mostly_shared=(HOSTILE,), skipped=skipped)
    )
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "::error::" not in shown
    assert shown.count("[bold]") == 10


def test_a_stream_that_knows_ascii_only() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    tolerate([stream])
    write(RESULT, stream)
    stream.flush()
    assert b" 91 % #########  ann and bob\n" in raw.getvalue()


def test_json_is_the_document() -> None:
    stream = io.StringIO()
    write(RESULT, stream, "json")
    assert json.loads(stream.getvalue()) == document(RESULT)


def test_the_document() -> None:
    found = document(RESULT)
    (pair,) = found.pop("pairs")
    assert found == {
        "note": "pairs to look at, never a verdict",
        "submissions": 40,
        "earlier": 3,
        "files": 900,
        "more_pairs": 2,
        "mostly_shared": ["cyd"],
        "skipped": [
            {"name": "dan", "path": "a.py", "reason": "it is not text"},
            {"name": "eve", "path": "", "reason": "r"},
        ],
    }
    assert pair["reasons"][1] == {"trace": "email", "value": "bob@uni.cz", "left": "README.md", "right": ""}
    assert pair["blocks"][0] == {
        "left": {"path": "src/a.py", "first": 1, "last": 10},
        "right": {"path": "x.py", "first": 6, "last": 13},
        "fingerprints": 8,
    }
    assert (pair["score"], pair["whole"], pair["more_blocks"]) == (0.914, 0.5, 3)
