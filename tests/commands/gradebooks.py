"""A gradebook with everything in it that commands show."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from grader.cohort.gradebook.decisions import flag, override, target
from grader.cohort.gradebook.people import record_person
from grader.cohort.gradebook.queue import Key, enqueue
from grader.cohort.gradebook.results import Graded, commit
from grader.cohort.gradebook.store import open_gradebook
from grader.cohort.sources.model import Person
from grader.report.document import document
from tests.cohort.gradebook.books import hand_in, whose
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from pathlib import Path

GIA = Person(key="g-1", name="Gia Große", email="gia@example.org", section="A")
HUI = Person(key="h-1", name="\x1b[31mHui\u202e =1", identities=(("github", "hui-login"),))
IDA = Person(key="i-1", name="=cmd|x", section="B")
NAMES = ("Gia", "gia@", "g-1", "Hui", "hui-login", "h-1", "cmd", "i-1", "Uma", "u-1", "Moe", "m-1")
"""Of which nothing may be seen in anonymous mode."""
ON_TIME = datetime(2026, 11, 1, 12, tzinfo=UTC)


def full_book(path: Path) -> Path:
    """Gia and Hui as a group with open criteria, Ida late and complete, Uma unreadable, Moe without work."""
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        hand_in(book, GIA, HUI, digest="s", source="/in/Gia Große", at=ON_TIME)
        hand_in(book, IDA, digest="t", source="/in/i-1", at=ON_TIME, late=True)
        uma = Person(key="u-1", name="Uma Unterwegs")
        hand_in(book, uma, digest="", source="/in/u", unreadable="Uma Unterwegs.rar is no archive")
        record_person(book, Person(key="m-1", name="Moe"))
        for digest, complete in (("s", False), ("t", True)):
            job = enqueue(book, Key(submission=digest, exam="d", grader="1", options={}), f"/in/{digest}")
            found = json.loads(json.dumps(document(a_grade(complete=complete))))
            found["submission"]["digest"] = digest
            commit(book, job, Graded(document=found), "worker")
        numbers = ((GIA, "1"), (HUI, "2"), (IDA, "3"), (uma, "4"), (Person(key="m-1"), "5"))
        for person, number in numbers:
            book.database.execute("UPDATE candidate SET number = ? WHERE key = ?", (int(number), person.key))
        override(book, target(book, whose(book, "g-1"), "1.1.b"), 20, author="me", reason="Gia is right")
        flag(book, whose(book, "i-1"), author="me", reason="look")
    return path
