"""Spans of time."""

from __future__ import annotations

import pytest

from grader.timeline import Timeline


def told(timeline: Timeline) -> list[tuple[str, str]]:
    return [(span.kind, span.name) for span in timeline.spans]


def test_a_block_that_fails_is_noted_too() -> None:
    timeline = Timeline()
    with pytest.raises(ZeroDivisionError), timeline.span("run", "a"):
        _ = 1 / 0
    assert told(timeline)[1:] == [("run", "a")]


def test_spans_come_in_the_order_in_which_they_began() -> None:
    timeline = Timeline()
    with timeline.span("run", "outer"), timeline.span("run", "inner"):
        pass
    assert told(timeline) == [("start-up", "imports, exam and rubrics"), ("run", "outer"), ("run", "inner")]


def test_it_begins_with_what_was_computed_before() -> None:
    (ahead,) = Timeline().spans
    assert ahead.seconds > 0
    assert ahead.start == -ahead.seconds
