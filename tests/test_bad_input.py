"""Submissions that break or attack: a finding on the right criterion, nothing else lost, nothing left."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from grader.commands.score import exit_code
from grader.exam.bundled import ROOT, RUBRICS
from grader.results import Grade, Status
from grader.runtime.services import mlflow
from grader.session import STATIC, Options, score_submission
from tests.editing import losses, reference_copy, still_open


def quick_exam(root: Path) -> Path:
    """The bundled exam with limits that a test can wait for."""
    shutil.copytree(RUBRICS, root / "rubrics")
    for name in ("fixtures", "reference_solution"):
        (root / name).symlink_to(ROOT / name)
    for path in (root / "rubrics").glob("[0-9B]*.yaml"):
        text = re.sub(r"cpu_seconds: \d+", "cpu_seconds: 4", path.read_text())
        path.write_text(re.sub(r"\b(wall|boot|idle)_seconds: \d+", r"\1_seconds: 8", text))
    return root / "rubrics"


def grade(root: Path, *tasks: str, exam: Path | None = None, static: bool = True) -> Grade:
    return score_submission(
        str(root), Options(tasks=tasks, exam=exam, isolation=STATIC if static else "bubblewrap")
    )


BROKEN: list[tuple[str, bytes, str]] = [
    ("pyproject.toml", b"[project\n", "1.1"),
    ("requirements-lock.txt", b"\xff\xfe\x00", "1.1"),
    (".pre-commit-config.yaml", b"repos: [", "1.1"),
    ("Dockerfile.train", b"FORM python\n\xff", "1.2"),
    (".dvc/config", b"[core\n\x00", "2.1"),
    ("dvc.yaml", b"stages: &a [*a]\n", "2.2"),
    ("params.yaml", b"\t- {", "2.2"),
    ("src/query_best.py", b"mlflow.search_runs((((\n", "3.2"),
    ("k8s/deployment.yaml", b"{[1]: 2}", "4.2"),
    (".github/workflows/ci-cd.yml", b"on: push\njobs: [1, 2]\n", "5.1"),
    ("alerts.yml", b"groups:\n- rules: 7\n", "6.1"),
]


ALSO: dict[str, set[str]] = {"requirements-lock.txt": set()}
"""Other tasks that honestly read the file as well."""


@pytest.mark.parametrize(("name", "content", "task"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_file_costs_its_own_task_and_nothing_else(
    tmp_path: Path, name: str, content: bytes, task: str
) -> None:
    also = ALSO.get(name, set())
    root = reference_copy(tmp_path / "submission")
    (root / name).write_bytes(content)
    graded = grade(root)
    assert Status.ERROR not in still_open(graded).values()
    assert {criterion.rpartition(".")[0] for criterion in losses(graded)} == {task} | also
    assert sum(len(section.tasks) for section in graded.sections) == 16


@pytest.mark.parametrize("content", [b"\x7fELF" + os.urandom(4096), b"", b"\n" * 100_000, b"[" * 100_000])
def test_every_deliverable_may_hold_anything(tmp_path: Path, content: bytes) -> None:
    root = reference_copy(tmp_path / "submission")
    for path in list(root.rglob("*")):
        if path.is_file():
            path.write_bytes(content)
    graded = grade(root)
    assert Status.ERROR not in still_open(graded).values()
    assert graded.score.earned < 15


def test_large_files_many_folders_and_special_files(tmp_path: Path) -> None:
    root = reference_copy(tmp_path / "submission")
    with (root / "huge.bin").open("wb") as file:
        file.truncate(200 * 2**20)
    for number in range(1000):
        (root / "many" / str(number)).mkdir(parents=True)
    os.mkfifo(root / "pipe")
    (root / "secrets").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    graded = grade(root)
    assert losses(graded) == {}
    remarks = " ".join(remark.message + remark.where for remark in graded.remarks)
    assert all(name in remarks for name in ("huge.bin", "pipe", "secrets"))


ATTACKS = [
    ("an endless loop", "while True: pass\n"),
    ("a fork bomb", "import os\nwhile True: os.fork()\n"),
    ("gigabytes of output", "while True: print('x' * 2**20)\n"),
    ("memory without end", "x = []\nwhile True: x.append(bytearray(2**26))\n"),
    ("a full disk", "f = open('big', 'wb')\nwhile True: f.write(b'x' * 2**24)\n"),
    ("a daemon", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n"),
    ("killing its parents", "import os, signal\nos.kill(1, signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)\n"),
    ("deleting everything", "import shutil\nshutil.rmtree('/', ignore_errors=True)\n"),
    ("sleeping for ever", "import time\ntime.sleep(10**6)\n"),
]


EXHAUSTING = [row for row in ATTACKS if row[0] in ("a fork bomb", "memory without end")]
"""What takes the machine's breath away even once."""
EVERYWHERE = [row for row in ATTACKS if row not in EXHAUSTING]
ON_EVERY_CHANGE = ("a full disk",)
"""The corpus of hostile submissions has the others in more than one form."""
READ_ONLY = {"1.1", "1.2", "1.3", "2.1", "4.2", "5.1", "6.1", "B2"}
"""Tasks that none of these programs has a part in."""


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "code"), EXHAUSTING, ids=[row[0] for row in EXHAUSTING])
def test_hostile_training_loses_its_task_and_leaves_nothing(tmp_path: Path, attack: str, code: str) -> None:
    root = reference_copy(tmp_path / "submission")
    (root / "src/train.py").write_text(code)
    graded = grade(root, "1.3", "3.1", exam=quick_exam(tmp_path), static=False)
    assert still_open(graded) == {}
    assert {name.rpartition(".")[0] for name in losses(graded)} == {"3.1"}, attack
    assert graded.score.earned == 5
    assert list(Path(os.environ["TMPDIR"]).glob("grader-*")) == []


