"""Statistics against numbers that others compute from the same marks, in other ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from grader.cohort.statistics.analysis import compute, cronbach_alpha, efficiency, histogram, skewness
from grader.cohort.statistics.model import (
    Bin,
    Counts,
    ExamStatistics,
    Flag,
    FlagKind,
    Interval,
    Item,
    Level,
    Sheet,
    Statistics,
)
from grader.results import Status
from tests.cohort.statistics.sheets import POINTS, TASKS, cohort, column, random_cohort, row


def frame(sheets: list[Sheet]) -> pd.DataFrame:
    """Candidates by criteria; what is undecided is NaN."""
    return pd.DataFrame(
        {
            sheet.candidate: {
                name: float("nan") if each.status.open else each.earned for name, each in sheet.rows.items()
            }
            for sheet in sheets
        }
    ).T


def by_tasks(marks: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({task: marks[list(names)].sum(axis=1, skipna=False) for task, names in TASKS.items()})


def item(found: Statistics, name: str) -> Item:
    return next(each for each in (*found.tasks, *found.criteria) if each.id == name)


def kinds(found: Statistics, name: str) -> list[FlagKind]:
    return [flag.kind for flag in item(found, name).flags]


# --- missing values and small numbers ---------------------------------------------------------------


def test_an_empty_cohort() -> None:
    exam = ExamStatistics(possible=0, pass_mark=1, candidates=0, complete=0)
    assert compute([], pass_mark=1) == Statistics(
        level=Level.COUNTS, exam=exam, tasks=(), criteria=(), seed=0
    )


def test_fewer_than_ten_candidates_are_counted_and_nothing_else() -> None:
    sheets = cohort(column([20, 20, 20, 0, 0, 0, 10, 20, 20]))
    sheets[0] = Sheet(candidate="c00", rows={"k0": row("1", 0, status=Status.ERROR)})
    counts = Counts(earned=4, partial=1, lost=3, missing=1)
    assert compute(sheets, pass_mark=15) == Statistics(
        level=Level.COUNTS,
        exam=ExamStatistics(possible=20, pass_mark=15, candidates=9, complete=8, passed=4),
        tasks=(Item(id="1", task="1", possible=20, counts=counts),),
        criteria=(Item(id="k0", task="1", possible=20, counts=counts),),
        seed=0,
    )


@pytest.mark.parametrize(
    ("people", "level"), [(9, "counts"), (10, "indicative"), (29, "indicative"), (30, "full")]
)
def test_the_number_of_candidates_decides_what_is_said(people: int, level: str) -> None:
    assert compute(random_cohort(people), pass_mark=100).level == level


@pytest.mark.parametrize("status", [Status.UNVERIFIED, Status.ERROR])
def test_what_is_undecided_is_missing_and_no_zero(status: Status) -> None:
    sheets = cohort(column([20] * 12))
    sheets += [Sheet(candidate="open", rows={"k0": row("1", 0, status=status)})]
    found = compute(sheets, pass_mark=20)
    assert item(found, "k0").facility == 1
    assert item(found, "k0").counts == Counts(earned=12, missing=1)
    assert (found.exam.candidates, found.exam.complete, found.exam.mean) == (13, 12, 20)


def test_an_absent_criterion_is_missing() -> None:
    sheets = [*random_cohort(12), Sheet(candidate="z", rows={"1.1.a": row("1.1", 40, 40)})]
    found = compute(sheets, pass_mark=100)
    assert [each.counts.missing for each in found.criteria] == [0, 1, 1, 1, 1, 1]
    assert found.exam.complete == 12


def test_what_a_person_decided_is_decided() -> None:
    sheets = cohort(column([20] * 12, status=Status.UNVERIFIED, overridden=True))
    assert item(compute(sheets, pass_mark=20), "k0").counts == Counts(earned=12)


def test_who_has_too_little_decided_is_in_no_correlation() -> None:
    sheets = random_cohort(12)
    few = [
        Sheet(candidate=f"z{number}", rows={"1.1.b": row("1.1", 0, 20), "2.1.c": row("2.1", 10, 10)})
        for number in range(5)
    ]
    with_few, without = (item(compute(each, pass_mark=100), "1.1.b") for each in ([*sheets, *few], sheets))
    assert with_few.correlation == without.correlation


def test_equal_marks_have_no_correlation() -> None:
    found = compute(cohort(column([20] * 12), column([0, 20] * 6)), pass_mark=20)
    assert (item(found, "k0").correlation, item(found, "k0").efficiency) == (None, None)


def test_equal_totals_have_neither_skewness_nor_alpha_nor_intervals() -> None:
    exam = compute(cohort(column([10] * 12)), pass_mark=20).exam
    assert (exam.skewness, exam.alpha, exam.standard_error) == (None, None, None)
    assert (exam.mean_interval, exam.pass_rate_interval, exam.alpha_interval) == (None, None, None)


# --- against others' computations -------------------------------------------------------------------


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_criteria_agree_with_pandas(missing: float) -> None:
    sheets = random_cohort(60, missing=missing)
    marks = frame(sheets)
    points = pd.Series(POINTS)
    shares = marks.notna() * points
    found = compute(sheets, pass_mark=100)
    for name in marks:
        others = marks.drop(columns=name)
        rest = others.sum(axis=1) / shares.drop(columns=name).sum(axis=1)
        rest[shares.drop(columns=name).sum(axis=1) < points.drop(name).sum() / 2] = float("nan")
        pairs = pd.DataFrame({"own": marks[name], "rest": rest}).dropna()
        best = np.cov(np.sort(pairs["own"]), np.sort(pairs["rest"]))[0, 1]
        assert item(found, str(name)).facility == pytest.approx(marks[name].mean() / points[name])
        assert item(found, str(name)).correlation == pytest.approx(pairs["own"].corr(pairs["rest"]))
        assert item(found, str(name)).efficiency == pytest.approx(pairs.cov().loc["own", "rest"] / best)


def test_tasks_agree_with_numpy() -> None:
    sheets = random_cohort(60)
    tasks = by_tasks(frame(sheets))
    found = compute(sheets, pass_mark=100)
    for task in TASKS:
        own, rest = tasks[task].to_numpy(), tasks.drop(columns=task).sum(axis=1).to_numpy()
        assert item(found, task).correlation == pytest.approx(np.corrcoef(own, rest)[0, 1])
        assert item(found, task).facility == pytest.approx(
            own.sum() / 60 / sum(POINTS[each] for each in TASKS[task])
        )


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_the_exam_agrees_with_scipy_and_pandas(missing: float) -> None:
    sheets = random_cohort(80, missing=missing)
    tasks = by_tasks(frame(sheets)).dropna()
    totals = tasks.sum(axis=1)
    exam = compute(sheets, pass_mark=100, bonus=("B1",)).exam
    # From the mean covariance and the mean variance of tasks, not from the variance of the total.
    covariances = tasks.cov().to_numpy()
    own = np.trace(covariances) / 3
    between = (covariances.sum() - np.trace(covariances)) / 6
    alpha = 3 * between / (own + 2 * between)
    assert (exam.candidates, exam.complete, exam.possible) == (80, len(tasks), 150)
    assert exam.mean == pytest.approx(totals.mean())
    assert exam.median == pytest.approx(totals.median())
    assert exam.deviation == pytest.approx(np.std(totals, ddof=1))
    assert exam.skewness == pytest.approx(scipy.stats.skew(totals, bias=False))
    assert exam.alpha == pytest.approx(alpha)
    assert exam.standard_error == pytest.approx(np.std(totals, ddof=1) * (1 - alpha) ** 0.5)
    assert exam.pass_rate == pytest.approx((totals >= 100).mean())
    assert exam.passed == (totals >= 100).sum()


def test_intervals_agree_with_another_bootstrap() -> None:
    sheets = random_cohort(60)
    totals = frame(sheets).sum(axis=1).to_numpy()
    exam = compute(sheets, pass_mark=100, seed=3).exam
    tasks = by_tasks(frame(sheets)).to_numpy()

    def alpha(places: np.ndarray) -> float:
        found = cronbach_alpha(tasks[places].astype(int).tolist())
        return float("nan") if found is None else found

    for interval, data, statistic, near in (
        (exam.mean_interval, totals, np.mean, 1.5),
        (exam.pass_rate_interval, totals >= 100, np.mean, 0.04),
        (exam.alpha_interval, np.arange(60), alpha, 0.03),
    ):
        other = scipy.stats.bootstrap(
            (data,),
            statistic,
            method="percentile",
            vectorized=False,
            n_resamples=400,
            rng=np.random.default_rng(5),
        ).confidence_interval
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((other.low, other.high), abs=near)


def test_the_same_seed_gives_the_same_intervals_in_any_order() -> None:
    sheets = random_cohort(40)
    assert compute(sheets, pass_mark=100, seed=1) == compute(sheets[::-1], pass_mark=100, seed=1)
    other = compute(sheets, pass_mark=100, seed=2).exam
    assert other.mean_interval != compute(sheets, pass_mark=100, seed=1).exam.mean_interval


def test_intervals_of_many_candidates_are_drawn_in_several_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    sheets = random_cohort(30)
    whole = compute(sheets, pass_mark=100)
    monkeypatch.setattr("grader.cohort.statistics.analysis.CHUNK", 7 * 30)
    assert compute(sheets, pass_mark=100) == whole


def test_by_hand() -> None:
    assert skewness([1, 2, 3, 4, 10]) == pytest.approx(1.6970563)
    # Variances 1 and 1 of the columns, 3 of the sums: 2 / 1 * (1 - 2 / 3)
    assert cronbach_alpha([(0, 1), (1, 0), (2, 2)]) == pytest.approx(2 / 3)
    # In order 1 2 3 with 1 2 3 the covariance is 1, as it is 1 3 2: 0.5
    assert efficiency([1, 2, 3] * 4, [1, 3, 2] * 4) == pytest.approx(0.5)


def test_alpha_is_negative_where_tasks_work_against_each_other() -> None:
    # Variances 5/3 and 11/12 of the columns, 1/4 of the sums 3, 4, 3, 3.
    assert cronbach_alpha([(0, 3), (3, 1), (1, 2), (2, 1)]) == pytest.approx(
        2 * (1 - (5 / 3 + 11 / 12) / (1 / 4))
    )


def test_a_mark_on_the_border_is_in_the_upper_bar() -> None:
    bars = histogram([0, 9, 10, 99, 100], 100)
    assert [each.count for each in bars] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bars[-1] == Bin(low=90, high=100, count=2)


def test_bonus_has_bars_of_its_own() -> None:
    assert [each.count for each in histogram([99, 100, 110], 100)] == [0] * 9 + [1, 1, 1]


# --- flags ------------------------------------------------------------------------------------------

GOOD = [0, 20] * 6


def test_nothing_is_flagged_in_an_exam_that_works() -> None:
    columns = [column(GOOD, fingerprint=f"f{number}") for number in range(3)]
    columns = [
        [replace(each, fingerprint=f"{place % 4}") for place, each in enumerate(some)] for some in columns
    ]
    found = compute(cohort(*columns), pass_mark=30)
    assert [kinds(found, f"k{number}") for number in range(3)] == [[], [], []]


def test_nobody_lost() -> None:
    assert kinds(compute(cohort(column([20] * 12), column(GOOD)), pass_mark=20), "k0") == [
        FlagKind.NOBODY_LOST
    ]


def test_nobody_earned() -> None:
    found = compute(cohort(column([0] * 12), column(GOOD)), pass_mark=20)
    assert kinds(found, "k0") == [FlagKind.NOBODY_EARNED]


def test_who_was_blocked_lost_nothing_of_their_own() -> None:
    blocked = column([0] * 4, status=Status.BLOCKED, fingerprint="same")
    found = compute(cohort([*blocked, *column([20] * 8)], column([0, 0, 0, 0] + [20] * 8)), pass_mark=20)
    assert item(found, "k0").flags == (Flag(kind=FlagKind.BLOCKED, value=4 / 12),)
    assert item(found, "k0").findings == ()
    assert item(found, "k0").counts == Counts(earned=8, blocked=4)


def test_a_quarter_may_be_blocked() -> None:
    blocked = column([0] * 3, status=Status.BLOCKED)
    found = compute(cohort([*blocked, *column([20] * 9)], column([0] * 3 + [20] * 9)), pass_mark=20)
    assert (item(found, "k0").blocked, kinds(found, "k0")) == (0.25, [])


def test_negative_and_weak_correlations() -> None:
    found = compute(cohort(column(GOOD[::-1]), column(GOOD), column(GOOD, 20)), pass_mark=20)
    assert item(found, "k0").flags == (Flag(kind=FlagKind.NEGATIVE, value=-1),)
    weak = column([0, 0, 20, 20] * 3)
    found = compute(cohort(weak, column(GOOD)), pass_mark=20)
    assert item(found, "k0").flags == (Flag(kind=FlagKind.WEAK, value=0),)


def losing(*fingerprints: str) -> list[Sheet]:
    lost = [row("1", 0, fingerprint=each) for each in fingerprints]
    own = [*lost, *column([20] * (15 - len(lost)))]
    return cohort(own, column([0] * len(lost) + [20] * (15 - len(lost))))


def test_one_finding_explains_most_losses() -> None:
    found = compute(losing("a", "a", "b", "a", "a"), pass_mark=20)
    assert item(found, "k0").flags == (Flag(kind=FlagKind.ONE_FINDING, value=0.8, fingerprint="a"),)
    assert item(found, "k0").findings == (("a", 4), ("b", 1))


@pytest.mark.parametrize("losses", ["aaabb", "aaaa", ["", "", "", "", ""]])
def test_one_finding_may_explain_some_losses_or_few(losses: list[str]) -> None:
    assert kinds(compute(losing(*losses), pass_mark=20), "k0") == []


def test_overrides_say_that_the_check_is_wrong() -> None:
    own = column(GOOD * 2)
    own[1] = replace(own[1], overridden=True)
    assert kinds(compute(cohort(own, column(GOOD * 2)), pass_mark=20), "k0") == []
    own[3] = replace(own[3], overridden=True)
    found = compute(cohort(own, column(GOOD * 2)), pass_mark=20)
    assert item(found, "k0").flags == (Flag(kind=FlagKind.OVERRIDDEN, value=2 / 24),)


def test_odd_seconds_name_who_took_them() -> None:
    own = [replace(each, seconds=2 + place / 10) for place, each in enumerate(column(GOOD))]
    assert kinds(compute(cohort(own, column(GOOD)), pass_mark=20), "k0") == []
    own[4], own[7] = replace(own[4], seconds=30.0), replace(own[7], seconds=90.0)
    found = compute(cohort(own, column(GOOD)), pass_mark=20)
    flag = Flag(kind=FlagKind.ODD_SECONDS, value=90, candidates=("c07", "c04"))
    assert (item(found, "k0").flags, item(found, "k0").seconds) == ((flag,), 2.7)


def test_seconds_that_nobody_measured() -> None:
    found = compute(cohort(column(GOOD, seconds=float("nan")), column(GOOD)), pass_mark=20)
    assert (item(found, "k0").seconds, item(found, "k1").seconds) == (None, None)


def test_a_full_result() -> None:
    found = compute(cohort(column(GOOD * 3), column(GOOD * 3)), pass_mark=40)
    exam = found.exam
    assert exam.deviation == pytest.approx((36 / 35) ** 0.5 * 20)
    assert exam == ExamStatistics(
        possible=40,
        pass_mark=40,
        candidates=36,
        complete=36,
        passed=18,
        mean=20,
        mean_interval=exam.mean_interval,
        median=20,
        deviation=exam.deviation,
        skewness=0,
        pass_rate=0.5,
        pass_rate_interval=exam.pass_rate_interval,
        histogram=tuple(
            Bin(low=10 * each, high=10 * each + 10, count=18 * (each in {0, 9})) for each in range(10)
        ),
    )
    assert isinstance(exam.mean_interval, Interval)
