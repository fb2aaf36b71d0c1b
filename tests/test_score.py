from __future__ import annotations

import pytest

from grader.exam.model import Criterion, Part
from grader.results import CriterionResult, Evidence, PartResult, SectionResult, Status, TaskResult
from grader.score import add, criterion_result, total

EARNED, LOST, BLOCKED = Status.EARNED, Status.LOST, Status.BLOCKED
UNVERIFIED, ERROR, PARTIAL = Status.UNVERIFIED, Status.ERROR, Status.PARTIAL


def criterion(*statuses: Status, points: float = 0.5, id_: str = "1.1.x") -> CriterionResult:
    parts = tuple(
        Part(id=str(n), title="", points=points, check="", parameters={}) for n, _ in enumerate(statuses)
    )
    results = tuple(
        PartResult(id=part.id, title="", points=points, status=status)
        for part, status in zip(parts, statuses, strict=True)
    )
    rubric = Criterion(id=id_, title="", points=add(part.points for part in parts), hint="", parts=parts)
    return criterion_result(rubric, results)


@pytest.mark.parametrize(
    ("statuses", "status", "earned", "highest"),
    [
        ((EARNED,), EARNED, 0.5, 0.5),
        ((LOST,), LOST, 0, 0),
        ((BLOCKED,), BLOCKED, 0, 0),
        ((UNVERIFIED,), UNVERIFIED, 0, 0.5),
        ((ERROR,), ERROR, 0, 0.5),
        ((EARNED, LOST), PARTIAL, 0.5, 0.5),
        ((LOST, BLOCKED), LOST, 0, 0),
        ((EARNED, BLOCKED), PARTIAL, 0.5, 0.5),
        ((EARNED, UNVERIFIED), UNVERIFIED, 0.5, 1),
        ((LOST, ERROR), ERROR, 0, 0.5),
        ((UNVERIFIED, ERROR), ERROR, 0, 1),
    ],
)
def test_parts_add_up(statuses: tuple[Status, ...], status: Status, earned: float, highest: float) -> None:
    result = criterion(*statuses)
    assert (result.status, result.earned, result.highest) == (status, earned, highest)


def test_dust_of_binary_fractions_is_swept() -> None:
    assert add([0.4] * 5) == 2.0
    assert add([0.1, 0.2]) == 0.3


def test_runs_outrank_reading() -> None:
    parts = tuple(
        PartResult(id=name, title="", points=1, status=EARNED, evidence=evidence)
        for name, evidence in (("a", Evidence.STATIC), ("b", Evidence.RUNS))
    )
    rubric = Criterion(id="x", title="", points=2, hint="", parts=())
    assert criterion_result(rubric, parts).evidence is Evidence.RUNS


def section(*criteria: CriterionResult, bonus: bool = False) -> SectionResult:
    return SectionResult(
        id="1", title="", bonus=bonus, tasks=(TaskResult(id="1.1", title="", criteria=criteria),)
    )


@pytest.mark.parametrize(
    ("pass_mark", "passed"), [(1.5, True), (1.6, False)], ids=["at the mark", "just under it"]
)
def test_totals_count_the_bonus_and_keep_open_points_apart(pass_mark: float, passed: bool) -> None:
    score = total(
        [
            section(criterion(EARNED, EARNED), criterion(LOST, UNVERIFIED)),
            section(criterion(EARNED), bonus=True),
        ],
        pass_mark=pass_mark,
    )
    assert (score.earned, score.possible, score.lowest, score.highest) == (1.5, 2.5, 1.5, 2.0)
    assert (score.bonus_earned, score.bonus_possible) == (0.5, 0.5)
    assert (score.passed, score.complete) == (passed, False)


def test_nothing_open_is_complete() -> None:
    assert total([section(criterion(LOST))], pass_mark=0).complete
