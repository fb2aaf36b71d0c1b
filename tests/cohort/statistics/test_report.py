from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from grader.cohort.statistics.analysis import compute
from grader.cohort.statistics.model import Row, Sheet, Statistics
from grader.cohort.statistics.report import document, write
from grader.report.console import tolerate
from tests.cohort.statistics.sheets import cohort, column, random_cohort

HOSTILE = "\x1b[31mred\u202e\n[bold]::error::x"


def text_of(result: Statistics, width: int, monkeypatch: pytest.MonkeyPatch, **more: object) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = io.StringIO()
    write(result, stream, **more)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.fixture(scope="module")
def result() -> Statistics:
    """One with every kind of number and several flags."""
    sheets = random_cohort(40, missing=0.01)
    sheets = [
        Sheet(
            candidate=sheet.candidate,
            rows={
                name: replace(row, fingerprint="f1" * (name == "2.1.b")) for name, row in sheet.rows.items()
            },
        )
        for sheet in sheets
    ]
    slow = sheets[3].rows["1.1.a"]
    sheets[3] = Sheet(candidate=HOSTILE, rows={**sheets[3].rows, "1.1.a": replace(slow, seconds=500.0)})
    return compute(sheets, pass_mark=100, bonus=("B1",))


@pytest.mark.parametrize("width", [60, 80, 110])
def test_no_line_is_wider_than_the_terminal(
    width: int, result: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {"1.1.a": "Every dependency has a version " * 5}
    shown = text_of(result, width, monkeypatch, titles=titles, messages={"f1": "it is so " * 40})
    assert max(len(line) for line in shown.splitlines()) <= width
    # Rows are whole: numbers stand in the line of their criterion.
    rows = [line for line in shown.splitlines() if line.startswith(("1.1.a", "2.1.b", "B1.a"))]
    assert [line.split()[0] for line in rows] == ["1.1.a", "2.1.b", "B1.a"]
    assert all("%" in line for line in rows)


def test_a_text_of_a_small_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    result = compute(cohort(column([20, 10, 0]), column([20, 20, 20])), pass_mark=30)
    assert text_of(result, 60, monkeypatch) == (
        "3 candidates\n"
        "fewer than 10 candidates: counts only\n"
        "\n"
        "task  points  earned  partial  lost  blocked  missing\n"
        "1          2       1        2     -        -        -\n"
        "\n"
        "criterion  points  earned  partial  lost  blocked  missing\n"
        "k0              1       1        1     1        -        -\n"
        "k1              1       3        -     -        -        -\n"
    )


def test_an_empty_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    assert text_of(compute([], pass_mark=1), 60, monkeypatch) == (
        "0 candidates\nfewer than 10 candidates: counts only\n"
    )


def test_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    own = column([0, 10, 20, 20] * 3)
    other: list[Row] = [replace(row, task="2") for row in column([0, 0, 20, 20] * 3)]
    result = compute(cohort(own, other), pass_mark=30)
    interval = result.exam.mean_interval
    alpha = result.exam.alpha_interval
    rate = result.exam.pass_rate_interval
    assert interval is not None
    assert alpha is not None
    assert rate is not None
    shown = [line.rstrip() for line in text_of(result, 80, monkeypatch).splitlines()]
    assert shown == [
        "12 candidates",
        "indicative: fewer than 30 candidates",
        "",
        f"mean                  1.12  of 2        95 %: {interval.low / 20:.2f} to {interval.high / 20:.2f}",
        "median                1.25",
        "standard deviation    0.93",
        "skewness             -0.13",
        f"Cronbach's alpha      0.94  over tasks  95 %: {alpha.low:.2f} to {alpha.high:.2f}",
        "error of one mark     0.23",
        f"pass rate, from 1.5   50 %  6 of 12     95 %: {rate.low * 100:.0f} to {rate.high * 100:.0f}",
        "",
        "distribution, in % of full marks",
        "    0 to 10  3 ██████████████████████████████",
        "   10 to 20  0",
        "   20 to 30  3 ██████████████████████████████",
        "   30 to 40  0",
        "   40 to 50  0",
        "   50 to 60  0",
        "   60 to 70  0",
        "   70 to 80  0",
        "   80 to 90  0",
        "   90 to 100 6 ████████████████████████████████████████████████████████████",
        "",
        "task              facility     r  effic.",
        "1     ██████          62 %  0.90   100 %",
        "2     █████           50 %  0.90   100 %",
        "",
        "criterion              facility     r  effic.",
        "k0         ██████          62 %  0.90   100 %",
        "k1         █████           50 %  0.90   100 %",
        "",
        "nothing is flagged",
    ]


def test_a_stream_that_knows_ascii_only(result: Statistics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    tolerate([stream])
    write(result, stream)
    stream.flush()
    shown = raw.getvalue().decode("ascii")
    assert "####" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_what_candidates_are_called_steers_nothing(
    result: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = text_of(result, 110, monkeypatch, messages={"f1": HOSTILE})
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "::error::" not in shown
    assert "[bold]" in shown


def test_the_finding_is_told_by_its_message(result: Statistics, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = text_of(result, 110, monkeypatch, messages={"f1": "the server answers 500"})
    finding = 'perhaps the check or the task is wrong: "the server answers 500"'
    assert f"100 % of the losses have one finding; {finding}" in " ".join(shown.split())


def test_colours_are_had_where_they_are_asked_for(result: Statistics) -> None:
    coloured, plain = io.StringIO(), io.StringIO()
    write(result, coloured, colour="always")
    write(result, plain, colour="never")
    assert ("\x1b[" in coloured.getvalue(), "\x1b[" in plain.getvalue()) == (True, False)


def test_json_is_the_document(result: Statistics) -> None:
    stream = io.StringIO()
    write(result, stream, "json")
    assert json.loads(stream.getvalue()) == document(result)


def test_the_document_has_points_and_not_twentieths() -> None:
    found = document(compute(cohort(column([20, 0] * 15, fingerprint="f")), pass_mark=20))
    assert found["exam"] == {
        "points": 1.0,
        "pass_mark": 1.0,
        "candidates": 30,
        "complete": 30,
        "passed": 15,
        "mean": 0.5,
        "mean_interval": found["exam"]["mean_interval"],
        "median": 0.5,
        "standard_deviation": pytest.approx((30 / 29) ** 0.5 / 2),
        "skewness": pytest.approx(0),
        "cronbach_alpha": None,
        "cronbach_alpha_interval": None,
        "standard_error_of_measurement": None,
        "pass_rate": 0.5,
        "pass_rate_interval": found["exam"]["pass_rate_interval"],
        "histogram": found["exam"]["histogram"],
    }
    assert 0 < found["exam"]["mean_interval"][0] < 0.5 < found["exam"]["mean_interval"][1] < 1
    assert found["criteria"] == [
        {
            "id": "k0",
            "task": "1",
            "points": 1.0,
            "counts": {"earned": 15, "partial": 0, "lost": 15, "blocked": 0, "missing": 0},
            "facility": 0.5,
            "correlation": None,
            "discriminative_efficiency": None,
            "blocked": 0.0,
            "overridden": 0.0,
            "median_seconds": None,
            "findings": [{"fingerprint": "f", "count": 15}],
            "flags": [{"kind": "one-finding", "value": 1.0, "fingerprint": "f", "candidates": []}],
        }
    ]
