"""The time that expressions are told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from grader.checks.prometheus.clock import draw_clock, set_clock

EXPRESSIONS = {
    "rate(errors[5m]) > 0.05": "rate(errors[5m]) > 0.05",
    "time() - up": "(time() + 7) - up",
    "time ( ) > 1": "(time ( ) + 7) > 1",
    "uptime() + runtime": "uptime() + runtime",
    'x{a="time()"} # time()': 'x{a="time()"} # time()',
    "x{a='\\' time()'} > time()": "x{a='\\' time()'} > (time() + 7)",
    "hour() > 8": "hour(vector(time() + 7)) > 8",
    "hour(timestamp(up))": "hour((timestamp(up) + 7))",
    "timestamp((a + b)) - timestamp(c)": "(timestamp((a + b)) + 7) - (timestamp(c) + 7)",
    "day_of_week() == 0 and x": "day_of_week(vector(time() + 7)) == 0 and x",
    "timestamp(": "(timestamp(",
    "a))": "a))",
    "": "",
}


@pytest.mark.parametrize(("expr", "shifted"), EXPRESSIONS.items(), ids=EXPRESSIONS)
def test_an_expression_is_told_another_time(expr: str, shifted: str) -> None:
    assert set_clock(expr, 7) == shifted


def test_a_clock_is_that_of_a_wednesdays_noon_hour() -> None:
    clocks = {datetime.fromtimestamp(draw_clock(), UTC) for _ in range(50)}
    assert {(clock.isoweekday(), clock.hour) for clock in clocks} == {(3, 12)}
    assert len(clocks) > 1


def test_samples_come_at_no_whole_second() -> None:
    assert [clock for _ in range(50) if (clock := draw_clock()) == int(clock)] == []
