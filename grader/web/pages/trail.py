"""The audit trail: everything that anybody did, the newest first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.cohort.gradebook import Gradebook
    from grader.web.state import Cohort

PER_PAGE = 200


def read(
    book: Gradebook, cohort: Cohort, fields: Mapping[str, str], *, per_page: int = PER_PAGE
) -> dict[str, Any]:
    """What the template shows.

    Args:
        fields: of the address: `what` keeps events of a kind, `before` those older than a number.
    """
    kinds = [row["what"] for row in book.rows("SELECT DISTINCT what FROM event ORDER BY what")]
    what = fields.get("what", "") if fields.get("what", "") in kinds else ""
    before = fields.get("before", "")
    newest = int(before) if before.isascii() and before.isdigit() and len(before) < 12 else 0
    rows = book.rows(
        "SELECT * FROM event WHERE (?1 = '' OR what = ?1) AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3",
        *(what, newest, per_page + 1),
    )
    shown = rows[:per_page]
    return {
        "kinds": kinds,
        "what": what,
        "events": [
            {
                "id": row["id"],
                "at": row["at"],
                "who": one_line(row["who"]),
                "what": one_line(row["what"]),
                "person": cohort.by_id.get(row["candidate"] or 0),
                "data": _data(row["data"], cohort),
            }
            for row in shown
        ],
        "older": shown[-1]["id"] if len(rows) > per_page else 0,
        "newest": newest,
    }


def _data(text: str, cohort: Cohort) -> dict[str, str]:
    found = json.loads(text)
    return {
        one_line(name): cohort.names.text(str(value), longest=200)
        for name, value in found.items()
        if value not in ("", None)
    }
