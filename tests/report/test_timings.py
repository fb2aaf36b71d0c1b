"""What `--timings` prints."""

from __future__ import annotations

import io
from dataclasses import replace

from grader.report.timings import write_timings
from grader.timeline import Span
from tests.report.grades import a_grade

SPANS = (
    Span(kind="environment", name="mine", start=0.1, seconds=0.25),
    Span(kind="run", name="3-training: python src/train.py", start=1.0, seconds=2.5, waited=0.5),
    Span(kind="run", name="too short to tell", start=1.0, seconds=0.01),
)


def written() -> list[str]:
    stream = io.StringIO()
    write_timings(replace(a_grade(), spans=SPANS, seconds=4.2), stream)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_each_kind_has_its_sum_and_each_span_its_line() -> None:
    lines = written()
    assert lines[1:6] == [
        "began seconds of that waiting",
        "0.2 the candidate's packages",
        "0.1 0.25 mine",
        "2.5 programs that ran",
        "1.0 2.50 0.50 3-training: python src/train.py",
    ]
    assert lines[-1] == "4.2 s in all"


def test_a_candidates_name_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    hostile = Span(kind="run", name="a\x1b[2Jb", start=0, seconds=1)
    write_timings(replace(a_grade(), spans=(hostile,)), stream)
    assert "\x1b" not in stream.getvalue()
