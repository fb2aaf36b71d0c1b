"""Small gradebooks: a few people, and results made of the grade in which every status occurs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.decisions import override as decide
from grader.cohort.gradebook.decisions import target
from grader.cohort.gradebook.people import record_submission
from grader.cohort.gradebook.queue import Key, enqueue
from grader.cohort.gradebook.results import Graded, commit
from grader.cohort.points import twentieths
from grader.cohort.sources.model import Found, Person
from grader.report.document import document
from grader.results import Finding, Status
from tests.report.grades import a_grade
from tests.report.samples import changed

if TYPE_CHECKING:
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook
    from grader.results import CriterionResult, Grade, PartResult

OPEN = ("1.1.e", "1.1.f")
LOWEST = 3
"""What the grade earns for certain that is open."""


def decided() -> Grade:
    """The small grade with one of its open criteria earned and the other lost."""

    def decide(row: CriterionResult, part: PartResult) -> PartResult:
        if row.id not in OPEN:
            return part
        if row.id == OPEN[0]:
            return replace(part, status=Status.EARNED, findings=())
        return replace(part, status=Status.LOST, findings=(Finding(message="slow"),))

    return changed(a_grade(), decide)


@dataclass(frozen=True, slots=True)
class Submitted:
    """Somebody and what became of the submission."""

    person: Person
    grade: Grade | None = None
    unreadable: str = ""


def person(
    key: str, name: str = "", *, email: str = "", section: str = "", moodle: str = "", canvas: str = ""
) -> Person:
    identities = tuple(
        (system, value) for system, value in (("moodle-participant", moodle), ("canvas", canvas)) if value
    )
    return Person(key=key, name=name, email=email, section=section, identities=identities)


def done(key: str, name: str = "", *, email: str = "", moodle: str = "", canvas: str = "") -> Submitted:
    """Somebody with a complete grade."""
    return Submitted(person(key, name, email=email, moodle=moodle, canvas=canvas), decided())


def make_book(path: Path, *people: Submitted) -> Path:
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        for number, each in enumerate(people):
            add(book, each, f"digest-{number}")
    return path


def add(book: Gradebook, each: Submitted, digest: str) -> None:
    """Within a transaction."""
    found = Found(people=(each.person,), source=f"/in/{each.person.key}")
    record_submission(book, found, "" if each.unreadable else digest, each.unreadable)
    if each.unreadable:
        return
    job = enqueue(book, Key(submission=digest, exam="exam", grader="1", options={}), found.source)
    if each.grade is not None:
        commit(book, job, Graded(document=json.loads(json.dumps(document(each.grade)))), "worker")


def override(
    path: Path, key: str, task: str, criterion: str, points: float, reason: str = "looked at"
) -> None:
    with open_gradebook(path, write=True) as book, book.transaction():
        candidate = book.rows("SELECT id FROM candidate WHERE key = ?", key)[0]["id"]
        what = target(book, candidate, criterion or task)
        decide(book, what, twentieths(points), author="examiner", reason=reason)
