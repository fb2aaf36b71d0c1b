from __future__ import annotations

from dataclasses import replace

import pytest

from grader.checks.prometheus.labels import accepts, samples, satisfying
from grader.checks.prometheus.promql import (
    Comparison,
    Expression,
    Matcher,
    Selector,
    Unreadable,
    read,
    seconds,
)


def expression(text: str) -> Expression:
    found = read(text)
    assert isinstance(found, Expression)
    return found


def compared(text: str) -> tuple[str, float] | None:
    found = expression(text).comparison()
    return None if found is None else (found.operator, round(found.threshold, 9))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(((",
        "rate(x)",
        'x{a=~"("}',
        "x{",
        "x[5m",
        "nope(x)",
        "(" * 100_000 + "1" + ")" * 100_000,
        "a+" * 100_000 + "a",
        "-" * 5_000 + "1",
        "sum(" * 2_000 + "x" + ")" * 2_000,
        "\0",
        "\ud800",
        "x" * 30_000,
    ],
    ids=lambda text: repr(text[:10]),
)
def test_what_cannot_be_read_is_a_value(text: str) -> None:
    assert isinstance(read(text), Unreadable)


@pytest.mark.parametrize("text", ['"\\' * 9_999, "'\\\"" * 6_666, "`" * 19_999, "x == '", 'x{a="b\\'])
def test_a_text_that_does_not_end(text: str) -> None:
    """Each quote in it may seem to begin another: it is read once all the same."""
    assert read(text) == Unreadable("not valid PromQL: a string is not closed")


def test_a_comment_is_no_text() -> None:
    found = read("rate(x[5m]) # it's a rate\n > 1")
    assert isinstance(found, Expression)
    assert [each.metric for each in found.selectors()] == ["x"]


def test_selectors_with_what_is_around_them() -> None:
    text = 'histogram_quantile(0.95, sum by (le, job) (rate(x_bucket{job=~"a|b",env!="dev"}[5m]))) > 1'
    matchers = (Matcher("job", "=~", "a|b"), Matcher("env", "!=", "dev"))
    assert expression(text).selectors() == (
        Selector("x_bucket", matchers, ("histogram_quantile", "sum", "rate"), 300.0),
    )
    assert expression(text).grouping() == {"le", "job"}


def test_a_name_as_a_label() -> None:
    assert expression('{__name__="a", b="c"}').selectors() == (Selector("a", (Matcher("b", "=", "c"),)),)
    assert expression('{__name__=~"a.*"}').selectors()[0].metric == ""


def test_labels_that_vectors_are_joined_on() -> None:
    assert expression("a / on(job) group_left(zone) b").grouping() == {"job", "zone"}
    assert expression("sum without (job) (a) / ignoring(x) b").grouping() == frozenset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", (">", 1.0)),
        ("(1 < (a))", (">", 1.0)),
        ("a * 100 > 5", (">", 0.05)),
        ("100 * a >= 5", (">=", 0.05)),
        ("a / 300 > 5 / 100", (">", 15.0)),
        ("a == -1", ("==", -1.0)),
        ("a < vector(2) - 1", ("<", 1.0)),
        ("a > bool 1", None),
        ("a > b", None),
        ("a", None),
        ("a + 1", None),
        ("a > 1 / 0", None),
    ],
)
def test_comparisons(text: str, expected: tuple[str, float] | None) -> None:
    assert compared(text) == expected


def test_a_comparison_is_a_value() -> None:
    assert isinstance(expression("a > 1").comparison(), Comparison)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5m", 300.0),
        ("300s", 300.0),
        ("1h30m", 5400.0),
        ("0", 0.0),
        ("5", None),
        ("", None),
        ("9" * 60 + "y", None),
    ],
)
def test_durations(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("5..", ("500",)),
        ("5[0-9]{2}", ("500",)),
        ("4..|5..", ("400", "500")),
        ("(api|web)-.*", ("api-0",)),
        ("^/predict$", ("/predict",)),
        (r"\d+\.\d", ("0.0",)),
        ("(", ()),
        ("(?=x)y", ()),
        ("(((a{20}){20}){20})", ()),
        ("a" * 1000, ()),
        (r"(a)\1", ()),
        ("[[:alpha:]]+", ()),
        (r"\pL", ()),
        ("(?i:err).*", ("err0",)),
    ],
)
def test_samples_of_patterns(pattern: str, expected: tuple[str, ...]) -> None:
    assert samples(pattern) == expected


@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ([("=", "a")], "a"),
        ([("=~", "5..")], "500"),
        ([("!=", "dev")], ""),
        ([("!~", "2..")], ""),
        ([("!=", "")], "service"),
        ([("=~", ".+"), ("!=", "0")], "service"),
        ([("=", "a"), ("!=", "a")], None),
        ([("=~", "a|b"), ("!~", "(a+)+b")], "a"),
        ([("=~", "ax|by"), ("!~", "(a+)+x")], "by"),
        ([("=~", "[a-z]+(-[a-z]+)*(/[a-z]+(-[a-z]+)*)*"), ("=", "api-v/x")], "api-v/x"),
        ([("=~", "[[:alpha:]]+")], "service"),
        ([("=~", r"\pL+"), ("!=", "service")], "prod"),
        ([("=~", "|".join(f"job{n}" for n in range(90))), ("=", "job70")], "job70"),
    ],
)
def test_values_that_satisfy_matchers(matchers: list[tuple[str, str]], expected: str | None) -> None:
    assert satisfying(Matcher("x", sign, value) for sign, value in matchers) == expected


def test_a_runaway_pattern_is_matched_in_no_time() -> None:
    assert not accepts(Matcher("x", "=~", "(a|aa)+$"), "a" * 10_000 + "!")
    assert accepts(Matcher("x", "=~", "(a|aa)+$"), "a" * 10_000)


@pytest.mark.parametrize("pattern", ["5(?=x)..", "(?!4)5..", r"(5)\\1\\1", "(?>5..)", "(?<!x)500"])
def test_what_only_python_knows_is_no_expression(pattern: str) -> None:
    """Prometheus refuses it, and so the rule with it; nothing is left to be judged by its labels."""
    found = read(f'x{{a=~"{pattern}"}} > 1')
    assert isinstance(found, Unreadable)
    assert "illegal regex" in found.message
    matcher = Matcher("x", "=~", pattern.replace("\\\\", "\\"))
    assert satisfying([matcher]) is None
    assert satisfying([replace(matcher, operator="!~")]) == ""
