"""Cohorts made of seeded numbers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from grader.cohort.statistics.model import Row, Sheet
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TASKS = {"1.1": ("1.1.a", "1.1.b"), "2.1": ("2.1.a", "2.1.b", "2.1.c"), "B1": ("B1.a",)}
POINTS = {"1.1.a": 40, "1.1.b": 20, "2.1.a": 60, "2.1.b": 20, "2.1.c": 10, "B1.a": 30}


def row(task: str, earned: int, possible: int = 20, **more: object) -> Row:
    status = Status.EARNED if earned >= possible else Status.PARTIAL if earned else Status.LOST
    return Row(**{"task": task, "status": status, "earned": earned, "possible": possible, **more})  # type: ignore[arg-type]


def column(earned: Iterable[int], possible: int = 20, **more: object) -> list[Row]:
    """Marks of one criterion, a candidate each."""
    return [row("1", each, possible, **more) for each in earned]


def cohort(*columns: Sequence[Row]) -> list[Sheet]:
    """Candidates `c00`, `c01`, … with criteria `k0`, `k1`, …"""
    return [
        Sheet(candidate=f"c{place:02}", rows={f"k{number}": each for number, each in enumerate(rows)})
        for place, rows in enumerate(zip(*columns, strict=True))
    ]


def random_cohort(people: int, *, seed: int = 1, missing: float = 0.0) -> list[Sheet]:
    """Candidates of different ability, with the criteria of TASKS."""
    rng = random.Random(seed)
    sheets = []
    for number in range(people):
        ability = rng.gauss(0, 1)
        rows = {}
        for task, names in TASKS.items():
            for place, name in enumerate(names):
                share = min(1.0, max(0.0, 0.6 + 0.3 * ability + rng.gauss(0, 0.3) - 0.1 * place))
                earned = round(share * 4) * POINTS[name] // 4
                more: dict[str, object] = {"seconds": rng.uniform(1, 2)}
                if rng.random() < missing:
                    more["status"] = rng.choice([Status.UNVERIFIED, Status.ERROR])
                rows[name] = row(task, earned, POINTS[name], **more)
        sheets.append(Sheet(candidate=f"c{number:03}", rows=rows))
    return sheets