@pytest.mark.slow
@pytest.mark.parametrize(("attack", "code"), EVERYWHERE, ids=[row[0] for row in EVERYWHERE])
def test_where_every_program_attacks_the_rest_keeps_its_points(
    request: pytest.FixtureRequest, tmp_path: Path, attack: str, code: str
) -> None:
    if attack not in ON_EVERY_CHANGE and not request.config.getoption("--scheduled"):
        pytest.skip("takes long: only with --scheduled")
    root = reference_copy(tmp_path / "submission")
    for path in (*root.glob("src/*.py"), *root.glob("tests/*.py")):
        path.write_text(code)
    graded = grade(root, exam=quick_exam(tmp_path), static=False)
    assert still_open(graded) == {}
    found = {
        task.id: {criterion.status for criterion in task.criteria}
        for section in graded.sections
        for task in section.tasks
        if task.id in {*READ_ONLY, "3.1"}
    }
    assert found.pop("3.1") <= {Status.LOST, Status.BLOCKED}
    assert found == {task: {Status.EARNED} for task in READ_ONLY}, attack
    assert list(Path(os.environ["TMPDIR"]).glob("grader-*")) == []


@pytest.mark.slow
def test_a_server_of_ours_that_does_not_start_costs_nobody_a_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "server.py"
    broken.write_text("import sys\nprint('the disk is full', file=sys.stderr)\nsys.exit(1)\n")
    monkeypatch.setattr(mlflow, "_SCRIPT", broken)
    graded = grade(reference_copy(tmp_path / "submission"), "3.2", static=False)
    assert losses(graded) == {}
    assert set(still_open(graded).values()) == {Status.ERROR}
    assert (graded.score.complete, exit_code(graded)) == (False, 3)
    findings = [
        finding
        for section in graded.sections
        for task in section.tasks
        for criterion in task.criteria
        for finding in criterion.findings
    ]
    assert all("tracking server" in finding.message for finding in findings)
    assert all("the disk is full" in finding.detail for finding in findings)
