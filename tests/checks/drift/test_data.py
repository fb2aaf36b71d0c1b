from __future__ import annotations

import collections
import hashlib
import importlib
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from grader.checks import ALL
from grader.checks.drift.data import drifted, resampled
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.readers.table import Table, read_table, write_table

stats: Any = importlib.import_module("scipy.stats")
REFERENCE = read_table(load_exam(RUBRICS, ALL).data["data/baseline.csv"].read_bytes())
SAMPLES = [resampled(REFERENCE, f"seed {n}") for n in range(20)]
Numbers = Sequence[float]


# --- what an honest script may go by --------------------------------------------------------------


def shares(one: Numbers, other: Numbers) -> tuple[list[float], list[float]]:
    """Of what falls between tenths of the first, as hand-written indices and distances take them."""
    edges = sorted(set(statistics.quantiles(one, n=10)))
    return tuple(  # type: ignore[return-value]
        [max(1e-4, count / len(numbers)) for count in counted(numbers, edges)] for numbers in (one, other)
    )


def counted(numbers: Numbers, edges: Numbers) -> list[int]:
    found = collections.Counter(sum(number > edge for edge in edges) for number in numbers)
    return [found[n] for n in range(len(edges) + 1)]


def stability(one: Numbers, other: Numbers) -> float:
    """The population stability index."""
    return sum((a - b) * math.log(a / b) for a, b in zip(*shares(one, other), strict=True))


def jensen_shannon(one: Numbers, other: Numbers) -> float:
    pairs = list(zip(*shares(one, other), strict=True))
    return math.sqrt(sum(a * math.log(2 * a / (a + b)) + b * math.log(2 * b / (a + b)) for a, b in pairs) / 2)


def categories(one: Numbers, other: Numbers) -> float:
    """The p-value of a chi-square test of every value by itself; 1 where there are too many for that."""
    values = sorted({*one, *other})
    if len(values) > 20:
        return float(stats.ks_2samp(one, other, method="asymp").pvalue)
    return float(stats.chi2_contingency([[list(each).count(v) for v in values] for each in (one, other)])[1])


HONEST: dict[str, Callable[[Numbers, Numbers], bool]] = {
    "kolmogorov-smirnov": lambda one, other: bool(stats.ks_2samp(one, other, method="asymp").pvalue < 0.05),
    "kolmogorov-smirnov, very strict": lambda one, other: bool(
        stats.ks_2samp(one, other, method="asymp").pvalue < 0.2
    ),
    "its statistic": lambda one, other: bool(stats.ks_2samp(one, other, method="asymp").statistic > 0.1),
    "mann-whitney": lambda one, other: bool(stats.mannwhitneyu(one, other).pvalue < 0.05),
    "t-test": lambda one, other: bool(stats.ttest_ind(one, other).pvalue < 0.05),
    "stability index": lambda one, other: stability(one, other) > 0.1,
    "stability index, lax": lambda one, other: stability(one, other) > 0.25,
    "jensen-shannon": lambda one, other: jensen_shannon(one, other) > 0.1,
    "wasserstein": lambda one, other: bool(
        stats.wasserstein_distance(one, other) > 0.1 * statistics.stdev(one)
    ),
    "chi-square": lambda one, other: categories(one, other) < 0.05,
    "mean": lambda one, other: (
        abs(statistics.fmean(one) - statistics.fmean(other)) > 0.05 * statistics.stdev(one)
    ),
    "median": lambda one, other: (
        abs(statistics.median(one) - statistics.median(other)) > 0.1 * statistics.stdev(one)
    ),
    "mean by a tenth": lambda one, other: abs(statistics.fmean(other) / statistics.fmean(one) - 1) > 0.1,
}


def columns(table: Table) -> dict[str, list[float]]:
    header, *rows = table
    return {
        name: [float(cell) for cell in column]
        for name, column in zip(header, zip(*rows, strict=True), strict=True)
    }


@pytest.mark.parametrize("name", HONEST)
def test_honest_verdicts_agree_in_every_column(name: str) -> None:
    said = HONEST[name]
    before = columns(REFERENCE)
    wrong = [
        (number, column, what)
        for number, quiet in enumerate(SAMPLES)
        for what, table, right in (("quiet", quiet, False), ("drifted", drifted(quiet), True))
        for column, numbers in columns(table).items()
        if said(before[column], numbers) is not right
    ]
    assert wrong == []


# --- what a script may go by that detects nothing -------------------------------------------------


