from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest

from grader.checks import ALL
from grader.commands.watch import changeable, line, watch_command
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.session import STATIC, Options, merged, score_submission
from tests.editing import reference_copy, without_times

SECONDS = 60


def test_only_a_folder_can_be_watched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--watch needs a folder"):
        watch_command(str(tmp_path / "x.zip"), Options(), quiet=True, verbose=False, colour="never")


def test_what_a_file_can_change() -> None:
    exam = load_exam(RUBRICS, ALL)
    every = {row.id for task in exam.tasks for row in task.criteria}
    tasks = {
        name: {row.rpartition(".")[0] for row in changeable([name], exam)}
        for name in ("k8s/deployment.yaml", "src/api.py", "tests/test_other.py")
    }
    assert tasks == {
        "k8s/deployment.yaml": {"4.2"},
        "src/api.py": {"4.1", "5.2"},
        "tests/test_other.py": {"5.2"},
    }
    for name in ("src/helpers.py", "submission.yaml", "requirements-lock.txt"):
        assert changeable([name], exam) == every


def test_some_tasks_graded_again_are_put_into_the_grade(tmp_path: Path) -> None:
    root = reference_copy(tmp_path)
    path = root / "k8s/deployment.yaml"
    options = Options(tasks=("4.2", "1.3"), isolation=STATIC)
    before = score_submission(str(root), options)
    path.write_text(path.read_text().replace("replicas: 3", "replicas: 2"))
    again = score_submission(str(root), Options(tasks=("4.2",), isolation=STATIC))
    now = merged(before, again)
    whole = score_submission(str(root), options)
    assert without_times(document(now)) == without_times(document(whole))
    told = line(("k8s/deployment.yaml",), before, now, ["4.2"]).plain
    assert told == "k8s/deployment.yaml: 4.2 graded again, 12 / 13 (-1)  4.2.replicas lost"


class Lines:
    """What a program writes, line by line."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for text in stream:
            self._lines.put(text.rstrip())

    def until(self, word: str) -> str:
        while word not in (text := self._lines.get(timeout=SECONDS)):
            pass
        return text


@pytest.mark.slow
def test_a_saved_file_is_graded_again(tmp_path: Path) -> None:
    root = reference_copy(tmp_path)
    program = subprocess.Popen(
        [sys.executable, "-m", "grader", "score", str(root), "--static", "--watch", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert program.stdout is not None
    lines = Lines(program.stdout)
    try:
        lines.until("watching")
        path = root / "k8s/deployment.yaml"
        aside = path.with_name("half")  # as editors save: whole or not at all
        aside.write_text(path.read_text().replace("replicas: 3", "replicas: 2"))
        aside.replace(path)
        told = lines.until("graded again")
        assert told.endswith("(-1)  4.2.replicas lost"), told
        assert told.startswith("k8s/deployment.yaml: 4.2 graded again"), told
        shutil.rmtree(root / "k8s")
        assert "4.2.deployment lost" in lines.until("graded again")
    finally:
        program.send_signal(signal.SIGINT)
        assert program.wait(SECONDS) == 130
        program.stdout.close()
