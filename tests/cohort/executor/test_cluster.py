"""The dispatcher over a cluster that is none: its workers answer at once, or vanish."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from grader.cohort.batch import Batch
from grader.cohort.executor import attempt, cluster
from grader.cohort.executor.cluster import ClusterPool, Ended, Member
from grader.cohort.executor.messages import Done, Failed, Hello, from_line, to_line
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.queue import Key, enqueue, waiting
from grader.errors import GraderFault, UsageError
from grader.report.document import document
from grader.session import STATIC, Options, score_submission

HERE = {"grader": "1", "exam": "exam", "isolation": "static"}
FACTS = {**HERE, "python": "3", "kernel": "6"}
STAND_IN = (sys.executable, str(Path(__file__).parents[1] / "stand_in.py"))


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a real grade."""
    folder = tmp_path_factory.mktemp("graded")
    found: dict[str, Any] = document(score_submission(str(folder), Options(isolation=STATIC)))
    return found


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "REFRESH", 0.0)
    monkeypatch.setattr("grader.cohort.batch.TICK", 0.01)


class Workers:
    """A cluster whose workers do what a submission's name says, once for each time that it is said."""

    def __init__(self, graded: dict[str, Any], **slots: int) -> None:
        self.there = {name: Member(host=name, slots=count) for name, count in slots.items()}
        self.joining: list[str] = []
        self.facts: dict[str, Mapping[str, str]] = {}
        self.attempts: list[str] = []
        self.forgotten: list[str] = []
        self.told: list[Callable[..., Any]] = []
        self.unreachable = 0
        self._done = to_line(Done(document=graded))

    def members(self) -> Mapping[str, Member]:
        if self.unreachable:
            self.unreachable -= 1
            raise OSError("no route")
        return dict(self.there)

    def submit(
        self,
        key: str,
        address: str,
        function: Callable[..., Any],
        arguments: Sequence[Any],
        ended: Callable[[Ended], None],
    ) -> None:
        if function is attempt.prepare:
            facts = self.facts.get(address, FACTS)
            if "error" in facts:
                ended(Ended(key=key, error=UsageError(facts["error"])))
            else:
                ended(Ended(key=key, result=facts))
            return
        assert function is attempt.attempt
        name = Path(from_line(arguments[2]).source).name
        self.attempts.append(name)
        what = name.split("-")[0] if self.attempts.count(name) <= name.count("-") else ""
        match what:
            case "vanish":
                del self.there[address]
                self.there |= {each: Member(host=each, slots=1) for each in self.joining[:1]}
                del self.joining[:1]
            case "lose":
                ended(Ended(key=key, lost=True))
            case "outage":
                self.unreachable = 1
            case "die":
                ended(Ended(key=key, result=(b"", "killed")))
            case "garbage":
                ended(Ended(key=key, result=b"what?"))
            case "request":
                ended(Ended(key=key, result=(arguments[2], "")))
            case "fail":
                ended(Ended(key=key, result=(to_line(Failed(reason="a disk is full")), "")))
            case "raise":
                ended(Ended(key=key, error=RuntimeError("KilledWorker")))
            case _:
                ended(Ended(key=key, result=(self._done, "")))

    def forget(self, key: str) -> None:
        self.forgotten.append(key)

    def tell(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:  # noqa: ARG002
        self.told.append(function)


def grade(folder: Path, workers: Workers, *names: str, mixed: bool = False) -> dict[str, tuple[Any, ...]]:
    """Name -> state, deaths, worker and reason of its job."""
    with (
        open_gradebook(folder / "book.db", write=True, create=True) as book,
        ClusterPool(workers, Hello(), HERE, mixed=mixed) as pool,
    ):
        with book.transaction():
            for name in names:
                (folder / name).mkdir(exist_ok=True)
                key = Key(submission=name, exam="exam", grader="1", options={})
                enqueue(book, key, str(folder / name))
            ids = {row["id"] for row in book.rows("SELECT id FROM job")}
            jobs = waiting(book, ids)
        tally = Batch(book, pool, "somebody").grade(jobs)
        assert (tally.left, pool.busy()) == (0, [])
        return {
            row["submission"]: (row["state"], row["deaths"], row["worker"], row["reason"])
            for row in book.rows("SELECT * FROM job")
        }


def test_each_is_graded_once_on_all_slots(tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1, two=2)
    names = [f"candidate{number:02}" for number in range(12)]
    found = grade(tmp_path, workers, *names)
    assert sorted(workers.attempts) == names
    assert {(state, deaths) for state, deaths, _, _ in found.values()} == {("done", 0)}
    assert {worker for _, _, worker, _ in found.values()} == {"one-1", "two-1", "two-2"}
    assert len(set(workers.forgotten)) == 12 + 2
    assert workers.told == [attempt.end]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("die", "the agent died: killed"),
        ("fail", "a disk is full"),
        ("raise", "the agent died: KilledWorker"),
        ("request", "the agent died: its worker said what is no answer"),
    ],
)
def test_one_disaster_is_one_row(what: str, reason: str, tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=2)
    found = grade(tmp_path, workers, f"{what}---", "good")
    assert found[f"{what}---"][:2] == ("died", 3)
    assert found[f"{what}---"][3] == reason
    assert found["good"][:2] == ("done", 0)
    assert sorted(workers.attempts) == sorted(["good", *[f"{what}---"] * 3])