def rows(table: Table) -> list[tuple[str, ...]]:
    return [tuple(row) for row in table[1:]]


def means(table: Table) -> list[float]:
    return [statistics.fmean(numbers) for numbers in columns(table).values()]


def lengths(table: Table) -> list[int]:
    return sorted(len(",".join(row)) for row in table)


CHEATS: dict[str, Callable[[Table, Table], object]] = {
    "rows as sets": lambda one, other: set(rows(one)) == set(rows(other)),
    "rows in order": lambda one, other: sorted(rows(one)) == sorted(rows(other)),
    "any shared row": lambda one, other: bool(set(rows(one)) & set(rows(other))),
    "equal frames": lambda one, other: one == other,
    "digest": lambda one, other: (
        hashlib.sha256(write_table(one)).digest() == hashlib.sha256(write_table(other)).digest()
    ),
    "size": lambda one, other: len(write_table(other)) - len(write_table(one)),
    "number of rows": lambda one, other: len(other) - len(one),
    "length of lines": lambda one, other: lengths(other) == lengths(one) or lengths(other),
    "exact means": lambda one, other: means(one) == means(other),
    "means, nearly": lambda one, other: all(
        math.isclose(a, b, rel_tol=1e-9) for a, b in zip(means(one), means(other), strict=True)
    ),
    "exact sums": lambda one, other: math.fsum(means(one)) == math.fsum(means(other)),
    "columns": lambda one, other: one[0] == other[0],
}


@pytest.mark.parametrize("name", CHEATS)
def test_what_is_no_detection_says_the_same_of_both(name: str) -> None:
    found = CHEATS[name]
    assert [found(REFERENCE, quiet) for quiet in SAMPLES] == [
        found(REFERENCE, drifted(quiet)) for quiet in SAMPLES
    ]


def test_there_are_as_many_rows_as_in_the_reference() -> None:
    """Whoever compares shapes finds no drift anywhere, and is wrong about one of both only."""
    assert {len(quiet) for quiet in SAMPLES} == {len(REFERENCE)}


def test_the_same_seed_gives_the_same_sample() -> None:
    assert resampled(REFERENCE, "a") == resampled(REFERENCE, "a") != resampled(REFERENCE, "b")


# --- data of other exams --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "moved"),
    [
        (["4", "4", "10"], ["8", "8", "80"]),
        (["0.5", "-1.25", "+3e-05", ""], ["7.5", "71.25", "73e-05", ""]),
        (["70", "99", "12"], ["20", "19", "22"]),
        (["0", "1", "1"], ["7", "8", "8"]),
        (["a", "c", "", "Zoë"], ["b", "d", "", "Apë"]),
        (["yes", "nan"], ["zft", "obo"]),
        (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        (["", " "], ["", " "]),
        ([" 5"], [" 9"]),
    ],
)
def test_values_move_without_a_letter_more_or_less(cells: list[str], moved: list[str]) -> None:
    assert drifted([["x"], *([cell] for cell in cells)]) == [["x"], *([cell] for cell in moved)]


@pytest.mark.parametrize("table", [[["x"]], [["x", "y"]]])
def test_a_table_without_rows_stays_one(table: Table) -> None:
    assert (resampled(table, "a"), drifted(table)) == (table, table)


@pytest.mark.parametrize(
    "cells", [["1"], ["a", "b"], ["", ""], ["1e-07", "2.5e300"], ["nan", "inf"], ["0.0", "1.0"]]
)
def test_small_and_odd_tables(cells: list[str]) -> None:
    table = [["x"], *([cell] for cell in cells)]
    current = resampled(table, "a")
    assert current[0] == ["x"]
    assert len(current) == len(table)
    assert {cell for (cell,) in current[1:]} <= set(cells) | {cell for (cell,) in current[1:] if "e" in cell}


def test_categories_and_missing_values_keep_their_shares() -> None:
    words = ["red"] * 500 + ["blue"] * 300 + [""] * 200
    rates = ["0.5", "1.0", "1.5", "2.0"] * 250
    table = [["word", "rate"], *([word, rate] for word, rate in zip(words, rates, strict=True))]
    current = resampled(table, "a")
    count = len(current) - 1
    for column in (0, 1):
        before = collections.Counter(row[column] for row in table[1:])
        after = collections.Counter(row[column] for row in current[1:])
        assert after.keys() == before.keys()
        assert all(abs(after[value] / count - before[value] / 1000) < 0.03 for value in before)
