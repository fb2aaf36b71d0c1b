"""The reference solution with one line taken out of each deliverable: each loses at the right criterion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.results import Status
from tests.editing import grade, losses, reference_copy, still_open, without_line

if TYPE_CHECKING:
    from pathlib import Path

STATIC = [
    ("1.1", "pyproject.toml", '"pandas', {"1.1.dependencies": 0.5}),
    ("1.1", ".pre-commit-config.yaml", "id: black", {"1.1.hooks": 1}),
    ("1.2", "Dockerfile.train", "COPY --from=builder", {"1.2.multistage": 1}),
    ("1.2", "Dockerfile.train", "CMD [", {"1.2.train": 0.5}),
    ("1.3", ".gitignore", "*.pkl", {"1.3.models": 0.5}),
    ("1.3", ".gitignore", ".venv/", {"1.3.venv": 0.5}),
    ("2.1", ".dvc/config", "url =", {"2.1.init": 1, "2.1.remote": 2, "2.1.push": 1}),
    ("2.1", "data/train.csv.dvc", "- md5:", {"2.1.track": 2, "2.1.push": 1}),
    ("2.2", "dvc.yaml", "- train.learning_rate", {"2.2.params": 1}),
    ("2.2", "params.yaml", "n_estimators", {"2.2.params": 1}),
    ("4.2", "k8s/deployment.yaml", "replicas: 3", {"4.2.replicas": 1}),
    ("4.2", "k8s/deployment.yaml", "path: /health", {"4.2.liveness": 1}),
    ("5.1", ".github/workflows/ci-cd.yml", "severity:", {}),
    ("5.1", ".github/workflows/ci-cd.yml", "exit-code:", {"5.1.scan": 1}),
    ("6.1", "alerts.yml", "for: 1m", {"6.1.model": 1}),
    ("6.1", "alerts.yml", "expr: model_loaded == 0", {"6.1.valid": 1, "6.1.model": 2}),
]


@pytest.mark.parametrize(("task", "name", "line", "expected"), STATIC, ids=lambda value: str(value)[:30])
def test_it_is_lost_where_it_was_taken(
    tmp_path: Path, task: str, name: str, line: str, expected: dict[str, float]
) -> None:
    root = reference_copy(tmp_path / "submission")
    without_line(root, name, line)
    assert losses(grade(root, task, static=True)) == expected


RUNS = [
    ("3.2", "src/query_best.py", "max_results", {"3.2.top3": 1.5}),
    ("3.1", "src/train.py", "mlflow.log_params(params)", {"3.1.params": 1.5}),
    ("3.1", "src/train.py", "mlflow.log_figure(", {"3.1.plot": 1.5}),
    ("3.1", "src/train.py", '"recall": recall_score(', {"3.1.metrics": 0.4}),
    ("4.1", "src/api.py", '@app.get("/ready")', {"4.1.ready": 2}),
    ("4.1", "src/api.py", '@app.get("/metrics")', {"4.1.metrics": 2}),
    ("6.2", "src/detect_drift.py", "result.save_html(", {"6.2.html": 1.5}),
    ("B2", "Makefile", "black", {"B2.lint": 1}),
]
ON_EVERY_CHANGE = ("3.1.metrics", "4.1.ready", "B2.lint")
"""The corpus of defects has such cases of every criterion."""


@pytest.mark.slow
@pytest.mark.parametrize(("task", "name", "line", "expected"), RUNS, ids=lambda value: str(value)[:30])
def test_it_is_lost_where_it_was_taken_from_what_runs(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    task: str,
    name: str,
    line: str,
    expected: dict[str, float],
) -> None:
    if not expected.keys() & {*ON_EVERY_CHANGE} and not request.config.getoption("--scheduled"):
        pytest.skip("takes long: only with --scheduled")
    root = reference_copy(tmp_path / "submission")
    without_line(root, name, line)
    graded = grade(root, task)
    assert Status.ERROR not in still_open(graded).values()
    assert losses(graded) == expected
