"""Every attack costs its own criteria at most, and nothing and nobody else anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.exam.bundled import REFERENCE_SOLUTION
from tests.hostile.attacks import Attack, prepare
from tests.hostile.grading import SEEDS, Outcome, Target, complaints, differences, same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_an_attack_costs_only_what_is_its_own(
    attacks: tuple[Attack, ...],
    isolation: str,
    target: Target,
    folder: Path,
    clean: Clean,
    request: pytest.FixtureRequest,
) -> None:
    if any(isolation in attack.skip_on for attack in attacks):
        pytest.skip(f"it would do harm with --isolation {isolation}")
    submission, outside = folder / "submission", folder / "outside"
    outside.mkdir()
    clean.before(isolation, target)
    prepared = prepare(attacks, submission, outside)
    target.give(folder)
    environment = dict(prepared.environment)
    if any(attack.then for attack in attacks):
        environment["GRADER_CACHE_DIR"] = str(fresh_cache(target, folder / "cache"))
    tasks = list(dict.fromkeys(task for attack in attacks for task in attack.tasks))
    seconds = sum(attack.seconds for attack in attacks)
    outcome = target.grade(prepared.source, tasks=tasks, seconds=seconds, **environment)
    wrong = complaints(outcome, attacks, outside)
    if any(attack.then for attack in attacks):
        cache = {name: value for name, value in environment.items() if name == "GRADER_CACHE_DIR"}
        wrong += clean.changes(isolation, target, tasks, **cache)
    elif request.config.getoption("--scheduled"):
        wrong += clean.changes(isolation, target, tasks)
    if request.config.getoption("--twice", False):
        again = target.grade(prepared.source, tasks=tasks, seconds=seconds, **environment)
        wrong += [] if same(outcome, again) else ["a second grade found something else"]
    if any(isolation in attack.open_on for attack in attacks):
        assert wrong, "it works no more: `open_on` can go"
    elif wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_after_all_attacks_the_reference_is_graded_as_before(
    isolation: str, target: Target, clean: Clean
) -> None:
    assert complaints(clean.before(isolation, target), ()) == []
    assert clean.changes(isolation, target, ()) == []


class Clean:
    """What the grader says of the reference solution, before and after what others did on the same caches."""

    def __init__(self) -> None:
        self._before: dict[str, Outcome] = {}

    def before(self, isolation: str, target: Target) -> Outcome:
        """The grade of before the first attack."""
        if isolation not in self._before:
            self._before[isolation] = target.grade(str(REFERENCE_SOLUTION), tasks=(), seconds=600)
        return self._before[isolation]

    def changes(self, isolation: str, target: Target, tasks: Sequence[str], **environment: str) -> list[str]:
        """How a grade of now differs from it."""
        again = target.grade(str(REFERENCE_SOLUTION), tasks=tasks, seconds=600, **environment)
        found = [*complaints(again, ()), *differences(self.before(isolation, target), again)]
        return [f"another submission: {each}" for each in found]


@pytest.fixture(scope="module")
def clean() -> Clean:
    """Shared by all attacks."""
    return Clean()


def fresh_cache(target: Target, folder: Path) -> Path:
    """A cache in which everything is there already but what candidate code has a share in."""
    folder.mkdir()
    for kind in target.cache.iterdir() if target.cache.is_dir() else ():
        if kind.name != SEEDS:
            (folder / kind.name).symlink_to(kind)
    target.give(folder)
    return folder
