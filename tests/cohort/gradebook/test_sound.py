"""Each thing that can be wrong is found, and nothing else."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook.decisions import flag, override, settle, target, withdraw
from grader.cohort.gradebook.queue import Key, enqueue, lease
from grader.cohort.gradebook.results import Graded, commit, packed, unpacked
from grader.cohort.gradebook.sound import complaints
from grader.cohort.gradebook.store import Gradebook, open_gradebook
from grader.report.document import document
from tests.cohort.gradebook.books import ANNA, BEN, hand_in
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    """A group with a whole document, overrides of all kinds and flags; triggers stand in no test's way."""
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        with book.transaction():
            hand_in(book, ANNA, BEN, digest="s")
            hand_in(book, ANNA, digest="", source="/in/x", unreadable="no archive")
            job = enqueue(book, Key(submission="s", exam="d", grader="1", options={}), "/in/s")
            commit(book, job, Graded(document=json.loads(json.dumps(document(a_grade())))), "worker")
            for name, points in (("1.1.b", 20), ("1.1.b", 10), ("1.1", 30), ("B1.a", 0)):
                override(book, target(book, 1, name), points, author="x", reason="y")
            withdraw(book, 4, author="x")
            override(book, target(book, 2, "1.1.e"), 20, author="x", reason="y")
            settle(book, flag(book, 1, author="x", reason="y"), author="x")
            for row in book.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
                book.database.execute(f"DROP TRIGGER {row['name']}")
        yield book


def test_a_sound_gradebook_has_no_complaints(book: Gradebook) -> None:
    assert list(complaints(book)) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE result SET score = score + 1, lowest = lowest + 1",
            [
                "result 1: its score is not the sum of its criteria",
                "the mark of candidate 1 is not the sum of its parts",
                "the mark of candidate 2 is not the sum of its parts",
            ],
        ),
        ("UPDATE result SET pass_mark = 1", ["result 1: its pass mark is not that of its document"]),
        ("UPDATE result SET document = x'00'", ["result 1: a result document is damaged"]),
        (
            "UPDATE criterion SET basis = 'x' WHERE criterion = 'B1.a'",
            ["result 1: criterion B1.a is not what*"],
        ),
        (
            "UPDATE criterion SET fingerprint = '' WHERE criterion = '1.1.b'",
            ["result 1: criterion 1.1.b is not*"],
        ),
        (
            "UPDATE criterion SET earned = 20, highest = 20 WHERE criterion = '1.1.d'",
            ["result 1: criterion 1.1.d is not*", "the mark of candidate 1 is not the sum of its parts"],
        ),
        (
            "DELETE FROM criterion WHERE criterion = '1.1.a'",
            [
                "result 1: criterion 1.1.a is not*",
                "the mark of candidate 1 is not the sum of its parts",
            ],
        ),
        ("UPDATE job SET exam = 'another'", ["result 1: its document is of another exam than its job"]),
        (
            "UPDATE job SET submission = 'another'",
            [
                "result 1: its document is of another submission than its job",
                "submission 1 was found and has no job*",
                "submission 2 was found and has no job*",
            ],
        ),
        ("UPDATE result SET void = 'x'", ["job 1 is done and has 0 results that count"]),
        (
            "UPDATE job SET state = 'leased', lease_until = '2020-01-01T00:00:00.000Z'",
            ["job 1 should have been done by 2020-01-01T00:00:00.000Z: its batch ended, or hangs; *"],
        ),
        (
            "DELETE FROM event WHERE what = 'override'",
            [
                *(f"override {each} has no event that says who made it" for each in range(1, 6)),
                "override 1 was withdrawn without an event",
            ],
        ),
        ("DELETE FROM event WHERE what = 'withdraw'", ["override 4 was withdrawn without an event"]),
        ("DELETE FROM event WHERE what = 'flag'", ["flag 1 has no event that says who set it"]),
        ("DELETE FROM event WHERE what = 'flag done'", ["flag 1 is done without an event"]),
        ("UPDATE event SET data = '[' WHERE what = 'flag done'", ["flag 1 is done without an event"]),
        ("UPDATE override SET points = 500 WHERE id = 3", ["override 3 gives more points than there were"]),
        (
            "DELETE FROM candidate WHERE id = 2",
            [
                f"{name} refers to a row of candidate that is not there"
                for name in ("event 6", "identity", "override 5", "submission 2")
            ],
        ),
    ],
)
def test_what_is_wrong_is_found(book: Gradebook, statement: str, found: list[str]) -> None:
    book.database.execute("PRAGMA foreign_keys = OFF")
    book.database.execute(statement)
    said = sorted(complaints(book))
    assert [fnmatchcase(one, pattern) for one, pattern in zip(said, sorted(found), strict=True)] == [
        True
    ] * len(said)


def test_a_document_of_another_form_is_found(book: Gradebook) -> None:
    row = book.rows("SELECT document FROM result")[0]
    changed = unpacked(row["document"]) | {"seed": "x"}
    book.rows("UPDATE result SET document = ?", packed(changed))
    assert [each[:60] for each in complaints(book)] == [
        "result 1: its document is not the document of a grade: seed:"
    ]


def test_a_lease_that_runs_is_sound(book: Gradebook) -> None:
    with book.transaction():
        job = enqueue(book, Key(submission="s", exam="new", grader="1", options={}), "/in/s")
        lease(book, job, "worker", 600)
    assert list(complaints(book)) == []


def test_a_damaged_page_is_found(book: Gradebook) -> None:
    page = book.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'event_by_candidate'")[0][0]
    size = book.rows("PRAGMA page_size")[0][0]
    book.close()
    with book.path.open("r+b") as file:
        file.seek((page - 1) * size + 100)
        file.write(bytes(size - 100))
    with open_gradebook(book.path) as again:
        said = list(complaints(again))
    assert said
    assert all(each.startswith("the file is damaged: ") for each in said)
