"""A report for each candidate who has a mark, in a form of `grader.report.formats`, under a safe name."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from grader.cohort.exports import tables
from grader.cohort.exports.moodle import feedback_name, participant
from grader.cohort.exports.names import FileNames
from grader.cohort.exports.settle import settled
from grader.report.formats import FORMATS, Settings
from grader.report.safe import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from grader.cohort.exports.marks import Candidate, Marks
    from grader.results import Grade

File = tuple[str, bytes]
SUFFIXES = {
    "html": ".html",
    "markdown": ".md",
    "json": ".json",
    "junit": ".xml",
    "gradescope": "/results.json",
    "classroom50": "/result.json",
}
"""What follows the candidate's name; some platforms want the file to be called so."""
NAMES = {
    "html": "feedback.html",
    "markdown": "feedback.md",
    "json": "grade.json",
    "junit": "grade.xml",
    "gradescope": "results.json",
    "classroom50": "result.json",
}
"""What the file is called in a candidate's own folder."""


def reports(marks: Marks, form: str) -> Iterator[File]:
    """A file for each candidate."""
    for candidate, name in _named(marks.marked):
        yield f"{name}{SUFFIXES[form]}", _written(_grade(marks, candidate), form)


def moodle_feedback(marks: Marks, form: str) -> Iterator[File]:
    """The files of Moodle's *Upload multiple feedback files in a zip*.

    Whoever Moodle's number is not known of is left out: `without_number` says who.
    """
    for candidate in marks.marked:
        if participant(candidate):
            yield feedback_name(candidate, NAMES[form]), _written(_grade(marks, candidate), form)


def without_number(marks: Marks) -> list[Candidate]:
    """Those who have a mark, but no number of Moodle's."""
    return [each for each in marks.marked if not participant(each)]


def everything(marks: Marks) -> Iterator[File]:
    """All tables, the audit trail unless it would tell names, and a folder for each candidate."""
    yield "marks.csv", _text(lambda stream: tables.write_candidates(marks, stream))
    yield "criteria.csv", _text(lambda stream: tables.write_criteria(marks, stream))
    yield "marks.jsonl", _text(lambda stream: tables.write_lines(marks, stream))
    yield "overrides.csv", _text(lambda stream: tables.write_overrides(marks, stream))
    if not marks.anonymous:
        yield "events.jsonl", _text(lambda stream: _write_events(marks, stream))
    for candidate, name in _named(marks.marked):
        grade = _grade(marks, candidate)
        for form, file in NAMES.items():
            yield f"candidates/{name}/{file}", _written(grade, form)


def _named(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate, str]]:
    """With a name for a file: the key tells two people of one name apart, if it is more than the name."""
    names = FileNames()
    for each in candidates:
        same = not each.name or each.name == each.key
        yield each, names.take(each.key if same else f"{each.name} {each.key}")


def _grade(marks: Marks, candidate: Candidate) -> Grade:
    return settled(marks.document(candidate.result or 0), candidate, marks.incomplete)


def _written(grade: Grade, form: str) -> bytes:
    text = io.StringIO(newline="")
    FORMATS[form].write(grade, text, Settings())
    return text.getvalue().encode(errors="replace")


def _text(write: Callable[[TextIO], None]) -> bytes:
    stream = io.StringIO(newline="")
    write(stream)
    return stream.getvalue().encode(errors="replace")


def _write_events(marks: Marks, stream: TextIO) -> None:
    for row in marks.book.rows(
        "SELECT event.at, event.who, event.what, candidate.key, event.data FROM event"
        " LEFT JOIN candidate ON candidate.id = event.candidate ORDER BY event.id"
    ):
        told = {name: row[name] and clean(row[name]) for name in ("at", "who", "what", "key")}
        json.dump({**told, "data": json.loads(row["data"])}, stream, ensure_ascii=True)
        stream.write("\n")
