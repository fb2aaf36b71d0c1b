"""Files of a submission, by themselves and beside the reference solution's."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import document_of, rows_of
from grader.web import evidence
from grader.web.pages.candidate import hidden, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam
    from grader.web.evidence import Files, Gone
    from grader.web.state import Cohort, Person


def read(book: Gradebook, cohort: Cohort, person: Person, *, path: str, line: str) -> dict[str, Any]:
    """One file of the submission that counts, as it is now.

    Args:
        line: the number of one that is meant, as the address has it.
    """
    number = int(line) if line.isascii() and line.isdigit() and len(line) < 8 else 0
    with _files(book, person) as files:
        shown = evidence.file_view(
            files, path, (number,) if number else (), hide=_hiding(book, cohort, person)
        )
    return {"person": person, "path": path, "shown": shown}


def beside(
    book: Gradebook, cohort: Cohort, person: Person, criterion: str, exam: Exam | None
) -> dict[str, Any] | None:
    """What a mark rests on, with the reference solution's lines; None where there is no such criterion."""
    if person.standing.result is None:
        return None
    whose = together(book, person)
    document = hidden(document_of(book, person.standing.result), cohort.names, whose)
    row = next((row for _, row in rows_of(document) if row["id"] == criterion), None)
    if row is None:
        return None
    with _files(book, person) as files, _reference(exam) as reference:
        lines = (
            evidence.reference_lines(
                exam, criterion, document, files, reference, hide=_hiding(book, cohort, person)
            )
            if exam is not None
            else None
        )
    return {
        "person": person,
        "row": row,
        "outcome": evidence.outcome(document, criterion, exam=exam),
        "lines": lines,
    }


def _hiding(book: Gradebook, cohort: Cohort, person: Person) -> Callable[[str], str]:
    return partial(cohort.names.without, whose=together(book, person))


@contextlib.contextmanager
def _files(book: Gradebook, person: Person) -> Iterator[Files | Gone]:
    rows = book.rows("SELECT source FROM submission WHERE id = ?", person.standing.submission)
    with evidence.open_files(rows[0]["source"] if rows else "") as files:
        yield files


@contextlib.contextmanager
def _reference(exam: Exam | None) -> Iterator[Files | Gone]:
    with evidence.open_files(str(exam.reference) if exam is not None and exam.reference else "") as files:
        yield files
