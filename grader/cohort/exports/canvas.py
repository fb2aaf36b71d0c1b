"""Canvas's gradebook as CSV: a column for each assignment, rows about columns first, then the people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.cohort.exports.delimited import shown
from grader.cohort.exports.round_trip import Row, Sheet, find_column, number
from grader.cohort.sources.canvas import SYSTEM
from grader.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from grader.cohort.exports.delimited import Record, Table

_ASSIGNMENT = re.compile(r"(?P<name>.*\S)\s*\((?P<id>\d{1,20})\)", re.DOTALL)
_READ_ONLY = re.compile(r"\(.*\)", re.DOTALL)
"""`(read only)`, in any language: what Canvas computes itself."""
NAME, ID, SIS_ID, LOGIN = "Student", "ID", "SIS User ID", "SIS Login ID"
TEST_STUDENT = "Student, Test"


def is_gradebook(table: Table) -> bool:
    """Whether a table looks like Canvas's."""
    return {NAME, ID, "Section"} <= set(table.columns)


def read_gradebook(table: Table, *, column: str = "", maximum: Fraction | None = None) -> Sheet:
    """Say which column is whose.

    Args:
        column: the assignment: its name, its number or both as in the file; needed where there are several.
        maximum: the points that are full marks, where the file does not say it.

    Raises:
        UsageError: it is no such file, or does not say enough.
    """
    if not is_gradebook(table):
        raise UsageError(
            f"{table.name} is not Canvas's gradebook: it has no columns {NAME}, {ID} and Section (it has"
            f" {', '.join(map(shown, table.columns[:8]))})"
        )
    key = table.columns.index(ID)
    about = [record for record in table.records if not record[key].strip()]
    people = [record for record in table.records if record[key].strip()]
    where = _assignment(table, about, column)
    most = maximum or next((value for record in about if (value := number(record[where]))), None)
    if not most or most < 0:
        raise UsageError(
            f"{table.name} does not say the points possible of {shown(table.columns[where])}: say them by"
            " --maximum"
        )
    return Sheet(
        table=table,
        system=SYSTEM,
        column=where,
        maximum=most,
        rows=tuple(_row(record, table) for record in people),
        capped=False,
    )


def _assignment(table: Table, about: list[Record], column: str) -> int:
    titles = table.columns
    assignments = {
        at: match
        for at, title in enumerate(titles)
        if (match := _ASSIGNMENT.fullmatch(title))
        and not any(_READ_ONLY.fullmatch(record[at].strip()) for record in about)
    }
    if not column:
        if len(assignments) == 1:
            return next(iter(assignments))
        names = ", ".join(shown(titles[at]) for at in assignments) or "none"
        raise UsageError(f"{table.name}: name the assignment's column by --column (there are: {names})")
    found = [
        at
        for at, match in assignments.items()
        if column.strip().casefold() in (match["name"].casefold(), match["id"], titles[at].casefold())
    ]
    if len(found) == 1:
        return found[0]
    at = find_column(titles, column, table.name)
    if any(_READ_ONLY.fullmatch(record[at].strip()) for record in about) or titles[at] in (
        *(NAME, ID, SIS_ID, LOGIN),
        "Section",
    ):
        raise UsageError(f"{table.name}: {shown(column)} is no assignment's column")
    return at


def _row(record: Record, table: Table) -> Row:
    cells = dict(zip(table.columns, (cell.value.strip() for cell in record.cells), strict=True))
    known = [cells[title] for title in (SIS_ID, LOGIN) if cells.get(title)]
    return Row(
        record=record,
        identities=(
            (SYSTEM, cells[ID]),
            *(("email", value.casefold()) for value in known if "@" in value),
            *(("key", value.casefold()) for value in known),
        ),
        number=cells[ID],
        name=cells[NAME],
        is_nobody=cells[NAME] == TEST_STUDENT,
    )
