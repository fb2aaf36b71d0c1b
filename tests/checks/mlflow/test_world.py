from __future__ import annotations

import re
from typing import Any

import pytest

from grader.checks.mlflow.world import (
    Estimator,
    TrackedRuns,
    arranged,
    draw_earlier,
    draw_runs,
    named_hundredths,
    unforeseen,
)
from tests.checks.live import parameters

WORLD: TrackedRuns = parameters("3.2", "query.top")["scenario"].world
SEEDS = range(200)
BEST = next(n for n, run in enumerate(WORLD.runs) if run.name == WORLD.asked.run)


def order(runs: list[dict[str, Any]], metric: str) -> list[int]:
    return sorted(range(len(runs)), key=lambda n: runs[n]["metrics"][metric])


def crowd(*accuracies: float, asked: str = "0") -> dict[str, Any]:
    """A world of runs that have these accuracies and are numbered."""
    runs = [{"experiment": "e", "name": str(n), "metrics": {"accuracy": a}} for n, a in enumerate(accuracies)]
    given = WORLD.model_dump(exclude_defaults=True) | {"turns": [], "files": {}, "runs": runs}
    return {**given, "asked": {"run": asked, "metric": "accuracy"}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (crowd(*[0.99] * 120), "120 runs do not fit between two exact ones"),
        (crowd(0.9, asked="1"), "unknown run '1'"),
        ({**crowd(0.9), "asked": {"run": "0", "metric": "f1"}}, "run '0' has no metric 'f1'"),
        ({**crowd(0.9), "turns": [["0", "01"]]}, "unknown run '01'; did you mean '0'?"),
        ({**crowd(0.9), "files": {"models/model.pkl": "shufled"}}, "did you mean 'shuffled'?"),
        ({**crowd(0.9), "earlier": ["d", "e"]}, "experiment 'e' has runs"),
        ({**crowd(0.9), "runs": [*crowd(0.9)["runs"]] * 2}, "two runs have the same name"),
    ],
)
def test_a_world_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        TrackedRuns.model_validate(given)
    assert TrackedRuns.model_validate(crowd(0.9))


def test_one_seed_draws_the_same_and_another_another() -> None:
    assert draw_runs(WORLD, 1) == draw_runs(WORLD, 1)
    best = [draw_runs(WORLD, seed)[BEST] for seed in SEEDS]
    assert len({run["name"].rpartition("-")[0] for run in best}) == len(WORLD.runs) - 2
    assert {int(run["metrics"]["accuracy"] * 100) for run in best} == set(range(91, 97))


def test_relations_stay() -> None:
    for seed in SEEDS:
        runs = draw_runs(WORLD, seed)
        assert len({run["name"] for run in runs}) == len(runs)
        given = [run.metrics["accuracy"] for run in WORLD.runs]
        assert [given[n] for n in order(runs, "accuracy")] == sorted(given)
        assert not any(round(run["metrics"]["accuracy"] * 100) % 10 == 0 for run in runs)
        for run, drawn in zip(WORLD.runs, runs, strict=True):
            for metric in ("precision", "recall", "f1"):
                assert 0 <= drawn["metrics"][metric] - run.metrics[metric] <= WORLD.jitter + 1e-9
        exact = [run["metrics"] for run in runs if run.get("exact")]
        assert exact == [run.metrics for run in WORLD.runs if run.exact]
        names = sorted(run["name"] for run in runs)
        assert runs[BEST]["name"] not in (names[0], names[-1])
        # Rounded or cut off, an accuracy of two places means one run.
        shown = [{f"{run['metrics']['accuracy']:.2f}", str(run["metrics"]["accuracy"])[:4]} for run in runs]
        assert len(set.union(*shown)) == sum(map(len, shown)) == len(runs)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("accuracy=0.97", {97}),
        ("round(x, 2) > .85 or 3", {85}),
        ("0.9349", {93}),
        ("0.935", {93, 94}),
        ("93 % or 94.5%", {93, 94}),
        ("93", set()),
        ("v1.2.3", set()),
    ],
)
def test_shares_in_a_text(text: str, found: set[int]) -> None:
    assert named_hundredths([text]) == found


def test_what_is_written_down_is_not_drawn() -> None:
    named = set(range(91, 96))
    for seed in SEEDS:
        free, bound = draw_runs(WORLD, seed), draw_runs(WORLD, seed, named)
        assert int(bound[BEST]["metrics"]["accuracy"] * 100) == 96
        if int(free[BEST]["metrics"]["accuracy"] * 100) == 96:
            assert bound == free
    assert draw_runs(WORLD, 3, range(100)) == draw_runs(WORLD, 3)


def test_turns() -> None:
    orders = [tuple(run.name for run in arranged(WORLD, seed).runs) for seed in SEEDS]
    assert len(set(orders)) == 2 * 6
    oldest, *_, newest = (run.name for run in WORLD.runs)
    searched = {run.name for run in WORLD.runs if run.experiment == "exam-training" and not run.deleted}
    for names in orders:
        assert (names[0], names[-1]) == (oldest, newest)
        newest_first = [name for name in reversed(names) if name in searched]
        assert newest_first.index(WORLD.asked.run) in (3, 4)


def test_nobody_knows_how_a_model_grew() -> None:
    assert unforeseen(1) == unforeseen(1) != unforeseen(2)
    tree = Estimator(name="sklearn.tree.DecisionTreeClassifier", params={"max_depth": 2})
    assert tree.request(1) == {
        "name": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_depth": 2},
        "random_state": unforeseen(1),
    }


def test_no_experiment_has_an_id_that_is_known_beforehand() -> None:
    few = {len(draw_earlier(WORLD.earlier, seed)) for seed in SEEDS}
    more = {len(draw_earlier(WORLD.earlier, seed, more=True)) for seed in SEEDS}
    assert (few, more) == ({1, 2, 3}, {4, 5, 6})
    assert [len(draw_earlier(names, 0)) for names in ((), ("a",))] == [0, 1]