def test_who_takes_three_workers_along_is_no_zero(tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1)
    workers.joining = ["two", "three", "four"]
    found = grade(tmp_path, workers, "vanish---", "good", "late")
    assert found["vanish---"][:2] == ("died", 3)
    assert found["vanish---"][3] == "the agent died: its worker on three has gone"
    assert (found["good"][0], found["late"][0]) == ("done", "done")


def test_a_worker_that_dies_costs_its_job_another_attempt(tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1, two=1)
    found = grade(tmp_path, workers, "vanish-", "good")
    assert (found["vanish-"][:2], found["good"][:2]) == (("done", 1), ("done", 0))


@pytest.mark.parametrize("what", ["lose-----", "outage-"])
def test_what_a_scheduler_loses_is_nobodys_fault(what: str, tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1)
    found = grade(tmp_path, workers, what, "good")
    assert (found[what][:2], found["good"][:2]) == (("done", 0), ("done", 0))
    assert workers.attempts.count(what) == what.count("-") + 1


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"error": "no bubblewrap"}, "no bubblewrap"),
        ({**FACTS, "grader": "2"}, "its grader is 2, and 1 here"),
        ({**FACTS, "exam": "other"}, "its exam is other, and exam here"),
        ({**FACTS, "isolation": "none"}, "its isolation is none, and static here"),
        ({}, "its grader is unknown, and 1 here"),
    ],
)
def test_a_worker_of_no_use_says_why(
    facts: dict[str, str], why: str, tmp_path: Path, graded: dict[str, Any]
) -> None:
    workers = Workers(graded, one=1)
    workers.facts["one"] = facts
    with pytest.raises(UsageError, match=f"no worker of the cluster can grade: one: {why}"):
        grade(tmp_path, workers, "good")
    workers.there["two"] = Member(host="two", slots=1)
    assert grade(tmp_path, workers, "good")["good"][:3] == ("done", 0, "two-1")


@pytest.mark.parametrize(("mixed", "used"), [(False, 1), (True, 2)])
def test_workers_that_differ(mixed: bool, used: int, tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1, two=1)
    workers.facts["two"] = {**FACTS, "kernel": "5"}
    found = grade(tmp_path, workers, "first", "second", mixed=mixed)
    assert len({worker for _, _, worker, _ in found.values()}) == used


