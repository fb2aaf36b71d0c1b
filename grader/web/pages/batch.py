"""The batch as it runs, as the gradebook has it: whoever started it, here or in a terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from grader.cohort.batch import LEASE
from grader.cohort.gradebook.lock import holder
from grader.report.safe import few, one_line
from grader.web.plots import pace

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from grader.cohort.gradebook import Gradebook
    from grader.web.state import Cohort
    from grader.web.work import Child

MIN_DONE = 2
"""Submissions after which a pace says something."""
MAX_DIED = 50
MAX_NAMED = 3
CODES = {
    0: "all graded and complete",
    2: "it could not begin: the last line says why",
    3: "graded, and something is open",
    4: "a canary was graded wrongly: the results of this machine since are void",
    130: "paused: going on grades the rest",
    -15: "stopped: going on grades the rest",
    143: "stopped: going on grades the rest",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A worker, and what it is at."""

    worker: str
    whose: str
    attempt: int
    seconds: float


def read(book: Gradebook, cohort: Cohort, child: Child | None) -> dict[str, Any]:
    """What the template shows."""
    now = datetime.now(UTC)
    last = book.rows("SELECT * FROM event WHERE what = 'batch' ORDER BY id DESC LIMIT 1")
    data: dict[str, Any] = json.loads(last[0]["data"]) if last else {}
    since = last[0]["at"] if last else ""
    ours = child if child is not None and child.name == "batch" else None
    runs = ours.runs if ours else bool(holder(book.path))
    begun = bool(last) and (ours is None or _seconds(since) >= ours.started)
    leased = book.rows("SELECT * FROM job WHERE state = 'leased' ORDER BY worker") if runs and begun else []
    at = (
        [_seconds(row["at"]) for row in book.rows("SELECT at FROM result WHERE at >= ? ORDER BY at", since)]
        if last
        else []
    )
    failed = (
        book.rows("SELECT data FROM event WHERE what = 'attempt failed' AND at >= ?", since) if last else []
    )
    gone = sum(json.loads(row["data"]).get("state") == "died" for row in failed)
    total = int(data.get("jobs", 0)) if begun else 0
    done = len(at) if begun else 0
    left = max(0, total - done - gone)
    start = _seconds(since) if begun else 0.0
    elapsed = (now.timestamp() if runs else max(at, default=start)) - start
    return {
        "runs": runs,
        "ours": ours,
        "begun": begun,
        "since": since,
        "who": one_line(last[0]["who"]) if last else "",
        "source": cohort.names.text(str(data.get("source", ""))),
        "kind": one_line(str(data.get("kind", ""))),
        "total": total,
        "done": done,
        "gone": gone,
        "running": len(leased),
        "waiting": max(0, left - len(leased)),
        "per_minute": 60 * done / elapsed if done >= MIN_DONE and elapsed > 0 else None,
        "left": _clock(elapsed / (done + gone) * left) if done + gone >= MIN_DONE and left and runs else "",
        "elapsed": _clock(elapsed),
        "slots": [_slot(book, cohort, row, now) for row in leased],
        "plot": pace([each - start for each in at], total=total, elapsed=max(elapsed, 1.0))
        if begun and total
        else None,
        "died": [
            {"whose": _whose(book, cohort, row["submission"]), "reason": cohort.names.text(row["reason"])}
            for row in book.rows("SELECT * FROM job WHERE state = 'died' LIMIT ?", MAX_DIED)
        ],
        "lines": [cohort.names.text(line) for line in ours.lines()] if ours else [],
        "ended": CODES.get(ours.code, f"exit status {ours.code}") if ours and ours.code is not None else "",
        "before": _before(data),
    }


def arguments(form: Mapping[str, str], path: str, exam: str) -> list[str]:
    """The command that a form means. Its words are words, whatever they begin with."""
    words = ["batch", f"--gradebook={path}"]
    words += [f"--exam={exam}"] if exam else []
    for name in ("jobs", "only", "which", "deadline", "isolation"):
        if value := form.get(name, "").strip():
            words.append(f"--{name}={value}")
    words += ["--dry-run"] if form.get("dry_run") else []
    return [*words, "--", form.get("source", "").strip()]


def _before(data: Mapping[str, Any]) -> str:
    return str(data.get("source", ""))


def _slot(book: Gradebook, cohort: Cohort, row: sqlite3.Row, now: datetime) -> Slot:
    since = now.timestamp() - (_seconds(row["lease_until"]) - LEASE)
    return Slot(
        worker=one_line(row["worker"], longest=60),
        whose=_whose(book, cohort, row["submission"]),
        attempt=row["attempt"],
        seconds=max(0.0, since),
    )


def _whose(book: Gradebook, cohort: Cohort, digest: str) -> str:
    rows: Sequence[sqlite3.Row] = book.rows(
        "SELECT DISTINCT candidate FROM submission WHERE digest = ?", digest
    )
    names = [cohort.by_id[row["candidate"]].name for row in rows if row["candidate"] in cohort.by_id]
    return few(names, MAX_NAMED)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _clock(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
