"""What moved, between results that counted at two moments."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.anonymous import Names, pseudonym
from grader.cohort.gradebook.queue import make_void
from grader.cohort.gradebook.store import now
from grader.cohort.regrade.deltas import Deltas, deltas, last_batch
from grader.cohort.regrade.report import as_data, told
from grader.commands.gradebook_diff import diff_command
from grader.errors import UsageError
from tests.cohort.regrade.sitting import Sitting, change, write_exam, write_submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sitting(tmp_path: Path) -> Iterator[Sitting]:
    for name, replicas in {"ann": 3, "bob": 2, "cy": 1}.items():
        write_submission(tmp_path / "all" / name, replicas)
    exam = write_exam(tmp_path / "exam")
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        yield Sitting(book=book, exam_folder=exam, folder=tmp_path / "all")


def moment() -> str:
    """One that nothing else is at."""
    time.sleep(0.003)
    found = now()
    time.sleep(0.003)
    return found


def lines(sitting: Sitting, found: Deltas, longest: int | None = None) -> list[str]:
    return list(told(found, Names(sitting.book), longest=longest))


def lower(sitting: Sitting) -> str:
    """Change a threshold, and grade again; when that began."""
    change(sitting.exam_folder / "1.1.yaml", "replicas: 3", "replicas: 2")
    since = moment()
    sitting.batch()
    return since


def test_nothing_can_be_compared_before_the_first_result(sitting: Sitting) -> None:
    with pytest.raises(UsageError, match="no batch has brought a result yet"):
        last_batch(sitting.book)


def test_whoever_had_no_result_did_not_move(sitting: Sitting) -> None:
    since = moment()
    sitting.batch()
    found = deltas(sitting.book, since)
    assert (found, lines(sitting, found)) == (Deltas(since=since, new=3), [])


def test_the_same_results_did_not_move(sitting: Sitting) -> None:
    sitting.batch()
    found = deltas(sitting.book, moment())
    assert lines(sitting, found) == ["nothing moved, of 3 candidates"]


def test_a_threshold_moves_some_up_and_some_down(sitting: Sitting) -> None:
    sitting.batch()
    found = deltas(sitting.book, lower(sitting))
    assert (found.up, found.down, found.compared) == (1, 1, 3)
    assert lines(sitting, found) == [
        "1 up, 1 down, of 3 candidates",
        "  1.1.replicas: 1 down, 1 up: its rubric changed",
        "  ann: 4 → 3 (-1)",
        "    -1  1.1.replicas  earned → lost: its rubric changed",
        "      + spec.replicas is wrong",
        "  bob: 2 → 3 (+1)",
        "    +1  1.1.replicas  lost → earned: its rubric changed",
        "      - spec.replicas is wrong",
    ]
    assert lines(sitting, found, 1)[-1] == "  and 1 candidate more: `grader gradebook diff` lists all"


def test_names_are_hidden_where_they_should_be(sitting: Sitting) -> None:
    sitting.batch()
    found = deltas(sitting.book, lower(sitting))
    number = sitting.book.rows("SELECT number FROM candidate WHERE key = 'ann'")[0][0]
    data = as_data(found, Names(sitting.book, anonymous=True))
    assert data["candidates"][0] == {
        "key": pseudonym(number),
        "name": pseudonym(number),
        "before": 4.0,
        "now": 3.0,
        "delta": -1.0,
        "criteria": [
            {
                "task": "1.1",
                "id": "1.1.replicas",
                "direction": "down",
                "before": {"earned": 1.0, "status": "earned"},
                "now": {"earned": 0.0, "status": "lost"},
                "gone": [],
                "found": ["spec.replicas is wrong"],
                "reason": "its rubric changed",
            }
        ],
    }


def test_another_work_that_counts_is_a_reason(sitting: Sitting) -> None:
    write_submission(sitting.folder / "ann@second", 4)
    sitting.batch(which="best")
    since = moment()
    sitting.batch(which="second")
    found = deltas(sitting.book, since)
    assert lines(sitting, found)[:4] == [
        "0 up, 1 down, of 3 candidates",
        "  1.1.replicas: 1 down: another submission counts",
        "  1.2.replicas: 1 down: another submission counts",
        "  ann: 4 → 2 (-2)",
    ]


def test_what_became_void_since_counted_then(sitting: Sitting) -> None:
    sitting.batch()
    since = moment()
    with sitting.book.transaction():
        make_void(sitting.book, 1, "a canary sang", who="me")
    sitting.batch()
    found = deltas(sitting.book, since)
    assert lines(sitting, found) == ["nothing moved, of 3 candidates"]


def test_other_findings_are_told_though_no_points_moved(sitting: Sitting) -> None:
    """Of somebody whose work has one image and is asked for another and then for a third."""
    for name in sitting.folder.iterdir():
        change(name / "api.yaml", "spec:\n  replicas: ", "spec:\n  replica: ")
    sitting.batch()
    since = moment()
    for name in sitting.folder.iterdir():
        change(name / "api.yaml", "spec:\n  replica: ", "spec:\n  replicas: 7 # ")
    sitting.batch()
    found = deltas(sitting.book, since)
    assert (found.up, found.down, found.compared) == (0, 0, 3)
    assert lines(sitting, found)[0] == (
        "0 up, 0 down, of 3 candidates; 3 with the points of before and other findings or statuses"
    )


def test_the_command_begins_with_the_last_batch_that_brought_something(
    sitting: Sitting, capsys: pytest.CaptureFixture[str]
) -> None:
    sitting.batch()
    began = lower(sitting)
    for since in (began, moment()):
        with sitting.book.transaction():
            sitting.book.record("batch", who="me", since=since)
    assert last_batch(sitting.book) == began
    diff_command(sitting.book.path)
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == [f"since {began}", "1 up, 1 down, of 3 candidates"]


@pytest.mark.parametrize(
    ("since", "said"),
    [("2020-01-01T00:00:00+00:00", "since 2020-01-01T00:00:00.000Z\nnobody had a result then\n")],
)
def test_the_command_takes_a_time(
    sitting: Sitting, capsys: pytest.CaptureFixture[str], since: str, said: str
) -> None:
    sitting.batch()
    diff_command(sitting.book.path, since=since)
    assert capsys.readouterr().out == said


def test_what_is_no_time_is_refused(sitting: Sitting) -> None:
    with pytest.raises(UsageError) as error:
        diff_command(sitting.book.path, since="yesterday")
    assert str(error.value) == "--from yesterday: no time, such as 2026-11-28 or 2026-11-28T09:30"
