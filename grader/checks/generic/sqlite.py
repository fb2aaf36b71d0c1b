"""SQL run by SQLite: on a database that the exam's author makes, and what rows come of it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from grader.check import Deliverable, Example, Seconds, check
from grader.checks.generic.expectations import Expect, shown
from grader.documents import Problem
from grader.errors import GraderFault
from grader.readers.plain_data import as_json
from grader.results import Evidence, Finding, Outcome, failed, passed
from grader.runtime.sandbox.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.context import Context

MAX_ROWS = 1_000
"""Rows that are expected, and one more that are read."""
MAX_BYTES = 2**20
"""Of one value, and of one statement."""
MAX_SCRIPT = 200_000
MEMORY = 512 * 2**20
_LISTED = 3

Scalar = str | int | float | bool | None
Row = Annotated[tuple[Scalar, ...], Field(min_length=1)]


def _stays_in_memory(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _is_sql(script: str) -> str:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.set_authorizer(_stays_in_memory)
        try:
            connection.executescript(script)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(f"SQLite does not run it: {error}") from None
    return script


def _is_one_statement(query: str) -> str:
    if query and not sqlite3.complete_statement(query.rstrip().rstrip(";") + ";"):
        raise ValueError("it is not a complete SQL statement")
    return query


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a script."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool
    error: str = ""
    stage: str = "script"


@check(
    "sqlite.query",
    evidence=Evidence.RUNS,
    example=Example(
        rubric="""
            deliverables: {query: {path: report.sql}}
            check: sqlite.query
            with:
              file: query
              before: |
                CREATE TABLE calls (route TEXT, seconds REAL);
                INSERT INTO calls VALUES ('/a', 1), ('/a', 3), ('/b', 5);
              columns: [route, mean]
              rows: [[/a, 2], [/b, 5]]
              ordered: true
        """,
        files={
            "report.sql": ("SELECT route, avg(seconds) AS mean FROM calls GROUP BY route ORDER BY mean;\n")
        },
    ),
)
def sqlite_query(
    context: Context,
    *,
    file: Deliverable,
    before: Annotated[str, AfterValidator(_is_sql)] = "",
    after: Annotated[str, AfterValidator(_is_one_statement)] = "",
    parameters: dict[str, Scalar] = {},  # noqa: B006  (frozen by its model)
    columns: tuple[str, ...] = (),
    rows: Annotated[tuple[Row, ...], Field(max_length=MAX_ROWS)] | None = None,
    ordered: bool = False,
    tolerance: Annotated[float, Field(ge=0)] = 1e-6,
    seconds: Seconds = 10,
) -> Outcome:
    """SQL of the submission runs in SQLite, on a database made for it, and gives these rows.

    Args:
        before: the author's SQL that makes tables and rows first.
        after: the author's query, whose rows are judged; the last rows of the file itself, without one.
        parameters: values for `:name` in the file.
        columns: names of the columns, in order; capitals do not matter.
        rows: the rows; if left out, the SQL need only run.
        ordered: whether the rows must come in this order.
        tolerance: how far a number may be off.
        seconds: how long it may take.
    """
    source = context.deliverable(file)
    if isinstance(source.text, Problem):
        return failed(source.text.finding("SQL"))
    if len(source.text) > MAX_SCRIPT:
        message = f"the file is too long to be run ({len(source.text):,} characters)"
        return failed(Finding(message=message, where=source.name))
    request = {
        "before": before,
        "script": source.text,
        "after": after,
        "parameters": dict(parameters),
        "rows": MAX_ROWS + 1,
        "bytes": MAX_BYTES,
        "seconds": seconds,
    }
    key = ("sqlite", source.name, json.dumps(request, sort_keys=True))
    ran = context.memo.once(key, lambda: _run(context, request, seconds))
    if isinstance(ran, str):
        return failed(Finding(message=f"SQLite {ran}", where=source.name))
    findings = [*judge(ran, source.name, columns, rows, ordered=ordered, tolerance=tolerance)]
    return failed(*findings) if findings else passed()


def _run(context: Context, request: Mapping[str, Any], seconds: float) -> Ran | str:
    """What came of it, or how its process ended."""
    limits = Limits(
        cpu_seconds=2 * seconds + 5, wall_seconds=3 * seconds + 20, memory_bytes=MEMORY, processes=16
    )
    with context.require_runtime().cell() as cell:
        run, answer = cell.probe("run_sql", request, limits=limits, apart=True, title="SQL in SQLite")
    told = answer if isinstance(answer, dict) else {}
    match told:
        case {"columns": list(columns), "rows": list(rows), "more": bool(more), "error": str(error)}:
            stage = str(told.get("stage"))
            if stage == "before":  # it ran when the rubric was loaded
                raise GraderFault(f"SQLite does not run what the rubric gives: {error}")
            found = tuple(tuple(row) if isinstance(row, list) else (row,) for row in rows)
            return Ran(tuple(map(str, columns)), found, more, error, stage)
    if run.ok:
        raise GraderFault("the database's process gave no answer", log_tail=run.tail())
    return run.describe()


# --- judgement: pure ------------------------------------------------------------------------------


def judge(
    ran: Ran,
    where: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Scalar]] | None,
    *,
    ordered: bool,
    tolerance: float,
) -> Iterator[Finding]:
    """What is wrong with the columns and rows."""
    if ran.error:
        stopped = "it took too long" if ran.error == "interrupted" else ran.error
        whose = "the query that is asked of its database fails" if ran.stage == "after" else "the SQL fails"
        yield Finding(message=f"{whose}: {stopped}", where=where)
        return
    names = [name.lower() for name in ran.columns]
    if columns and names != [name.lower() for name in columns]:
        yield Finding(
            message="the columns are other ones",
            expected=", ".join(columns),
            actual=", ".join(ran.columns)[:300] or "no rows are selected",
            where=where,
        )
        return
    if rows is None:
        return
    if not ran.columns:
        yield Finding(message="no statement selects rows", where=where)
        return
    expects = [Expect(equals=tuple(row), tolerance=tolerance) for row in rows]
    left = [as_json(list(row)) for row in ran.rows]
    missing = []
    for index, (expect, row) in enumerate(zip(expects, rows, strict=True)):
        at = range(index, index + 1) if ordered else range(len(left))
        found = next((n for n in at if n < len(left) and not expect.violation(left[n])), None)
        if found is None:
            missing.append(list(row))
        elif not ordered:
            del left[found]
    more = len(ran.rows) > len(rows) or ran.more
    if missing or more:
        extra = left[len(rows) :] if ordered else left
        yield Finding(
            message=_difference(missing, len(ran.rows), len(rows), more=ran.more),
            expected="; ".join(map(shown, missing[:_LISTED])) or f"{len(rows)} rows",
            actual="; ".join(map(shown, (ran.rows if ordered and missing else extra)[:_LISTED])),
            where=where,
        )


def _difference(missing: Sequence[object], found: int, wanted: int, *, more: bool) -> str:
    count = f"more than {found - 1}" if more else str(found)
    if found != wanted or more:
        return f"there are {count} rows, not {wanted}"
    return f"{len(missing)} of {wanted} rows are other ones, or in another order"


CHECKS = (sqlite_query,)
