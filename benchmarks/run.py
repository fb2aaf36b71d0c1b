"""Times `grader score` on the reference solution against doing the same by hand, in one run.

    python benchmarks/run.py [--runs N] [--all]

Prints seconds and ratio for each pair, and the peak memory of the grader's whole process tree and of the
grader itself. The environment is prepared before anything is timed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grader.checks import ALL
from grader.command import clean_environment
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.runtime.submission_runtime import SubmissionRuntime
from grader.submission.collect import collect

if TYPE_CHECKING:
    from grader.exam.model import Exam

HERE = Path(__file__).parent
STEPS = {"3.1": ("server", "train"), "4.1": ("serve",), "6.2": ("drift",)}
"""By-hand steps for each task that the grader runs as well."""


@dataclass
class Peak:
    """The most memory seen: of a process tree, and of its first process alone, in bytes."""

    tree: int = 0
    first: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, pid: int) -> None:
        """Look ten times a second until told to stop; shared pages count once for each process."""
        while not self._stop.wait(0.1):
            sizes = {each: resident(each) for each in tree(pid)}
            self.tree = max(self.tree, sum(sizes.values()))
            self.first = max(self.first, sizes.get(pid, 0))

    def stop(self) -> None:
        self._stop.set()


def tree(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, front = [pid], [pid]
    while front:
        front = [child for each in front for child in parents.get(each, [])]
        found += front
    return found


def resident(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)


def grade(arguments: list[str]) -> tuple[float, Peak]:
    peak = Peak()
    command = [sys.executable, "-m", "grader", "score", str(reference()), "--quiet", *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watcher = threading.Thread(target=peak.watch, args=(process.pid,))
    watcher.start()
    said, _ = process.communicate()
    seconds = time.perf_counter() - started
    peak.stop()
    watcher.join()
    print(f"  grader: {said.splitlines()[0] if said else 'no answer'}  (status {process.returncode})")
    return seconds, peak


def by_hand(exam: Exam, python: Path, steps: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Path(scratch) / "workspace"
        shutil.copytree(reference(), workspace)
        for name, file in exam.data.items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, workspace / name)
        for words in (["init", "--quiet"], ["add", "--all"]):
            subprocess.run(["git", *words], cwd=workspace, check=True)
        said = subprocess.run(
            ["bash", str(HERE / "by_hand.sh"), str(workspace), str(python), *steps],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    return {step: float(seconds) for step, seconds in (line.split() for line in said.splitlines())}


def reference() -> Path:
    return RUBRICS.parent / "reference_solution"


def candidate_python(exam: Exam) -> Path:
    """The interpreter of the reference solution's own environment, as a grade would prepare it."""
    with tempfile.TemporaryDirectory() as scratch:
        submission = collect(str(reference()), exam=exam, into=Path(scratch) / "submission")
        with SubmissionRuntime(submission, exam) as runtime:
            return runtime.environment.python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="the whole exam, against every step by hand")
    chosen = parser.parse_args()
    exam = load_exam(RUBRICS, ALL)
    python = candidate_python(exam)
    tasks = [] if chosen.all else [word for task in STEPS for word in ("--task", task)]
    steps = [] if chosen.all else [step for names in STEPS.values() for step in names]
    grade(tasks)  # what is cached is cached now
    ratios, peaks = [], []
    for _ in range(chosen.runs):
        hand = by_hand(exam, python, steps)
        seconds, peak = grade(tasks)
        ratios.append(seconds / sum(hand.values()))
        peaks.append(peak)
        print("  by hand: " + ", ".join(f"{step} {value:.1f}" for step, value in hand.items()))
        print(f"  {seconds:.1f} s against {sum(hand.values()):.1f} s by hand: ratio {ratios[-1]:.2f}")
    started = time.perf_counter()
    grade(["--static"])
    print(f"static: {time.perf_counter() - started:.2f} s")
    print(f"ratio: {statistics.median(ratios):.2f} (median of {len(ratios)})")
    print(f"peak memory: tree {max(peak.tree for peak in peaks) / 2**20:.0f} MiB, ", end="")
    print(f"grader itself {max(peak.first for peak in peaks) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
