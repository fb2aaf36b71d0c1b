"""Run SQL in a database in memory, within limits, and say which rows come of it.

Request: {"before": script, "script": SQL, "after": SQL or "", "parameters": {name: value}, "rows": most,
          "bytes": most of a value, "seconds": most}
Answer: {"columns": [name], "rows": [[value]], "more": whether there are more rows,
         "statements": how many ran, "error": "", "stage": "before" | "script" | "after"}

Rows are those of `after`, or else of the last statement of `script` that gives any.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_STATEMENTS = 1_000
MAX_ANSWER = 4 * 2**20
_DENIED = {
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
}
_PRAGMAS = {"foreign_keys", "table_info", "table_xinfo", "index_list", "index_info", "foreign_key_list"}


def allow(action: int, first: str | None, _second: str | None, _database: str | None, _by: str | None) -> int:
    """SQLite's authorizer: no other database, no extension, no setting that lifts a limit."""
    if action in _DENIED:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() not in _PRAGMAS:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_FUNCTION and (_second or "").lower() == "load_extension":
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def statements(script: str) -> Iterator[str]:
    """The statements of a script, as SQLite's own shell tells them apart."""
    begin = 0
    for end, character in enumerate(script, 1):
        if character == ";" and sqlite3.complete_statement(script[begin:end]):
            yield script[begin:end]
            begin = end
    if script[begin:].strip():
        yield script[begin:]


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return {"blob": value.hex()} if isinstance(value, bytes) else value


def take(cursor: sqlite3.Cursor, most: int) -> dict[str, Any]:
    """The first rows that a statement gives."""
    rows: list[list[Any]] = []
    size = 0
    for row in cursor:
        if len(rows) == most or size > MAX_ANSWER:
            return {"columns": [each[0] for each in cursor.description], "rows": rows, "more": True}
        rows.append([plain(value) for value in row])
        size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
    return {"columns": [each[0] for each in cursor.description], "rows": rows, "more": False}


def run(request: dict[str, Any]) -> dict[str, Any]:
    """What came of it all."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    told: dict[str, Any] = {"columns": [], "rows": [], "more": False, "statements": 0, "error": ""}
    told["stage"] = "before"
    try:
        connection.executescript(request["before"])
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, request["bytes"])
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(allow)
        until = time.monotonic() + request["seconds"]
        connection.set_progress_handler(lambda: int(time.monotonic() > until), 10_000)
        told["stage"] = "script"
        for number, statement in enumerate(statements(request["script"])):
            if number == MAX_STATEMENTS:
                raise sqlite3.OperationalError(f"there are more than {MAX_STATEMENTS} statements")
            # A statement gets what it names: SQLite refuses none that is missing, and takes more.
            cursor = connection.execute(statement, request["parameters"])
            if cursor.description is not None:
                told |= take(cursor, request["rows"])
            told["statements"] = number + 1
        if request["after"]:
            told["stage"] = "after"
            told |= take(connection.execute(request["after"]), request["rows"])
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError, MemoryError) as error:
        told["error"] = str(error)[:1000] or type(error).__name__
    return told


def main() -> None:
    """Answer the request."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    data = json.dumps(run(request)).encode()
    Path(sys.argv[2]).write_bytes(data)
    os._exit(0)


if __name__ == "__main__":
    main()
