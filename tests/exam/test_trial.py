"""A check tried before any rubric has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.new_exam import TEMPLATE
from grader.exam.trial import trial_exam
from tests.test_cli import grader

if TYPE_CHECKING:
    from pathlib import Path

ALERT = "{file: alerts.yml, alert: QueueTooLong, watches: value, metric: shop_queue_length, threshold: 100,"
REFERENCE = str(TEMPLATE / "reference")


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        ("yaml.vale", "", "unknown check 'yaml.vale'; did you mean 'yaml.value'?"),
        ("yaml.value", "[", "--with is not valid YAML: "),
        ("yaml.value", "- 1", "--with must be a mapping, such as '{file: notes.txt}', not [1]"),
        ("yaml.value", "{path: $.a}", "--with: yaml.value needs the parameter 'file'"),
        (
            "yaml.value",
            "{file: a.yaml, pth: $.a, path: $.b}",
            "--with.pth: unknown parameter of yaml.value 'pth'; did you mean 'path'?",
        ),
        (
            "prometheus.alert",
            f"{{shows: fires, scenario: {ALERT} good: 1, bad: 1000, duration: now}}}}",
            "scenarios.try.duration: 'now' is not a Prometheus duration; write 5m, 90s or 1h30m",
        ),
    ],
)
def test_what_cannot_be_tried_is_said_in_one_line(tmp_path: Path, check: str, given: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        trial_exam(check, given, tmp_path, ALL, exam=None, task="")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("exam", "task", "said"),
    [
        (None, "1.1", "which exam has the task '1.1'? Say --exam DIR"),
        (TEMPLATE, "9", f"no task '9' in {TEMPLATE}: there is no file 9.yaml"),
        (TEMPLATE / "reference", "", f"no exam in {TEMPLATE / 'reference'}: it has no exam.yaml"),
    ],
)
def test_an_exam_that_is_not_there(tmp_path: Path, exam: Path | None, task: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        trial_exam("prometheus.valid", "file: alerts.yml", tmp_path, ALL, exam=exam, task=task)
    assert str(raised.value) == said


def test_files_may_be_paths_and_a_scenario_may_be_written_out(tmp_path: Path) -> None:
    given = f"{{shows: fires, scenario: {ALERT} good: 1, bad: 1000, duration: 5m}}}}"
    exam = trial_exam("prometheus.alert", given, tmp_path, ALL, exam=None, task="")
    (task,) = exam.tasks
    assert [each.path for each in task.deliverables] == ["alerts.yml"]
    assert task.criteria[0].parts[0].parameters["scenario"].bad == 1000


def test_an_exam_lends_its_scenarios_and_data(tmp_path: Path) -> None:
    exam = trial_exam("prometheus.alert", "shows: quiet", tmp_path, ALL, exam=TEMPLATE, task="1.2")
    (task,) = exam.tasks
    assert task.criteria[0].parts[0].parameters["scenario"].alert == "QueueTooLong"


@pytest.mark.parametrize(("replicas", "status", "mark"), [(2, 0, "✔"), (3, 1, "✘")])
def test_the_exit_code_says_whether_it_is_earned(replicas: int, status: int, mark: str) -> None:
    given = f"{{file: k8s/deployment.yaml, name: shop, replicas: {replicas}}}"
    done = grader("rubric", "try", "kubernetes.replicas", "--with", given, REFERENCE)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.startswith(f"{mark} try.it  ")
    assert "hint" not in done.stdout
