"""The sheets of which statistics are computed, out of a gradebook."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from grader.cohort.gradebook.results import document_of, rows_of
from grader.cohort.statistics.model import Row, Sheet
from grader.results import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.anonymous import Names


def sheets_of(book: Gradebook, names: Names) -> list[Sheet]:
    """Everybody's marks, as statistics take them."""
    rows: dict[int, dict[str, Row]] = {}
    for row in book.rows("SELECT * FROM criterion_mark ORDER BY candidate, criterion"):
        rows.setdefault(row["candidate"], {})[row["criterion"]] = Row(
            task=row["task"],
            status=Status(row["status"]),
            earned=row["points"],
            possible=row["possible"],
            fingerprint=row["fingerprint"],
            seconds=row["seconds"],
            overridden=row["override"] is not None,
        )
    for whole in book.rows(
        "SELECT task_mark.* FROM task_mark JOIN live_override AS whole ON whole.criterion = ''"
        " AND whole.candidate = task_mark.candidate AND whole.task = task_mark.task"
    ):
        own = rows[whole["candidate"]]
        own |= spread({name: row for name, row in own.items() if row.task == whole["task"]}, whole["points"])
    return [Sheet(candidate=names.full(each), rows=found) for each, found in rows.items()]


def spread(rows: Mapping[str, Row], points: int) -> dict[str, Row]:
    """The criteria of a task that was overridden as a whole: they add up to it, and differ from what was
    graded as little as that takes, the first ones first."""
    left = points - sum(row.earned for row in rows.values())
    found = {}
    for name, row in rows.items():
        change = max(-row.earned, min(left, row.possible - row.earned))
        left -= change
        found[name] = Row(
            task=row.task,
            status=row.status,
            earned=row.earned + change,
            possible=row.possible,
            fingerprint=row.fingerprint,
            seconds=row.seconds,
            overridden=True,
        )
    return found


def exam_of(book: Gradebook) -> tuple[int, set[str], dict[str, str]]:
    """The pass mark that most have, the tasks that are bonus, and titles: of the newest result."""
    marks = Counter(row["pass_mark"] for row in book.rows("SELECT pass_mark FROM mark"))
    newest = book.rows("SELECT max(result) AS result FROM chosen")[0]["result"]
    document = document_of(book, newest)
    tasks = [(section["bonus"], task) for section in document["sections"] for task in section["tasks"]]
    titles = {task["id"]: task["title"] for _, task in tasks}
    titles |= {row["id"]: row["title"] for _, row in rows_of(document)}
    return marks.most_common(1)[0][0], {task["id"] for bonus, task in tasks if bonus}, titles


def messages_of(book: Gradebook, fingerprints: Iterable[str]) -> dict[str, str]:
    """What the finding of each fingerprint says, as one of those has it who lost to it."""
    wanted: dict[int, list[tuple[str, str]]] = {}
    for fingerprint in fingerprints:
        for row in book.rows(
            "SELECT result, criterion FROM criterion_mark WHERE fingerprint = ? LIMIT 1", fingerprint
        ):
            wanted.setdefault(row["result"], []).append((row["criterion"], fingerprint))
    found = {}
    for result, pairs in wanted.items():
        rows = {row["id"]: row for _, row in rows_of(document_of(book, result))}
        for criterion, fingerprint in pairs:
            if findings := rows[criterion]["findings"]:
                found[fingerprint] = str(findings[0]["message"])
    return found