def test_no_worker_comes(tmp_path: Path, graded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MAX_EMPTY", 0.02)
    with pytest.raises(UsageError, match="no worker got ready within"):
        grade(tmp_path, Workers(graded), "good")


def test_all_workers_go(tmp_path: Path, graded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "MAX_EMPTY", 0.02)
    with pytest.raises(GraderFault, match="what is graded is kept"):
        grade(tmp_path, Workers(graded, one=1), "vanish-")


def test_a_slot_that_never_answers_is_given_up(
    tmp_path: Path, graded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "MAX_ATTEMPT", 0.05)
    workers = Workers(graded, one=2)
    monkeypatch.setattr(workers, "members", lambda: {"one": Member(host="one", slots=2)})
    found = grade(tmp_path, workers, "vanish-", "good")
    assert (found["vanish-"][:2], found["good"][:2]) == (("done", 1), ("done", 0))


def test_what_cannot_be_packed(tmp_path: Path, graded: dict[str, Any]) -> None:
    workers = Workers(graded, one=1)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with (
        open_gradebook(tmp_path / "book.db", write=True, create=True) as book,
        ClusterPool(workers, Hello(), HERE) as pool,
    ):
        with book.transaction():
            job = enqueue(
                book, Key(submission="gone", exam="exam", grader="1", options={}), str(tmp_path / "gone")
            )
            jobs = waiting(book, {job})
        assert Batch(book, pool, "somebody").grade(jobs).died == 1
    assert workers.attempts == []


# What a worker runs, here with stand-ins for agents.


@pytest.fixture
def hello(tmp_path: Path, graded: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bytes:
    (tmp_path / "grade.json").write_text(json.dumps(graded))
    monkeypatch.setenv("STAND_IN_DOCUMENT", str(tmp_path / "grade.json"))
    return to_line(Hello())


def parcel(folder: Path, *names: str) -> tuple[bytes, str, bytes]:
    """A request and its parcel."""
    from grader.cohort.executor.messages import Grade
    from grader.cohort.executor.parcel import pack

    folder.mkdir()
    for name in names:
        (folder / name).touch()
    packed = pack(str(folder))
    return to_line(Grade(source=str(folder))), packed.name, packed.content


def test_an_agent_is_kept_for_the_next_attempt(tmp_path: Path, hello: bytes, graded: dict[str, Any]) -> None:
    assert attempt.prepare("kept", hello, STAND_IN) == {"host": "here"}
    [pool] = attempt._kept["kept"]
    process = pool.agents[0]
    line, died = attempt.attempt("kept", hello, *parcel(tmp_path / "good"), STAND_IN)
    assert (from_line(line), died) == (Done(document=graded), "")
    assert attempt._kept["kept"][0].agents == [process]
    line, died = attempt.attempt("kept", hello, *parcel(tmp_path / "bad", "die"), STAND_IN)
    assert (line, died) == (b"", "killed by SIGABRT")
    line, died = attempt.attempt("kept", hello, *parcel(tmp_path / "again"), STAND_IN)
    assert (from_line(line), died) == (Done(document=graded), "")
    attempt.end("kept")
    assert "kept" not in attempt._kept
    line, died = attempt.attempt("kept", hello, *parcel(tmp_path / "late"), STAND_IN)
    assert (from_line(line), died) == (Failed(reason="the batch is over"), "")


def test_a_machine_that_cannot_grade(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this machine is of no use"):
        attempt.prepare("refused", to_line(Hello(exam="refused")), STAND_IN)
    assert attempt._kept["refused"] == []


def test_what_is_too_large_is_read_where_it_is(tmp_path: Path, hello: bytes) -> None:
    request, _, _ = parcel(tmp_path / "large")
    line, _ = attempt.attempt("large", hello, request, "", b"", STAND_IN)
    assert isinstance(from_line(line), Done)
    (tmp_path / "large").rmdir()
    line, _ = attempt.attempt("large", hello, request, "", b"", STAND_IN)
    assert from_line(line).reason.startswith(
        f"{tmp_path / 'large'} is too large to be sent, and not to be seen"
    )
    attempt.end("large")
