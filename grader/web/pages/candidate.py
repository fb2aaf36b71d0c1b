"""One candidate: marks, what they rest on, what was decided, and what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.reading import events, everything_of
from grader.cohort.gradebook.results import document_of, rows_of
from grader.report.previous import changes, comparability
from grader.report.read import grade_of
from grader.web.evidence import outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from markupsafe import Markup

    from grader.cohort.gradebook import Gradebook
    from grader.cohort.gradebook.anonymous import Names
    from grader.exam.model import Exam
    from grader.web.evidence.outcome import Link
    from grader.web.state import Cohort, Person

MAX_REASONS = 40


def read(
    book: Gradebook, cohort: Cohort, person: Person, *, exam: Exam | None = None, link: Link | None = None
) -> dict[str, Any]:
    """What the template shows.

    Args:
        link: where a file of the submission is shown, by its path and line.
    """
    own = person.standing.candidate
    data = everything_of(book, person.standing, cohort.names)
    sharing = together(book, person)
    document = None
    if person.standing.result is not None:
        document = hidden(document_of(book, person.standing.result), cohort.names, sharing)
    return {
        "person": person,
        "data": data,
        "document": document,
        "sections": _sections(document, data, exam, link) if document else [],
        "verdict": _verdict(person),
        "stale": _stale(book, data, document, lambda found: hidden(found, cohort.names, sharing)),
        "delta": _delta(book, document, _previous(data, person)),
        "history": events(book, own, cohort.names)[::-1],
        "reasons": reasons(book, cohort.names),
        "together": [cohort.by_id[each] for each in sharing if each != own and each in cohort.by_id],
        "next": cohort.after(person),
        "pairs": [
            (number, pair)
            for number, pair in enumerate(cohort.pairs.get("pairs", ()), 1)
            if own in (*pair["left"], *pair["right"])
        ],
        **_neighbours(cohort, person),
    }


def reasons(book: Gradebook, names: Names) -> list[dict[str, Any]]:
    """Reasons that were given before, as labels to use again: the most frequent first."""
    return [
        {"reason": names.text(row["reason"]), "times": row["times"]}
        for row in book.rows(
            "SELECT reason, count(*) AS times, max(id) AS newest FROM override"
            " GROUP BY reason ORDER BY times DESC, newest DESC LIMIT ?",
            MAX_REASONS,
        )
    ]


def hidden(document: dict[str, Any], names: Names, whose: Collection[int]) -> dict[str, Any]:
    """A result document without the names of those whose it is, if that is wanted."""
    if not names.anonymous:
        return document
    own = next(iter(whose), None)
    cleaned: dict[str, Any] = _each_text(document, lambda text: names.without(text, whose))
    cleaned["submission"] = {**cleaned["submission"], "name": names.of(own) if own is not None else "?"}
    return cleaned


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {change(name): _each_text(each, change) for name, each in value.items()}
        case list():
            return [_each_text(each, change) for each in value]
    return value


def together(book: Gradebook, person: Person) -> list[int]:
    """Everybody who handed in the work that counts, this candidate first."""
    rows = book.rows(
        "SELECT DISTINCT other.candidate FROM submission AS own JOIN submission AS other"
        " ON other.digest = own.digest WHERE own.id = ? AND own.digest <> ''",
        person.standing.submission,
    )
    own = person.standing.candidate
    return [own, *(row["candidate"] for row in rows if row["candidate"] != own)]


def _sections(
    document: dict[str, Any], data: dict[str, Any], exam: Exam | None, link: Link | None
) -> list[dict[str, Any]]:
    marks = {row["id"]: row for row in data["criteria"]}
    tasks = {row["id"]: row for row in data["tasks"]}
    overrides = {row["id"]: row for row in data["overrides"]}
    whole = {row["target"]: row for row in data["overrides"] if not row["withdrawn_at"]}
    sections = []
    for section in document["sections"]:
        shown = []
        for task in section["tasks"]:
            rows = [
                {
                    "row": row,
                    "mark": marks[row["id"]],
                    "override": overrides.get(marks[row["id"]]["override"] or 0),
                    "evidence": _evidence(document, row, exam, link),
                }
                for row in task["criteria"]
                if row["id"] in marks
            ]
            if task["id"] in tasks:
                shown.append(
                    {
                        "id": task["id"],
                        "title": task["title"],
                        "mark": tasks[task["id"]],
                        "override": whole.get(task["id"]),
                        "rows": rows,
                        "lost": any(each["row"]["status"] != "earned" or each["override"] for each in rows),
                    }
                )
        sections.append({**section, "tasks": shown})
    return sections


def _evidence(
    document: dict[str, Any], row: Mapping[str, Any], exam: Exam | None, link: Link | None
) -> Markup | None:
    if row["status"] == "earned" and not row["findings"]:
        return None
    return outcome(document, row["id"], exam=exam, link=link)


def _verdict(person: Person) -> str:
    row = person.standing
    if row.points is None:
        return "no mark"
    return {True: "passed", False: "not passed", None: "undecided"}[row.passed]


def _stale(
    book: Gradebook, data: dict[str, Any], document: dict[str, Any] | None, hide: Callable[[Any], Any]
) -> list[dict[str, Any]]:
    """Each stale override, with what it was based on and what is there now."""
    found = []
    now = _criteria(document)
    for override in data["overrides"]:
        if not override["stale"]:
            continue
        based = override["based_on"]
        was = _criteria(hide(document_of(book, based)) if based is not None else None)
        about = [name for name, (task, _) in {**was, **now}.items() if override["target"] in (name, task)]
        pairs = [(name, _short(was.get(name)), _short(now.get(name))) for name in about]
        changed = [
            {"id": name, "before": before, "now": after}
            for name, before, after in pairs
            if before != after or len(about) == 1
        ]
        found.append({"override": override, "changed": changed})
    return found


def _criteria(document: dict[str, Any] | None) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Criterion -> its task and row."""
    return {row["id"]: (task, row) for task, row in rows_of(document)} if document else {}


def _short(found: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    row = found[1]
    message = row["findings"][0]["message"] if row["findings"] else ""
    return {"status": row["status"], "points": row["earned"], "finding": message}


def _previous(data: dict[str, Any], person: Person) -> int | None:
    """The result before the one that counts: of an earlier grading, or an earlier submission."""
    own = person.standing.result
    earlier = [
        result["id"]
        for submission in data["submissions"]
        for result in submission["results"]
        if own is not None and result["id"] < own
    ]
    return max(earlier, default=None)


def _delta(book: Gradebook, document: dict[str, Any] | None, previous: int | None) -> dict[str, Any] | None:
    """What changed since an earlier result of the same candidate."""
    if document is None or previous is None:
        return None
    before, now = grade_of(document_of(book, previous)), grade_of(document)
    return {
        "result": previous,
        "before": before.score.earned,
        "now": now.score.earned,
        "changes": changes(before, now),
        "comparability": comparability(before, now),
    }


def _neighbours(cohort: Cohort, person: Person) -> dict[str, Any]:
    place = cohort.people.index(person)
    return {
        "before": cohort.people[place - 1] if place else None,
        "after": cohort.people[place + 1] if place + 1 < len(cohort.people) else None,
    }
