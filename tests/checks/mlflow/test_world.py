from __future__ import annotations

from typing import Any

import pytest

from grader.checks.mlflow.world import World, arranged, draw_runs, named_hundredths, unforeseen
from grader.errors import GraderFault
from tests.checks.laboratory import parameters

WORLD: World = parameters("3.2", "query.top")["how"]["world"]
SEEDS = range(200)
BEST = next(n for n, run in enumerate(WORLD["runs"]) if run["name"] == WORLD["asked"]["run"])


def order(runs: list[dict[str, Any]], metric: str) -> list[int]:
    return sorted(range(len(runs)), key=lambda n: runs[n]["metrics"][metric])


def test_a_rubric_without_room_is_ours() -> None:
    run = {"experiment": "e", "name": "a", "metrics": {"accuracy": 0.5}}
    crowd: Any = [{**run, "name": str(n), "metrics": {"accuracy": 0.99}} for n in range(3)]
    with pytest.raises(GraderFault, match="3 runs do not fit"):
        draw_runs({**WORLD, "runs": crowd}, 0)


def test_one_seed_draws_the_same_and_another_another() -> None:
    assert draw_runs(WORLD, 1) == draw_runs(WORLD, 1)
    best = [draw_runs(WORLD, seed)[BEST] for seed in SEEDS]
    assert len({run["name"].rpartition("-")[0] for run in best}) == len(WORLD["runs"]) - 2
    assert {int(run["metrics"]["accuracy"] * 100) for run in best} == set(range(91, 97))


def test_relations_stay() -> None:
    for seed in SEEDS:
        runs = draw_runs(WORLD, seed)
        assert len({run["name"] for run in runs}) == len(runs)
        given = [run["metrics"]["accuracy"] for run in WORLD["runs"]]
        assert [given[n] for n in order(runs, "accuracy")] == sorted(given)
        assert not any(round(run["metrics"]["accuracy"] * 100) % 10 == 0 for run in runs)
        for run, drawn in zip(WORLD["runs"], runs, strict=True):
            for metric in ("precision", "recall", "f1"):
                assert 0 <= drawn["metrics"][metric] - run["metrics"][metric] <= WORLD["jitter"] + 1e-9
        exact = [run["metrics"] for run in runs if run.get("exact")]
        assert exact == [run["metrics"] for run in WORLD["runs"] if run.get("exact")]
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
    orders = [tuple(run["name"] for run in arranged(WORLD, seed)["runs"]) for seed in SEEDS]
    assert len(set(orders)) == 2 * 6
    oldest, *_, newest = (run["name"] for run in WORLD["runs"])
    searched = {
        run["name"]
        for run in WORLD["runs"]
        if run["experiment"] == "exam-training" and not run.get("deleted")
    }
    for names in orders:
        assert (names[0], names[-1]) == (oldest, newest)
        newest_first = [name for name in reversed(names) if name in searched]
        assert newest_first.index(WORLD["asked"]["run"]) in (3, 4)


def test_nobody_knows_how_a_model_grew() -> None:
    models: dict[str, dict[str, Any]] = {
        "a": {"labels": "flipped"},
        "b": {"params": {"random_state": 3, "max_depth": 2}},
    }
    one, other = unforeseen(models, 1), unforeseen(models, 2)
    assert one["b"] == other["b"] == models["b"]
    assert one["a"]["labels"] == "flipped"
    assert one["a"] == unforeseen(models, 1)["a"] != other["a"]
