"""A grade as workflow commands: a step that prints them annotates the lines where points were lost.

A loss is an error, a part of one a warning, and what is undecided a notice. What is blocked has no annotation
of its own: its cause has. GitHub keeps the first ten of a step for each level and drops the rest in silence,
so the dearest come first, and the last notice counts those without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from grader.report.losses import losses, place_of
from grader.report.reasons import headline, label, left_out, path_of, reasons, total
from grader.report.safe import clean, one_line, points, safe
from grader.results import Status

if TYPE_CHECKING:
    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade

LEVELS = {
    Status.LOST: "error",
    Status.PARTIAL: "warning",
    Status.UNVERIFIED: "notice",
    Status.ERROR: "notice",
}
MAX_OF_A_LEVEL = 10
"""GitHub's limit for a step; of a job's 50 this leaves 20."""
OWN_NOTICES = 2
"""The total, and what is left out."""
MAX_MESSAGE = 2000
"""Characters."""


def write_github(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """A command a line: the total, the dearest losses, how many more there are."""
    stream.write(command("notice", total(grade), title=one_line(grade.exam["title"])))
    room = {"error": MAX_OF_A_LEVEL, "warning": MAX_OF_A_LEVEL, "notice": MAX_OF_A_LEVEL - OWN_NOTICES}
    without = []
    for row in losses(grade):
        level = LEVELS.get(row.status, "")
        if not room.get(level):
            without.append(row)
            continue
        room[level] -= 1
        stream.write(_annotation(level, row, grade))
    if without:
        stream.write(command("notice", left_out(without)))


def _annotation(level: str, row: CriterionResult, grade: Grade) -> str:
    place = place_of(row, grade)
    where = {"file": path_of(place)} if place is not None else {}
    if place is not None and place.line:
        where["line"] = str(place.line)
    message = safe(reasons(row), longest=MAX_MESSAGE).strip() or headline(row)
    title = f"{label(row)} ({points(row.earned)} of {points(row.points)}, {row.status.value})"
    return command(level, message, **where, title=one_line(title))


def command(name: str, message: str, **properties: str) -> str:
    """`::error file=a.py,line=3::it is wrong`, on a line of its own, as the runner takes it apart."""
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name}{' ' * bool(told)}{told}::{_data(clean(message))}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
