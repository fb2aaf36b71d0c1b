"""A file that cannot be read is one mistake: what needs it first is lost, the other criteria are blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.grading import grade_tasks
from grader.results import Status
from tests.builders import make_context
from tests.checks.live import bundled_exam

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("task", "files", "lost"),
    [
        ("1.1", {"pyproject": "[project\n"}, {"1.1.project"}),
        ("1.1", {"hooks": "repos: [\n"}, {"1.1.hooks"}),
        ("1.2", {"dockerfile": "FROM python:3.11-slim\nRUN <<EOF\n"}, {"1.2.base"}),
        ("2.1", {"dvc_config": "[core\nremote"}, {"2.1.init", "2.1.commands"}),
        (
            "2.2",
            {"dvc_pipeline": "stages: [", "params": "{learning_rate: 1, n_estimators: 2}"},
            {"2.2.preprocess"},
        ),
        ("4.2", {"deployment": "a: [\n"}, {"4.2.deployment"}),
        ("4.2", {"deployment": "kind: Service\napiVersion: v1\n"}, {"4.2.deployment"}),
        ("6.1", {"alerts": "groups: ["}, {"6.1.valid"}),
    ],
)
def test_what_cannot_be_read_is_lost_once(
    tmp_path: Path, task: str, files: dict[str, str | bytes], lost: set[str]
) -> None:
    chosen = next(each for each in bundled_exam().tasks if each.id == task)
    paths = {entry.id: entry.path for entry in chosen.deliverables if entry.path}
    assert set(files) <= set(paths), sorted(paths)
    written = {paths[name]: content for name, content in files.items()}
    there = {name: paths[name] for name in files}
    context = make_context(tmp_path, written, deliverables=there)
    result = grade_tasks([chosen], context, ALL)[task]
    reading = [row for row in result.criteria if row.findings and row.status is Status.LOST]
    reading = [row for row in reading if not any("missing" in each.message for each in row.findings)]
    assert {row.id for row in reading} == lost
    parts = [part for row in result.criteria for part in row.parts if part.blocked_by]
    assert {part.status for part in parts} <= {Status.BLOCKED, Status.UNVERIFIED}
