"""One criterion's outcome with all that it rests on."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.results import rows_of
from grader.report.html.code import MAX_LINE, difference_lines, highlighted
from grader.report.safe import clean
from grader.results import Comparison, Place
from grader.web.evidence.alerts import alert_plots
from grader.web.evidence.files import Files, Gone
from grader.web.evidence.pictures import picture
from grader.web.evidence.template import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from markupsafe import Markup

    from grader.exam.model import Criterion, Exam, Task

    Link = Callable[[str, int | None], str]

MAX_FINDINGS = 20
MAX_PARTS = 60
MAX_PICTURES = 4
MAX_PLACES = 4
"""Pieces of files for one finding."""
MAX_CALLS = 8
MAX_BYTES = 2**18
MAX_LINES = 400
"""Of a file beside the reference solution's."""
_REQUEST = re.compile(r"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) /")


def outcome(
    document: Mapping[str, Any],
    criterion: str,
    *,
    exam: Exam | None = None,
    link: Link | None = None,
) -> Markup:
    """What a result document says of one criterion: findings, places in files, requests, commands and series.

    Nothing but the document is read.

    Args:
        exam: it says which series an alert was tried on; without it none are drawn.
        link: where a page shows a file of the submission, by its path and line.

    Raises:
        KeyError: the document has no such criterion.
    """
    task, row = _row(document, criterion)
    findings = row["findings"]
    asked = _criterion(exam, criterion)
    parts = [part for part in row["parts"] if part.get("id") or len(row["parts"]) > 1]
    return render(
        "outcome",
        row=row,
        status=row["status"],
        parts=[{"title": "", **part} for part in parts[:MAX_PARTS]],
        findings=[_finding(each, document, link) for each in findings[:MAX_FINDINGS]],
        more=len(findings) - MAX_FINDINGS,
        calls=_calls(document, task) if row.get("evidence") == "runs" else [],
        plots=alert_plots(asked) if asked is not None else [],
        pictures=[_thumbnail(each) for each in row.get("thumbnails", ())[:MAX_PICTURES]],
    )


def _row(document: Mapping[str, Any], criterion: str) -> tuple[str, Mapping[str, Any]]:
    found = next(((task, row) for task, row in rows_of(document) if row["id"] == criterion), None)
    if found is None:
        raise KeyError(criterion)
    return found


def _finding(finding: Mapping[str, Any], document: Mapping[str, Any], link: Link | None) -> dict[str, Any]:
    whole = {"message": "", "expected": "", "actual": "", "where": "", "detail": "", **finding}
    places = [_place(each) for each in document.get("places", {}).get(whole["where"], ())[:MAX_PLACES]]
    return {
        "finding": whole,
        "kind": _kind(whole["where"], document),
        "places": places,
        "links": [link(each.path, each.line) if link is not None else "" for each in places],
    }


def _kind(where: str, document: Mapping[str, Any]) -> str:
    if _REQUEST.match(where):
        return "request"
    if any(where == call["command"] for call in document.get("calls", {}).values()) or " " in where:
        return "command"
    return "where"


def _thumbnail(thumbnail: Mapping[str, str]) -> Markup:
    """Drawn anew again: whoever wrote the document may have put anything there."""
    try:
        return picture(base64.b64decode(thumbnail["png"]), thumbnail["name"])
    except ValueError:
        return render("gone", reason="The picture cannot be shown: it is damaged.")


def _place(place: Mapping[str, Any]) -> Place:
    return Place(
        path=place["path"],
        line=place.get("line"),
        first=place.get("first") or 0,
        lines=tuple(place.get("lines", ())),
    )


def _calls(document: Mapping[str, Any], task: str) -> list[Mapping[str, Any]]:
    files: Mapping[str, Any] = next(
        (
            each.get("files", {})
            for section in document["sections"]
            for each in section["tasks"]
            if each["id"] == task
        ),
        {},
    )
    calls = document.get("calls", {})
    return [calls[name] for name in files if name in calls][:MAX_CALLS]


def _criterion(exam: Exam | None, name: str) -> Criterion | None:
    if exam is None:
        return None
    return next((each for task in exam.tasks for each in task.criteria if each.id == name), None)


# --- the reference solution -----------------------------------------------------------------------


def reference_lines(
    exam: Exam,
    criterion: str,
    document: Mapping[str, Any],
    files: Files | Gone,
    reference: Files | Gone,
    *,
    hide: Callable[[str], str] = lambda text: text,
) -> Markup:
    """The reference solution's files for a criterion, as a change of the candidate's where those are there.

    Args:
        files: the candidate's.
        reference: the reference solution's.
        hide: takes names out of a text of the candidate's, where they are not to be seen.
    """
    task = next((task for task in exam.tasks if any(each.id == criterion for each in task.criteria)), None)
    if task is None:
        return render("gone", reason="This exam has no such criterion any more.")
    if isinstance(reference, Gone):
        return render("gone", reason="This exam has no reference solution.")
    taken = _taken(document, task.id)
    pieces = [
        piece
        for name, path in _deliverables(task, criterion)
        if (piece := _piece(path, taken.get(name) or path, files, reference, hide)) is not None
    ]
    if not pieces:
        return render("gone", reason="The reference solution has no file of its own for this criterion.")
    return render("reference", pieces=pieces)


def _taken(document: Mapping[str, Any], task: str) -> Mapping[str, str | None]:
    for section in document["sections"]:
        for each in section["tasks"]:
            if each["id"] == task:
                found: Mapping[str, str | None] = each.get("files", {})
                return found
    return {}


def _deliverables(task: Task, criterion: str) -> Iterable[tuple[str, str]]:
    """Those that the criterion's checks read; all of the task where its rubric ties it to none."""
    wanted = next(each.files for each in task.criteria if each.id == criterion)
    for each in task.deliverables:
        if each.path and (not wanted or each.id in wanted):
            yield each.id, each.path


def _piece(
    path: str, own: str, files: Files | Gone, reference: Files | Gone, hide: Callable[[str], str]
) -> dict[str, Any] | None:
    theirs = _text(reference, path)
    if theirs is None:
        return None
    text = _text(files, own)
    if text is not None:
        comparison = Comparison(
            task="", deliverable="", path=own, text=hide(text), reference_path=path, reference_text=theirs
        )
        rows, more = difference_lines(comparison)
        return {"path": path, "own": own, "difference": True, "rows": rows, "more": more}
    lines = theirs.split("\n")
    shown = [clean(line.expandtabs(4)[:MAX_LINE]) for line in lines[:MAX_LINES]]
    marked = list(enumerate(highlighted(path, shown), start=1))
    return {"path": path, "own": own, "difference": False, "rows": marked, "more": len(lines) - MAX_LINES}


def _text(files: Files | Gone, path: str) -> str | None:
    content = files if isinstance(files, Gone) else files.read(path, MAX_BYTES)
    if isinstance(content, Gone):
        return None
    return "\n".join(content.decode("utf-8", "replace").splitlines()[:MAX_LINES])
