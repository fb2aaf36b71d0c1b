"""Mistakes that authors make in rubrics: each stops before any candidate is touched, at its line."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks import ALL
from grader.exam.bundled import RUBRICS
from grader.exam.loader import examine
from tests.test_cli import grader

if TYPE_CHECKING:
    from pathlib import Path

WRONG: list[tuple[Any, ...]] = [
    # names misspelt, and things that are not there
    (
        "6.2",
        "check: drift.preset",
        "check: drift.prest",
        "criteria[1].check",
        "unknown check 'drift.prest'; did you mean 'drift.preset'?",
    ),
    (
        "6.2",
        "with: {status: 0}",
        "with: {staus: 0, status: 0}",
        "criteria[3].with.staus",
        "unknown parameter of drift.quiet 'staus'; did you mean 'status'?",
    ),
    (
        "6.2",
        "    cpu_seconds: 120",
        "    cpu_secs: 3\n    cpu_seconds: 120",
        "scenarios.drift.cpu_secs",
        "unknown key of the scenario drift 'cpu_secs'; did you mean 'cpu_seconds'?",
    ),
    (
        "6.2",
        "kind: drift\n",
        "kind: drfit\n",
        "scenarios.drift.kind",
        "unknown kind of scenario 'drfit'; did you mean 'drift'?",
    ),
    (
        "6.2",
        "reference: data/baseline.csv",
        "reference: data/base.csv",
        "scenarios.drift.reference",
        "unknown given file 'data/base.csv'; did you mean 'data/baseline.csv'?",
    ),
    (
        "2.1",
        "    path: data/train.csv\n",
        "    path: data/trian.csv\n",
        "scenarios.push.path",
        "unknown given file 'data/trian.csv'; did you mean 'data/train.csv'?",
    ),
    (
        "2.1",
        "with: {file: dvc_track, path: data/train.csv}\n  - id: 2.1.commands",
        "with: {file: dvc_track, path: train.csv}\n  - id: 2.1.commands",
        "criteria[2].parts[1].with.path",
        "unknown given file 'train.csv'; did you mean 'data/train.csv'?",
    ),
    (
        "6.1",
        "with: {scenario: latency, shows: quiet}",
        "with: {scenario: latancy, shows: quiet}",
        "criteria[2].parts[2].with.scenario",
        "unknown scenario 'latancy'; did you mean 'latency'?",
    ),
    (
        "6.1",
        "with: {scenario: latency, shows: quiet}",
        "with: {shows: quiet}",
        "criteria[2].parts[2].with",
        "prometheus.alert needs 'scenario': one of error_rate, latency, model",
    ),
    (
        "B1",
        "world: experiments",
        "world: experiment",
        "scenarios.scoring.world",
        "unknown world 'experiment'; did you mean 'experiments'?",
    ),
    (
        "B1",
        "world: experiments",
        "world: service",
        "scenarios.scoring.world",
        "the world 'service' is of kind served_model; the scenario scoring reads one of kind tracked_runs",
    ),
    (
        "B1",
        "stage: Production}",
        "stage: Prodution}",
        "scenarios.scoring.versions[1].stage",
        "expected 'None', 'Staging', 'Production' or 'Archived', not 'Prodution'",
    ),
    (
        "B1",
        "{run: deft-crane",
        "{run: deft-crain",
        "scenarios.scoring",
        "unknown run of the world with a model 'deft-crain'; did you mean 'deft-crane'?",
        None,
    ),
    (
        "3.3",
        "training: train",
        "training: trian",
        "scenarios.registration.training",
        "unknown deliverable 'trian'; did you mean 'train'?",
    ),
    (
        "3.3",
        "experiment: exam-training\n",
        "experiment: exam-traning\n",
        "scenarios.registration",
        "unknown experiment of the world 'exam-traning'; did you mean 'exam-training'?",
        None,
    ),
    (
        "3.2",
        "    metric: accuracy\n    above",
        "    metric: acuracy\n    above",
        "scenarios.query",
        "unknown metric of exam-training 'acuracy'; did you mean 'accuracy'?",
        None,
    ),
    (
        "3.2",
        "delete: [amber-finch,",
        "delete: [amber-finsh,",
        "scenarios.query",
        "unknown run of the world 'amber-finsh'; did you mean 'amber-finch'?",
        None,
    ),
    (
        "2.2",
        "pipeline: dvc_pipeline",
        "pipeline: dvc_pipelin",
        "scenarios.repro.pipeline",
        "unknown deliverable 'dvc_pipelin'; did you mean 'dvc_pipeline'?",
    ),
    ("1.2", "script: train", "script: trian", None, "unknown deliverable 'trian'; did you mean 'train'?"),
    (
        "5.2",
        "with: {fault: lacking}",
        "with: {fault: lackng}",
        None,
        "unknown fault 'lackng'; did you mean 'lacking'?",
    ),
    (
        "4.1",
        "with: {kind: malformed, status: 422}",
        "with: {kind: malformd, status: 422}",
        None,
        "unknown kind of refused body 'malformd'; did you mean 'malformed'?",
    ),
    (
        "B1",
        "with: {stage: Production}",
        "with: {stage: Archived}",
        None,
        "unknown stage of a version 'Archived'",
    ),
    # another type than is meant
    ("3.1", "{names: [n_estimators]}", "{names: n_estimators}", None, "expected a tuple, not 'n_estimators'"),
    ("3.1", "{names: [max_depth]}", "{names: []}", None, "expected at least one"),
    (
        "3.1",
        "estimator: RandomForestClassifier",
        "estimator: [RandomForestClassifier]",
        None,
        "expected a string, not ['RandomForestClassifier']",
    ),
    (
        "6.2",
        "with: {status: 1}",
        'with: {status: "1"}',
        "criteria[4].with.status",
        "expected an integer, not '1'",
    ),
    (
        "6.2",
        "wall_seconds: 240",
        "wall_seconds: yes",
        "scenarios.drift.wall_seconds",
        "expected a number, not True",
    ),
    ("4.2", "replicas: 3}", "replicas: 3.5}", None, "expected an integer, not 3.5"),
    ("3.1", "through_mlflow: true", 'through_mlflow: "yes"', None, "expected a boolean, not 'yes'"),
    ("1.1", 'at_least: "2.1.0"', "at_least: 2.1", None, "expected a string, not 2.1"),
    # values that cannot be
    (
        "6.2",
        "with: {status: 1}",
        "with: {status: 256}",
        "criteria[4].with.status",
        "expected less than or equal to 255, not 256",
    ),
    (
        "6.2",
        "wall_seconds: 240",
        "wall_seconds: 0",
        "scenarios.drift.wall_seconds",
        "expected greater than 0, not 0",
    ),
    (
        "4.1",
        "port: 8000",
        "port: 80000",
        "scenarios.serving.port",
        "expected less than or equal to 65535, not 80000",
    ),
    (
        "4.1",
        "health: /health",
        "health: health",
        "scenarios.serving.health",
        "a URL path must begin with a slash: /health",
    ),
    (
        "4.2",
        "quantity: 256Mi",
        "quantity: 256 MB",
        None,
        "'256 MB' is not a Kubernetes quantity; write 100m, 1, 256Mi or 1Gi",
    ),
    (
        "4.2",
        "kind: limits, resource: cpu",
        "kind: limit, resource: cpu",
        None,
        "expected 'requests' or 'limits', not 'limit'",
    ),
    (
        "5.1",
        "severities: [HIGH, CRITICAL]",
        "severities: [HIGH, SEVERE]",
        None,
        "expected 'UNKNOWN', 'LOW', 'MEDIUM', 'HIGH' or 'CRITICAL', not 'SEVERE'",
    ),
    (
        "5.1",
        "hook: 'deploy|hook|redeploy|restart'",
        "hook: 'deploy(|hook'",
        "scenarios.push.deployments.hook",
        "not a regular expression: missing ), unterminated subpattern at position 6",
    ),
    ("1.1", 'at_least: "2.1.0"', "at_least: two", None, "'two' is not a version; write 2.1 or 2.1.0"),
    (
        "6.1",
        "duration: 1m",
        "duration: one minute",
        "scenarios.model.duration",
        "'one minute' is not a Prometheus duration; write 5m, 90s or 1h30m",
    ),
    # values that do not go together
    (
        "6.1",
        "    good: 1\n",
        "    good: 0\n",
        "scenarios.model",
        "the good and the bad value must differ, or no alert can tell them apart",
        None,
    ),
    (
        "6.1",
        "    threshold: 0\n",
        "    threshold: 3\n",
        "scenarios.model",
        "no alert on 3 can tell 1 (good) from 0 (bad): the threshold lies between them, or is one of them",
        None,
    ),
    (
        "6.1",
        "    threshold: 0.05\n",
        "    threshold: 0\n",
        "scenarios.error_rate",
        "a rate is never below 0, so the threshold must be above 0",
        None,
    ),
    (
        "6.1",
        "with: {scenario: model, shows: quiet}",
        "with: {scenario: model, shows: quantile}",
        None,
        "an alert on a value has no quantile; only one on a latency has",
    ),
    (
        "3.2",
        "    count: 3\n",
        "    count: 5\n",
        "scenarios.query",
        (
            "5 runs have accuracy > 0.85: more than 5 must qualify, "
            "or taking the best few cannot be told from taking all"
        ),
        None,
    ),
    (
        "3.2",
        "delete: [amber-finch, calm-heron, deft-crane]",
        "delete: [amber-finch, calm-heron]",
        "scenarios.query",
        "once `delete` is done, fewer than 3 runs must qualify, and at least one",
        None,
    ),
    (
        "3.1",
        "low: 0, high: 1",
        "low: 1, high: 0",
        None,
        "no metric lies between 1 and 0: low must be less than high",
    ),
    (
        "6.2",
        "current: data/current.csv\n",
        "current: data/baseline.csv\n",
        "scenarios.drift",
        "reference and current are the same file, so nothing could drift",
        None,
    ),
    (
        "5.2",
        "refused: {answered: 422, status: 400}",
        "refused: {answered: 422, status: 422}",
        "scenarios.tests.faults.refused",
        "a fault must change the status or the body, or no test can notice it",
    ),
    (
        "exam",
        "asked: {run: calm-heron, ",
        "asked: {run: calm-hern, ",
        "worlds.experiments",
        "unknown run 'calm-hern'; did you mean 'calm-heron'?",
        None,
    ),
    (
        "exam",
        "answers: [register]",
        "answers: [registr]",
        "worlds.experiments.answers[0]",
        "unknown deliverable 'registr'; did you mean 'register'?",
    ),
    (
        "exam",
        "objects_port: 9000",
        "objects_port: 5000",
        "services.objects_port",
        "two servers cannot have the port 5000",
    ),
]


@pytest.fixture
def rubrics(tmp_path: Path) -> Path:
    """A copy of the bundled exam that may be spoilt."""
    for name in ("fixtures", "reference_solution"):
        (tmp_path / name).symlink_to(RUBRICS.parent / name)
    shutil.copytree(RUBRICS, tmp_path / "rubrics")
    return tmp_path / "rubrics"


def spoil(rubrics: Path, task: str, old: str, new: str) -> tuple[Path, int]:
    """Replace a text where it first stands: the file, and the line of that place."""
    file = rubrics / f"{task}.yaml"
    before, found, after = file.read_text("utf-8").partition(old)
    assert found
    file.write_text(before + new + after, "utf-8")
    return file, before.count("\n") + 1


@pytest.mark.parametrize(
    ("task", "old", "new", "path", "message", "here"),
    [(*row, True)[:6] for row in WRONG],
    ids=[f"{row[0]}: {row[2].strip()}" for row in WRONG],
)
def test_it_stops_at_its_line(
    rubrics: Path, task: str, old: str, new: str, path: str | None, message: str, here: bool | None
) -> None:
    """`path`: None where the line says enough. `here`: None where the complaint is of all of a scenario."""
    file, line = spoil(rubrics, task, old, new)
    (complaint,) = examine(rubrics, ALL).errors
    if not here:
        text = file.read_text("utf-8").splitlines()
        line = text.index(f"  {complaint.path.rpartition('.')[2]}:") + 1
    assert (complaint.file, complaint.line, complaint.message) == (str(file), line, message)
    assert path in (None, complaint.path)


def test_none_reaches_a_candidate(rubrics: Path) -> None:
    file, line = spoil(rubrics, "6.2", "kind: drift\n", "kind: drfit\n")
    said = f"{file}:{line}: scenarios.drift.kind: unknown kind of scenario 'drfit'; did you mean 'drift'?\n"
    for words in (("score", "no/such/folder", "--exam", str(rubrics)), ("rubric", "lint", str(rubrics))):
        done = grader(*words)
        assert done.returncode == 2
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
