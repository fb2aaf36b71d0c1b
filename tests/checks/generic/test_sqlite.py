from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.generic import sqlite
from grader.checks.generic.sqlite import Ran, judge
from grader.results import Verdict
from grader.runtime.probes.run_sql import run, statements
from tests.builders import decide
from tests.checks.live import plain_context

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = "CREATE TABLE t (a TEXT, n REAL); INSERT INTO t VALUES ('x', 1), ('y', 2.5), (NULL, 3);"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"before": "CREATE TABEL t (a);"}, "SQLite does not run it"),
        ({"before": "ATTACH '/tmp/x.db' AS x;"}, "not authorized"),
        ({"after": "SELECT 'a"}, "not a complete SQL statement"),
        ({"rows": [[]]}, "at least 1 item"),
        ({"rows": [[[1]]]}, "valid string"),
        ({"rows": [[1]] * 1_001}, "at most 1000"),
        ({"seconds": 0}, "greater than 0"),
    ],
)
def test_what_sqlite_could_not_run_is_the_authors_fault(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        sqlite.sqlite_query.parameters.model_validate({"file": "q", **given})


def _ran(script: str, **given: Any) -> dict[str, Any]:
    usual = {"before": BEFORE, "after": "", "parameters": {}, "rows": 10, "bytes": 2**20, "seconds": 1}
    return run({"script": script, **usual, **given})


def test_statements() -> None:
    script = "SELECT ';'; -- a; b\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END; SELECT 3"
    assert [each.strip()[:14] for each in statements(script)] == [
        "SELECT ';';",
        "-- a; b\nCREATE",
        "SELECT 3",
    ]


def test_rows_of_the_last_query() -> None:
    told = _ran("SELECT 0; SELECT a, n FROM t WHERE n > :least; -- done\n", parameters={"least": 1})
    assert (told["error"], told["columns"], told["rows"]) == ("", ["a", "n"], [["y", 2.5], [None, 3.0]])
    told = _ran("CREATE TABLE u AS SELECT 1 AS x;", after="SELECT x FROM u")
    assert (told["error"], told["rows"]) == ("", [[1]])
    assert _ran("SELECT x'00ff'")["rows"] == [[{"blob": "00ff"}]]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("ATTACH '/tmp/x.db' AS x", "not authorized"),
        ("VACUUM INTO '/tmp/x.db'", "authorization denied"),
        ("PRAGMA writable_schema = 1", "not authorized"),
        ("SELECT load_extension('x')", "not authorized"),
        ("SELECT zeroblob(100000000)", "too big"),
        ("SELECT printf('%.*c', 100000000, 'x')", ""),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
            "interrupted",
        ),
        ("SELECT :nothing", "did not supply"),
        ("SELECT '\0'", ""),
        ("SELECT 1;" * 1_001, "more than 1000 statements"),
    ],
)
def test_hostile_sql_is_stopped(script: str, said: str) -> None:
    told = _ran(script, seconds=0.2)
    assert (told["stage"], said in told["error"]) == ("script", True), told["error"]


def test_endless_rows_are_cut() -> None:
    told = _ran("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c")
    assert (len(told["rows"]), told["more"], told["error"]) == (10, True, "")


@pytest.mark.parametrize(
    ("ran", "given", "said"),
    [
        (Ran(("A",), ((1,), (2,)), False), {}, ""),
        (Ran(("a",), ((2,), (1,)), False), {}, ""),
        (Ran(("a",), ((2,), (1,)), False), {"ordered": True}, "in another order"),
        (Ran(("a",), ((1,), (1,)), False), {}, "1 of 2 rows"),
        (Ran(("a",), ((1,), (2.0000001,)), False), {}, ""),
        (Ran(("a",), (("1",), (2,)), False), {}, "1 of 2 rows"),
        (Ran(("a",), ((1,), (2,), (3,)), False), {}, "there are 3 rows, not 2"),
        (Ran(("a",), ((1,), (2,), (3,)), True), {}, "there are more than 2 rows, not 2"),
        (Ran(("a",), (), False), {}, "there are 0 rows"),
        (Ran(("b",), ((1,), (2,)), False), {}, "the columns are other ones"),
        (Ran((), (), False), {"columns": ()}, "no statement selects rows"),
        (Ran((), (), False, "interrupted"), {}, "it took too long"),
        (Ran((), (), False, "no such table: x", "after"), {}, "asked of its database fails: no such table"),
    ],
)
def test_rows_that_are_and_are_not_as_expected(ran: Ran, given: dict[str, Any], said: str) -> None:
    usual: dict[str, Any] = {"columns": ("a",), "rows": [[1], [2]], "ordered": False, "tolerance": 1e-6}
    findings = [*judge(ran, "q.sql", **{**usual, **given})]
    assert [said in each.message for each in findings] == ([True] if said else [])


@pytest.mark.slow
def test_sql_of_a_submission(tmp_path: Path) -> None:
    files = {
        "good.sql": "SELECT a FROM t WHERE n > 1;\n",
        "bad.sql": "SELECT a FROM u;\n",
        "sqlite3.py": "raise SystemExit('no database for you')\n",
        "long.sql": "-" * 300_000,
    }
    names = {"good": "good.sql", "bad": "bad.sql", "long": "long.sql"}
    given = {"before": BEFORE, "rows": [["y"], [None]]}
    with plain_context(tmp_path, files, deliverables=names) as context:
        verdicts = []
        for name in names:
            parameters = sqlite.sqlite_query.parameters.model_validate({"file": name, **given})
            verdicts.append(decide(sqlite.sqlite_query, context, **dict(parameters)).verdict)
    assert verdicts == [Verdict.PASSED, Verdict.FAILED, Verdict.FAILED]
