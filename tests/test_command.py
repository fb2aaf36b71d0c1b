from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader.command import MAX_OUTPUT, run
from grader.errors import GraderFault


def test_a_program_that_is_not_there_is_our_fault() -> None:
    with pytest.raises(GraderFault, match="cannot start /no/such/program: No such file or directory"):
        run(["/no/such/program"])


def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    script = "import subprocess as s, time; print(s.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    completed = run([sys.executable, "-c", script], timeout=1)
    assert completed.timed_out
    child = int(completed.stdout)
    assert gone_within(5, child)


def gone_within(seconds: float, pid: int) -> bool:
    """A killed process stays in /proc until whoever inherited it has noticed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_status_streams_and_stdin() -> None:
    script = "import sys; print(sys.stdin.read()); print('no', file=sys.stderr); sys.exit(3)"
    completed = run([sys.executable, "-c", script], stdin="hello")
    assert (completed.returncode, completed.stdout, completed.stderr) == (3, "hello\n", "no\n")
    assert completed.output == "hello\nno"


def test_output_is_cut() -> None:
    completed = run([sys.executable, "-c", f"print('x' * {3 * MAX_OUTPUT})"])
    assert len(completed.stdout) == MAX_OUTPUT


def test_output_without_end_takes_neither_memory_nor_disk(tmp_path: Path) -> None:
    completed = run(["yes", "x" * 1000], timeout=1)
    assert (completed.timed_out, len(completed.stdout)) == (True, MAX_OUTPUT)


def test_what_a_program_leaves_behind_does_not_keep_it(tmp_path: Path) -> None:
    script = "import subprocess as s; print(s.Popen(['sleep', '60']).pid, flush=True)"
    completed = run([sys.executable, "-c", script], timeout=30)
    assert not completed.timed_out
    assert gone_within(5, int(completed.stdout))


def test_input_that_nobody_reads() -> None:
    assert run(["true"], stdin="x" * 10**6).returncode == 0
    assert run(["head", "-c", "3"], stdin="x" * 10**7).stdout == "xxx"


def test_it_ends_with_the_grader(tmp_path: Path) -> None:
    """Also when that is killed, and can do nothing about it."""
    inner = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"from grader.command import run; run([{sys.executable!r}, '-c', {inner!r}])"
    grader = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    grader.kill()
    grader.wait()
    assert gone_within(5, int((tmp_path / "pid").read_text()))


def test_our_own_variables_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "1")
    completed = run([sys.executable, "-c", "import os; print(sorted(os.environ))"], env={"A": "b"})
    assert "SECRET_TOKEN" not in completed.stdout
    assert "'A'" in completed.stdout
    assert os.environ["SECRET_TOKEN"] == "1"
