"""The dispatcher, with stand-ins for agents: processes that answer at once, or misbehave."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grader.cohort.batch import Batch, Tally
from grader.cohort.canaries import Canary
from grader.cohort.executor import local
from grader.cohort.executor.local import Pool
from grader.cohort.executor.messages import Hello
from grader.cohort.gradebook import open_gradebook
from grader.cohort.plan import plan
from grader.cohort.sources.discover import discover
from grader.errors import GraderFault, UsageError
from grader.report.document import document
from grader.session import STATIC, Options, score_submission
from tests.cohort.dispatcher import STAND_IN, grade

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document of a real grade."""
    folder = tmp_path_factory.mktemp("graded")
    (folder / "empty").mkdir()
    path = folder / "grade.json"
    grade = score_submission(str(folder / "empty"), Options(isolation=STATIC))
    path.write_text(json.dumps(document(grade)))
    return path


@pytest.fixture(autouse=True)
def _answers(graded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_DOCUMENT", str(graded))
    monkeypatch.setattr(local, "PATIENCE", 2.0)


def cohort(folder: Path, **told: str) -> Path:
    """A folder of submissions, each with an empty file named after what its agent does."""
    for name, what in told.items():
        (folder / name).mkdir(parents=True)
        (folder / name / (what or "answer")).touch()
    return folder


def many(count: int) -> dict[str, str]:
    return {f"candidate{number:03}": "" for number in range(count)}


def log(folder: Path) -> list[str]:
    """Whose work was handed to an agent, in order."""
    path = folder / "log"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def rows(book: Path, query: str) -> list[tuple[Any, ...]]:
    with open_gradebook(book) as opened:
        return [tuple(row) for row in opened.rows(query)]


def test_each_submission_is_graded_once(tmp_path: Path) -> None:
    folder, book = cohort(tmp_path / "all", **many(30)), tmp_path / "book.db"
    batch, todo = grade(book, folder)
    assert (len(todo.jobs), todo.known) == (30, 0)
    assert (batch.tally.total, batch.tally.done + batch.tally.open, batch.tally.left) == (30, 30, 0)
    assert sorted(log(folder)) == sorted(many(30))
    assert rows(book, "SELECT state, count(*), max(attempt) FROM job GROUP BY state") == [("done", 30, 1)]
    assert rows(book, "SELECT count(*), count(DISTINCT job) FROM result") == [(30, 30)]


def test_again_nothing_is_graded(tmp_path: Path) -> None:
    folder, book = cohort(tmp_path / "all", **many(5)), tmp_path / "book.db"
    grade(book, folder)
    cohort(folder, later="")
    batch, todo = grade(book, folder)
    assert (len(todo.jobs), todo.known, batch.tally.done + batch.tally.open) == (1, 5, 1)
    assert sorted(log(folder)) == sorted([*many(5), "later"])


@pytest.mark.parametrize("what", ["die", "garbage", "hang", "fail"])
def test_one_disaster_is_one_row(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MAX_SILENCE", 0.8)
    folder, book = cohort(tmp_path / "all", bad=what, **many(6)), tmp_path / "book.db"
    batch, _ = grade(book, folder, slots=2)
    assert (batch.tally.done + batch.tally.open, batch.tally.died, batch.tally.again) == (6, 1, 2)
    assert sorted(log(folder)) == sorted([*many(6), "bad", "bad", "bad"])
    assert log(folder)[-1] == "bad"
    found = rows(
        book,
        "SELECT key, result IS NULL, state, deaths FROM candidate JOIN submission ON"
        " submission.candidate = candidate.id JOIN job ON job.submission = submission.digest"
        " LEFT JOIN mark ON mark.candidate = candidate.id WHERE state <> 'done'",
    )
    assert found == [("bad", 1, "died", 3)]


def test_what_was_given_up_is_tried_again_by_the_next_batch(tmp_path: Path) -> None:
    folder, book = cohort(tmp_path / "all", bad="die"), tmp_path / "book.db"
    grade(book, folder, slots=1)
    (folder / "bad" / "die").rename(folder / "bad" / "answer")
    batch, _ = grade(book, folder, slots=1)
    assert (batch.tally.total, batch.tally.died, batch.tally.left) == (1, 0, 0)


def test_what_cannot_be_read_is_a_row_and_no_zero(tmp_path: Path) -> None:
    folder, book = cohort(tmp_path / "all", bad="unreadable", good=""), tmp_path / "book.db"
    _, todo = grade(book, folder)
    assert [(found.people[0].key, reason) for found, reason in todo.unreadable] == [
        ("bad", "it is no submission")
    ]
    assert rows(
        book,
        "SELECT key, unreadable FROM submission JOIN candidate ON candidate = candidate.id WHERE digest = ''",
    ) == [("bad", "it is no submission")]
    assert len(rows(book, "SELECT * FROM mark")) == 1


def test_a_machine_that_is_of_no_use(tmp_path: Path) -> None:
    folder, book = cohort(tmp_path / "all", one=""), tmp_path / "book.db"
    with pytest.raises(UsageError, match="this machine is of no use"):
        grade(book, folder, exam="refused")


def test_agents_that_do_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cohort.dispatcher.STAND_IN", (sys.executable, "-c", "raise SystemExit('no')"))
    folder, book = cohort(tmp_path / "all", one=""), tmp_path / "book.db"
    with pytest.raises(GraderFault, match="no agent starts on this machine: ended with 1: no"):
        grade(book, folder, slots=1)


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, book = cohort(tmp_path / "all", **many(3)), tmp_path / "book.db"
    with monkeypatch.context() as full:
        full.setattr("grader.cohort.batch.MIN_FREE", 2**60)
        with pytest.raises(GraderFault, match=r"only \d+ MiB are free beside .*: make room and run it again"):
            grade(book, folder)
    assert rows(book, "SELECT state, count(*) FROM job GROUP BY state") == [("waiting", 3)]
    grade(book, folder)
    assert rows(book, "SELECT state, count(*) FROM job GROUP BY state") == [("done", 3)]


class TestCanaries:
    def batch(self, tmp_path: Path, loses: dict[str, float], count: int = 4) -> Tally:
        folder = cohort(tmp_path / "all", **many(count))
        cohort(tmp_path / "canaries", known="")
        canary = Canary(name="known", source=str(tmp_path / "canaries/known"), loses=loses)
        found = discover(folder, aside=tmp_path / "aside")
        with (
            open_gradebook(tmp_path / "book.db", write=True, create=True) as book,
            Pool(Hello(), 2, command=STAND_IN) as pool,
        ):
            batch = Batch(book, pool, "somebody", canaries=[canary])
            seen = batch.look(each.source for each in found.found)
            todo = plan(book, found, seen, exam="exam", grader="1", options={})
            return batch.grade(todo.jobs)

    def right(self, graded: Path) -> dict[str, float]:
        """What the stand-in's answer loses: all that it decides."""
        data = json.loads(graded.read_text())
        return {
            row["id"]: row["points"]
            for section in data["sections"]
            for task in section["tasks"]
            for row in task["criteria"]
            if row["status"] in ("lost", "blocked")
        }

    def test_right_ones_come_first_and_again(self, tmp_path: Path, graded: Path) -> None:
        tally = self.batch(tmp_path, self.right(graded), count=60)
        assert (tally.canaries, tally.singing, tally.left) == (3, "", 0)

    def test_a_wrong_one_keeps_everything_from_being_graded(self, tmp_path: Path) -> None:
        tally = self.batch(tmp_path, {})
        assert re.fullmatch(r"known: (\S+ lost \S+ of \S+, and must lose 0; ){3}and \d+ more", tally.singing)
        assert (tally.left, tally.voided) == (4, 0)
        assert log(tmp_path / "all") == []

    def test_one_that_turns_wrong_voids_what_was_graded_since(
        self, tmp_path: Path, graded: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = Canary.sings
        answers = iter([True, False])
        monkeypatch.setattr(
            Canary, "sings", lambda self, data: right(self, data) if next(answers) else "it is all wrong"
        )
        tally = self.batch(tmp_path, self.right(graded), count=60)
        assert tally.singing == "known: it is all wrong"
        assert tally.voided >= 25
        book = tmp_path / "book.db"
        assert rows(book, "SELECT count(*) FROM mark") == [(0,)]
        assert rows(book, "SELECT count(*), state FROM job GROUP BY state") == [(60, "waiting")]


@pytest.mark.slow
class TestKilled:
    MOMENTS = int(os.environ.get("KILLED_MOMENTS", "8"))

    def test_whenever_the_dispatcher_is_killed_the_next_goes_on(self, tmp_path: Path) -> None:
        folder, book = cohort(tmp_path / "all", **dict.fromkeys(many(40), "slow")), tmp_path / "book.db"
        argv = [sys.executable, "-m", "tests.cohort.dispatcher", str(book), str(folder)]
        draw = random.Random(5)
        for _ in range(self.MOMENTS):
            with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
                time.sleep(draw.uniform(0.2, 2.0))
                process.kill()
        assert subprocess.run(argv, cwd=ROOT, check=False).returncode == 0
        assert rows(book, "SELECT state, count(*) FROM job GROUP BY state") == [("done", 40)]
        assert rows(book, "SELECT count(*), count(DISTINCT job) FROM result") == [(40, 40)]
        assert leftovers(tmp_path) == []

    def test_agents_that_are_killed_are_replaced(self, tmp_path: Path) -> None:
        folder, book = cohort(tmp_path / "all", **dict.fromkeys(many(40), "slow")), tmp_path / "book.db"
        argv = [sys.executable, "-m", "tests.cohort.dispatcher", str(book), str(folder)]
        draw = random.Random(6)
        with subprocess.Popen(argv, cwd=ROOT) as process:
            while process.poll() is None:
                time.sleep(draw.uniform(0.1, 0.6))
                if agents := children(process.pid):
                    os.kill(draw.choice(agents), signal.SIGKILL)
        assert process.returncode == 0
        # Somebody may have been unlucky three times, above all where everything is slow.
        assert rows(book, "SELECT count(*) FROM job WHERE state <> 'done' AND deaths < 3") == [(0,)]
        assert subprocess.run(argv, cwd=ROOT, check=False).returncode == 0
        assert rows(book, "SELECT state, count(*) FROM job GROUP BY state") == [("done", 40)]
        assert rows(book, "SELECT count(*), count(DISTINCT job) FROM result") == [(40, 40)]


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def leftovers(folder: Path) -> list[str]:
    """Processes that were told of a test's folder."""
    time.sleep(0.5)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if (
            int(process.name) != os.getpid()
            and b"stand_in.py" in words
            and os.fsencode(folder) in environment
        ):
            found.append(process.name)
    return found
