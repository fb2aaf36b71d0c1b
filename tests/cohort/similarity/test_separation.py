"""How far copies and independent work are apart, on whole submissions of the bundled exam."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.similarity.comparison import THRESHOLD, compare
from grader.cohort.similarity.model import Pair, Work
from grader.cohort.similarity.reading import Given, Reading, read, read_given
from tests.cohort.similarity.copies import GIVEN, KINDS, files_of, partly, whole_submissions, write_files

if TYPE_CHECKING:
    from pathlib import Path

COPIED = ("team-template", "data-scientist-on-windows", "beginner-from-tutorials", "newest")
"""Those whose copies are the hardest to find, and two others; the benchmark has all."""


@pytest.fixture(scope="module")
def given() -> Given:
    return read_given(GIVEN)


@pytest.fixture(scope="module")
def originals() -> dict[str, tuple[Work, Reading]]:
    works = [Work(name=name, folder=folder) for name, folder in whole_submissions().items()]
    return {work.name: (work, read(work)) for work in works}


def pairs_of(found: dict[str, tuple[Work, Reading]], given: Given) -> tuple[Pair, ...]:
    works, readings = zip(*found.values(), strict=True)
    return compare(works, readings, given, threshold=0).pairs


def test_independent_work_is_far_below_the_threshold(
    originals: dict[str, tuple[Work, Reading]], given: Given
) -> None:
    pairs = pairs_of(originals, given)
    assert max(pair.score for pair in pairs) < THRESHOLD / 2
    assert [pair.reasons for pair in pairs if pair.reasons] == []


@pytest.mark.parametrize("kind", [*KINDS, "partly"])
def test_copies_are_far_above_it(
    kind: str, originals: dict[str, tuple[Work, Reading]], given: Given, tmp_path: Path
) -> None:
    scores = {}
    for number, name in enumerate(COPIED):
        own = COPIED[number - 1]
        files = files_of(originals[name][0].folder)
        made = KINDS[kind](files) if kind in KINDS else partly(files, files_of(originals[own][0].folder))
        copy = Work(name="zz-copy", folder=write_files(made, tmp_path / name))
        others = {key: value for key, value in originals.items() if kind in KINDS or key != own}
        best = pairs_of({**others, "zz-copy": (copy, read(copy))}, given)[0]
        assert (best.left, best.right) == (name, "zz-copy")
        scores[name] = best.score
    assert min(scores.values()) > (0.8 if kind in KINDS else 1.5 * THRESHOLD)
