"""Moodle's offline grading worksheet, and the archive of feedback files that goes with it.

The worksheet's titles are in the language of whoever downloaded it. What is the same in every language: a
column names participants (`Participant 4711`), and the grade stands before its maximum, which is the same in
all rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.cohort.exports.delimited import shown
from grader.cohort.exports.names import file_name
from grader.cohort.exports.round_trip import BLANK, Row, Sheet, find_column, number
from grader.cohort.sources.moodle import SYSTEM
from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from grader.cohort.exports.delimited import Record, Table
    from grader.cohort.exports.marks import Candidate

_PARTICIPANT = re.compile(r"(?P<word>[^\d=+@\t]*\D)?(?P<id>\d{1,20})")
_EMAIL = re.compile(r"[^\s@,;<>\"]{1,200}@[^\s@,;<>\"]{1,200}")


def read_worksheet(table: Table, *, column: str = "", maximum: Fraction | None = None) -> Sheet:
    """Say which column is whose.

    Args:
        column: the title of the grade's column, where it is not found by itself.
        maximum: the grade that is full marks, where the worksheet does not say it.

    Raises:
        UsageError: it is no worksheet, or does not say enough.
    """
    if not table.records:
        raise UsageError(f"{table.name} has no rows")
    participants = _participants(table)
    if participants is None:
        raise UsageError(
            f"{table.name} is not Moodle's grading worksheet: none of its columns names participants like"
            f" `Participant 4711` (it has {', '.join(map(shown, table.columns[:8]))}). Enable the"
            " assignment's feedback type *Offline grading worksheet*, then choose the action *Download"
            " grading worksheet*"
        )
    where = find_column(table.columns, column, table.name) if column else _grade_column(table, participants)
    most = maximum or (_same_number(table.records, where + 1) if where + 1 < len(table.columns) else None)
    if not most:
        raise UsageError(f"{table.name} does not say the maximum grade: say it by --maximum")
    return Sheet(
        table=table,
        system=SYSTEM,
        column=where,
        maximum=most,
        rows=tuple(_row(record, participants, where) for record in table.records),
        capped=True,
    )


def _participants(table: Table) -> int | None:
    """The column that names participants: a word and a number in each row, and no two rows the same."""
    for at, title in enumerate(table.columns):
        found = [_PARTICIPANT.fullmatch(record[at].strip()) for record in table.records]
        words = {match["word"] for match in found if match}
        named = title.casefold() == "identifier" or None not in words
        if (
            named
            and all(found)
            and len(words) == 1
            and len({match["id"] for match in found if match}) == len(found)
        ):
            return at
    return None


def _grade_column(table: Table, participants: int) -> int:
    titles = [title.casefold() for title in table.columns]
    before_maximum = {
        at: most
        for at in range(participants + 1, len(titles) - 1)
        if (most := _same_number(table.records, at + 1))
    }
    found = [at for at in before_maximum if titles[at] == "grade"]
    found = found or [at for at, most in before_maximum.items() if _are_grades(table.records, at, most)]
    if len(found) != 1:
        raise UsageError(
            f"{table.name} has {'several columns' if found else 'no column'} that could be the grade, with"
            f" its maximum behind it: name it by --column (it has {', '.join(map(shown, table.columns))})"
        )
    return found[0]


def _same_number(records: Sequence[Record], at: int) -> Fraction | None:
    """The positive number that stands in every row of a column."""
    values = {record[at].strip() for record in records}
    value = number(values.pop()) if len(values) == 1 else None
    return value if value is not None and value > 0 else None


def _are_grades(records: Sequence[Record], at: int, most: Fraction) -> bool:
    values = [record[at].strip() for record in records]
    numbers = [number(value) for value in values if value not in BLANK]
    return all(value is not None and 0 <= value <= most for value in numbers)


def _row(record: Record, participants: int, grade: int) -> Row:
    match = _PARTICIPANT.fullmatch(record[participants].strip())
    id_ = match["id"] if match else ""
    emails = [cell.value.strip() for cell in record.cells[:grade] if _EMAIL.fullmatch(cell.value.strip())]
    name = next((record[at] for at in range(participants + 1, grade) if record[at].strip()), "")
    return Row(
        record=record,
        identities=((SYSTEM, id_), *(("email", email.casefold()) for email in emails[:1])),
        number=id_,
        name=name,
    )


def has_names(table: Table, sheet: Sheet) -> bool:
    """Whether the column after the participants' is of names; in blind marking it is of states."""
    participants = _participants(table) or 0
    title = table.columns[participants + 1].casefold()
    emails = [record[participants + 2].strip() for record in table.records]
    return title == "full name" or (
        sheet.column > participants + 2 and any(_EMAIL.fullmatch(email) for email in emails)
    )


def participant(candidate: Candidate) -> str:
    """The number by which Moodle knows somebody in this assignment; empty where it is not known."""
    return next((value for system, value in candidate.identities if system == SYSTEM and value.isdigit()), "")


def feedback_name(candidate: Candidate, name: str) -> str:
    """A file's name in the archive for *Upload multiple feedback files in a zip*.

    Moodle splits it at underscores, so the name of the person has none.
    """
    person = file_name((candidate.name or "Participant").replace("_", " "))
    return f"{person}_{participant(candidate)}_assignfeedback_file_{name}"
