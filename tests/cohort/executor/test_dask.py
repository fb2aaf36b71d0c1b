"""Where a scheduler may be, and a cluster of real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from grader.cohort.batch import Batch
from grader.cohort.executor.cluster import ClusterPool
from grader.cohort.executor.dask import DaskCluster, address_of
from grader.cohort.executor.messages import Hello
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.queue import Key, enqueue, waiting
from grader.errors import UsageError
from grader.report.document import document
from grader.session import STATIC, Options, score_submission

STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "stand_in.py"))


@pytest.mark.parametrize(
    "on", ["tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:8786", "tls://example.org:8786"]
)
def test_an_address(on: str, tmp_path: Path) -> None:
    assert address_of(on) == on
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{on}"}}')
    assert address_of(str(tmp_path / "scheduler.json")) == on


@pytest.mark.parametrize("on", ["tcp://10.0.0.1:8786", "tcp://example.org:8786", "tcp://0.0.0.0:8786"])
def test_another_machine_takes_tls(on: str, tmp_path: Path) -> None:
    (tmp_path / "scheduler.json").write_text(f'{{"address": "{on}"}}')
    for each in (on, str(tmp_path / "scheduler.json")):
        with pytest.raises(UsageError, match="away from this machine it takes tls://"):
            address_of(each)


@pytest.mark.parametrize(
    "on", ["http://localhost:8786", "tcp://:8786", "tcp://here", "tcp://here:x", "tcp://["]
)
def test_no_address(on: str) -> None:
    with pytest.raises(UsageError, match="an address is like tls://host:8786"):
        address_of(on)


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", '{"address"'])
def test_no_file_of_a_scheduler(content: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither an address"):
        address_of(str(tmp_path / "none"))
    (tmp_path / "file").write_text(content)
    with pytest.raises(UsageError, match="neither an address"):
        address_of(str(tmp_path / "file"))


def test_who_needs_no_cluster_loads_none() -> None:
    code = (
        "import sys, grader.cli, grader.commands.batch, grader.cohort.executor.dask;"
        "sys.exit('distributed' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tls_takes_keys(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tls://localhost:1: it takes --keys DIR"):
        DaskCluster("tls://localhost:1")
    with pytest.raises(UsageError, match=r"there is no ca\.pem"):
        DaskCluster("tls://localhost:1", tmp_path)


@pytest.mark.slow
def test_a_worker_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    grade = score_submission(str(tmp_path / "empty"), Options(isolation=STATIC))
    (tmp_path / "grade.json").write_text(json.dumps(document(grade)))
    monkeypatch.setenv("STAND_IN_DOCUMENT", str(tmp_path / "grade.json"))
    names = [f"candidate{number}" for number in range(8)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "slow").touch()
    with (
        cluster_of(tmp_path, 2) as workers,
        open_gradebook(tmp_path / "book.db", write=True, create=True) as book,
        DaskCluster(address_of(str(tmp_path / "scheduler.json"))) as cluster,
        ClusterPool(cluster, Hello(), {"host": "here"}, command=STAND_IN) as pool,
    ):
        with book.transaction():
            for name in names:
                key = Key(submission=name, exam="exam", grader="1", options={})
                enqueue(book, key, str(tmp_path / name))
            jobs = waiting(book, {row["id"] for row in book.rows("SELECT id FROM job")})
        agents: list[str] = []

        def kill(batch: Batch) -> None:
            if not agents and len(pool.busy()) == 2 and batch.tally.done + batch.tally.open:
                agents.extend(children(workers[0].pid))
                workers[0].kill()

        batch = Batch(book, pool, "somebody", watch=kill)
        tally = batch.grade(jobs)
        assert (tally.left, tally.died, tally.again) == (0, 0, 1)
        assert [tuple(row) for row in book.rows("SELECT count(*), count(DISTINCT job) FROM result")] == [
            (8, 8)
        ]
        assert len(agents) == 1
        wait_for(lambda: not any(Path("/proc", agent).exists() for agent in agents))
        left = children(workers[1].pid)
        pool.__exit__()
        wait_for(lambda: not any(Path("/proc", agent).exists() for agent in left))


@contextmanager
def cluster_of(folder: Path, size: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers of one thread each; their scheduler's file is in the folder."""
    file = ("--scheduler-file", str(folder / "scheduler.json"))
    here = ("--host", "127.0.0.1", "--no-dashboard")
    once = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0")
    with ExitStack() as stack:

        def start(what: str, *arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *file, *here, *arguments]
            process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        start("scheduler", "--port", "0", "--no-show")
        wait_for((folder / "scheduler.json").exists)
        yield [start("worker", *once) for _ in range(size)]


def children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split() + [
        child
        for task in Path(f"/proc/{process}/task").iterdir()
        if task.name != str(process)
        for child in (task / "children").read_text().split()
    ]


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)
