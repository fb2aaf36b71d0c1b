"""Times `grader batch` against one `grader score` for each submission, and the dispatcher alone.

    python benchmarks/cohort.py [--candidates N] [--jobs N] [--stand-ins N]

First, jobs are handed to agents that answer at once. Then copies of the whole submissions are graded:
seconds for a candidate, CPU seconds, core use, and the peak memory of the batch's processes; environments are
prepared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from grader.cohort.executor.local import slots_of_machine
from grader.exam.bundled import FIXTURES, REFERENCE_SOLUTION

ROOT = Path(__file__).parents[1]
GRADER = (sys.executable, "-m", "grader")


def submissions(folder: Path, count: int) -> None:
    """Copies that differ by a comment, so that each is graded."""
    bases = [
        REFERENCE_SOLUTION,
        *sorted(path for path in (FIXTURES / "submissions").iterdir() if path.is_dir()),
    ]
    for number in range(count):
        copy = folder / f"candidate-{number:03}"
        shutil.copytree(bases[number % len(bases)], copy)
        (copy / "NUMBER.txt").write_text(f"{number}\n")


def timed(argv: list[str], cwd: Path) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds of the whole tree, and its peak memory in bytes."""
    peak, over = [0], threading.Event()

    def watch(pid: int) -> None:
        while not over.wait(0.25):
            peak[0] = max(peak[0], sum(resident(each) for each in tree(pid)))

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    with subprocess.Popen(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watcher = threading.Thread(target=watch, args=(process.pid,))
        watcher.start()
        process.wait()
        over.set()
        watcher.join()
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak[0]


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        try:
            children = [task / "children" for task in Path(f"/proc/{each}/task").iterdir()]
            found += [int(word) for path in children for word in path.read_text().split()]
        except OSError:
            continue
    return found


def resident(pid: int) -> int:
    """Bytes; shared pages count in part only."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def real(count: int, jobs: int) -> None:
    slots = slots_of_machine(jobs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        submissions(folder / "all", count)
        warm = [*GRADER, "batch", "all", "-g", "warm.db", "-j", str(slots)]
        subprocess.run(warm, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        wall, cpu, peak = timed(
            [*GRADER, "batch", "all", "-g", "book.db", "-j", str(slots), "--no-canaries"], folder
        )
        alone = 0.0
        for each in sorted((folder / "all").iterdir()):
            alone += timed([*GRADER, "score", str(each), "-q"], folder)[0]
    cores = os.cpu_count() or 1
    print(f"{count} submissions, {slots} slots, {cores} cores")
    print(f"  batch        {wall / count:6.1f} s a candidate, {cpu / count:6.1f} CPU seconds")
    print(f"  one by one   {alone / count:6.1f} s a candidate, ratio {wall / alone:.2f}")
    print(f"  core use     {cpu / wall / cores:6.2f}")
    print(f"  peak memory  {peak / 2**30:6.2f} GiB, {peak / 2**30 / slots:.2f} for each slot")


def stand_ins(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(count):
            (folder / "all" / f"candidate-{number}").mkdir(parents=True)
            (folder / "all" / f"candidate-{number}" / "answer").touch()
        document = folder / "grade.json"
        argv = [*GRADER, "score", str(REFERENCE_SOLUTION), "--static", "--format", "json", "-q"]
        document.write_bytes(subprocess.run(argv, check=False, stdout=subprocess.PIPE).stdout)
        json.loads(document.read_bytes())
        os.environ["STAND_IN_DOCUMENT"] = str(document)
        wall, cpu, _ = timed(
            [sys.executable, "-m", "tests.cohort.dispatcher", str(folder / "book.db"), str(folder / "all")],
            ROOT,
        )
    print(f"{count} jobs of agents that answer at once: {wall:.1f} s, {cpu:.1f} CPU seconds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--stand-ins", type=int, default=1000)
    options = parser.parse_args()
    stand_ins(options.stand_ins)
    real(options.candidates, options.jobs)
