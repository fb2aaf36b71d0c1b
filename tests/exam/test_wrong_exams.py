"""An author's mistakes in a small exam: each stops at its file and line, and says what would be right."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from grader.checks import ALL
from grader.exam.lint import lint
from grader.exam.new_exam import TEMPLATE
from tests.test_cli import grader

if TYPE_CHECKING:
    from pathlib import Path

FIRES = "with: {shows: fires}"
WRONG: list[tuple[Any, ...]] = [
    # things that are not there
    ("exam", "text: exam.md", "text: exam.txt", "there is no file exam.txt; write it, or delete this key"),
    (
        "exam",
        "defects: defects",
        "defects: defect",
        "there is no folder defect; create it, or delete this key",
    ),
    (
        "exam",
        "variants: variants",
        "variants: exam.md",
        "there is no folder exam.md; create it, or delete this key",
    ),
    (
        "exam",
        "variants: variants",
        "variants: variants\n  canary: defects/1.1/no-replica",
        "there is no case defects/1.1/no-replica; see `grader verify -v`",
        1,
    ),
    ("exam", "reference: reference", "reference: solution", "there is no folder solution"),
    (
        "exam",
        "pass_mark: 6",
        'pass_mark: 6\nenvironment: {python: "3.99"}',
        "there is no Python 3.99; `uv python list` shows those that there are",
        1,
    ),
    (
        "exam",
        "pass_mark: 6",
        "pass_mark: 6\nenvironment: {fallback: lock.txt}",
        "there is no file lock.txt",
        1,
    ),
    (
        "exam",
        '{id: "1.2", points: 5}]',
        '{id: "1.2", points: 5}, "1.3"]',
        "there is no rubric file 1.3.yaml",
    ),
    (
        "1.2",
        "check: prometheus.valid",
        "check: prometheus.vaild",
        "unknown check 'prometheus.vaild'; did you mean 'prometheus.valid'?",
    ),
    (
        "1.2",
        "check: prometheus.valid",
        "check: prometheus.valid\n    with: {file: alert}",
        "unknown deliverable 'alert'; did you mean 'alerts'?",
        1,
    ),
    (
        "1.2",
        FIRES,
        "with: {shows: fires, scenario: queues}",
        "unknown scenario 'queues'; did you mean 'queue'?",
    ),
    (
        "1.2",
        FIRES,
        f"{FIRES}\n        needs: [1.1.deploy]",
        "unknown criterion or part '1.1.deploy'; did you mean '1.1.deployment'?",
        1,
    ),
    # sums
    ("exam", "pass_mark: 6", "pass_mark: 60", "nobody can have 60 of 10 points: lower it"),
    (
        "exam",
        '{id: "1.2", points: 5}',
        '{id: "1.2", points: 6}',
        "the criteria of task 1.2 add up to 5 points, not 6",
    ),
    (
        "1.2",
        "        points: 2\n        title: It fires",
        "        points: 3\n        title: It fires",
        "the parts add up to 5 points, not 4",
        None,
    ),
    # misspelt keys, kinds and values
    ("exam", "text: exam.md", "texts: exam.md", "unknown key 'texts'; did you mean 'text'?"),
    ("1.2", "kind: alert", "kind: alret", "unknown kind of scenario 'alret'; did you mean 'alert'?"),
    (
        "1.2",
        "duration: 5m",
        "duration: 5 minutes",
        "'5 minutes' is not a Prometheus duration; write 5m, 90s or 1h30m",
    ),
    (
        "1.2",
        FIRES,
        "with: {show: fires, shows: fires}",
        "unknown parameter of prometheus.alert 'show'; did you mean 'shows'?",
    ),
    ("1.2", FIRES, "with: {shows: rings}", "expected 'fires', 'quiet' or 'quantile', not 'rings'"),
    (
        "1.1",
        "probe: livenessProbe",
        "probe: livnessProbe",
        "expected 'livenessProbe', 'readinessProbe' or 'startupProbe', not 'livnessProbe'",
    ),
    ("1.1", "replicas: 2", 'replicas: "2"', "expected an integer, not '2'"),
    ("1.1", "id: 1.1.image", "id: 1.1.deployment", "duplicate criterion '1.1.deployment' (also in 1.1.yaml)"),
    ("1.1", "id: 1.1.image", "id: 1.2.image", "the id must begin with 1.1."),
    # what does not meet
    (
        "1.2",
        "bad: 250",
        "bad: 20",
        "the good and the bad value must differ, or no alert can tell them apart",
        None,
    ),
    (
        "1.2",
        "threshold: 100",
        "threshold: 1000",
        (
            "no alert on 1000 can tell 20 (good) from 250 (bad): the threshold lies between them, "
            "or is one of them"
        ),
        None,
    ),
    (
        "1.2",
        FIRES,
        "with: {shows: quantile}",
        "an alert on a value has no quantile; only one on a latency has",
    ),
    ("1.2", "    check: prometheus.valid\n", "", "a criterion has either a check or parts", None),
]


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATE, tmp_path / "exam")
    return tmp_path / "exam"


def spoil(exam: Path, name: str, old: str, new: str) -> tuple[Path, int]:
    file = exam / f"{name}.yaml"
    before, found, after = file.read_text("utf-8").partition(old)
    assert found
    file.write_text(before + new + after, "utf-8")
    return file, before.count("\n") + 1


@pytest.mark.parametrize(
    ("name", "old", "new", "message", "below"),
    [(*row, 0)[:5] for row in WRONG],
    ids=[f"{row[0]}: {row[2].strip().splitlines()[-1] if row[2] else row[1].strip()}" for row in WRONG],
)
def test_it_stops_at_its_line(
    exam: Path, name: str, old: str, new: str, message: str, below: int | None
) -> None:
    """`below`: lines below the edit at which the complaint points; None: at some line of what it is about."""
    file, line = spoil(exam, name, old, new)
    errors = [one for one in lint(exam, ALL, exists=lambda version: version != "3.99") if not one.warning]
    assert [(one.file, one.message) for one in errors] == [(str(file), message)]
    assert errors[0].line > 0
    assert below is None or errors[0].line == line + below


def test_a_version_of_python_that_there_is_not_stops_the_command(exam: Path) -> None:
    file, _ = spoil(exam, "exam", "pass_mark: 6", 'environment: {python: "3.99"}\npass_mark: 6')
    done = grader("rubric", "lint", str(exam))
    said = "environment.python: there is no Python 3.99; `uv python list` shows those that there are\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, f"{file}:8: {said}", "")


def test_no_grade_starts_from_a_wrong_exam(exam: Path) -> None:
    file, line = spoil(exam, "1.2", "kind: alert", "kind: alret")
    said = f"{file}:{line}: scenarios.queue.kind: unknown kind of scenario 'alret'; did you mean 'alert'?"
    done = grader("score", str(exam / "reference"), "--exam", str(exam))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"grader: {said}\n")
