"""Copies of the reference solution with something changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.exam.bundled import REFERENCE_SOLUTION
from grader.session import STATIC, Options, score_submission

if TYPE_CHECKING:
    from grader.results import Grade, Status


def reference_copy(root: Path) -> Path:
    """The reference solution, writable."""
    shutil.copytree(REFERENCE_SOLUTION, root, dirs_exist_ok=True)
    return root


def without_line(root: Path, name: str, text: str) -> None:
    """Take out the one line of a file that holds `text`."""
    path = root / name
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if text not in line]
    assert len(kept) == len(lines) - 1, f"{text!r} should stand on exactly one line of {name}"
    path.write_text("".join(kept))


def replaced(root: Path, name: str, old: str, new: str) -> None:
    """Replace the one place where `old` stands."""
    path = root / name
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} should stand exactly once in {name}"
    path.write_text(text.replace(old, new))


def grade(root: Path, *tasks: str, static: bool = False, seed: int = 0) -> Grade:
    """A grade of some tasks, or of all."""
    isolation = STATIC if static else "bubblewrap"
    return score_submission(str(root), Options(tasks=tasks, seed=seed, isolation=isolation))


def losses(graded: Grade) -> dict[str, float]:
    """Points lost or blocked, by criterion; open ones are not among them."""
    return {
        criterion.id: round(criterion.points - criterion.highest, 3)
        for section in graded.sections
        for task in section.tasks
        for criterion in task.criteria
        if criterion.highest < criterion.points
    }


def still_open(graded: Grade) -> dict[str, Status]:
    """Criteria that are unverified or in error."""
    return {
        criterion.id: criterion.status
        for section in graded.sections
        for task in section.tasks
        for criterion in task.criteria
        if criterion.status.open
    }


def without_times(value: Any) -> Any:
    """A result document as it was, less every `seconds`."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key != "seconds"}
    return [without_times(item) for item in value] if isinstance(value, list) else value
