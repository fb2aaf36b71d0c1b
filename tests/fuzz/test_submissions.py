"""Malformed submissions: whatever is in a file is a finding, and the grade is made."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from grader.results import Status
from grader.session import STATIC, Options, score_submission
from tests.editing import reference_copy, still_open
from tests.fuzz.mutations import mutate

if TYPE_CHECKING:
    from pathlib import Path

SEED = int(os.environ.get("FUZZ_SEED", "0"))
COUNT = int(os.environ.get("FUZZ_COUNT", "400"))
BATCH = 50


def grade(root: Path, seed: int) -> list[str]:
    """What the grader made of one malformed submission and should not have."""
    submission = reference_copy(root / "submission")
    task = mutate(submission, seed)
    graded = score_submission(str(submission), Options(tasks=(task,), isolation=STATIC))
    shutil.rmtree(submission)
    return [f"seed {seed}: {name}" for name, status in still_open(graded).items() if status is Status.ERROR]


def test_some_malformed_submissions(tmp_path: Path) -> None:
    assert [error for seed in range(12) for error in grade(tmp_path, seed)] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(SEED, SEED + COUNT, BATCH))
def test_many_malformed_submissions(tmp_path: Path, first: int, deadline: None) -> None:
    errors = [error for seed in range(first, first + BATCH) for error in grade(tmp_path, seed)]
    assert errors == []
