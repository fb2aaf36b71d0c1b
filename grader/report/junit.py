"""A grade as test results in JUnit's form: a suite for each task, a test case for each criterion.

What is wrong in a submission is a failure; where the grader failed, that is an error; what is blocked or
undecided is skipped. The points are in each message and, for programs, among the properties of the suite, as
`ID.points` and `ID.earned`, beside `ID.place` where a file is known: the schema has no properties of a case.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, TextIO

from grader.report.console import speaks_unicode
from grader.report.losses import dearest_first, place_of, points_lost, points_open
from grader.report.reasons import headline, label, path_of, reasons, total
from grader.report.safe import exact, one_line
from grader.results import Status
from grader.score import add

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from grader.report.formats import Settings
    from grader.results import CriterionResult, Grade, TaskResult

OUTCOMES = {
    Status.PARTIAL: "failure",
    Status.LOST: "failure",
    Status.BLOCKED: "skipped",
    Status.UNVERIFIED: "skipped",
    Status.ERROR: "error",
}
"""Status -> the element that a test case has inside; its `type` is the status."""


def write_junit(grade: Grade, stream: TextIO, settings: Settings) -> None:  # noqa: ARG001  (as all writers)
    """Suites and their cases by points lost. Attributes that name a machine or a time of day are left out."""
    root = ET.Element("testsuites", name=one_line(f"{grade.exam['title']}: {total(grade)}"))
    root.attrib.update(_counts(grade.criteria))
    for task in sorted(grade.tasks, key=_dearness):
        root.append(_suite(task, grade))
    ET.indent(root)
    unicode = speaks_unicode(stream)
    text = ET.tostring(root, "unicode") if unicode else ET.tostring(root, "us-ascii").decode("ascii")
    stream.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')


def _dearness(task: TaskResult) -> tuple[float, float]:
    return -add(map(points_lost, task.criteria)), -add(map(points_open, task.criteria))


def _counts(rows: Iterable[CriterionResult]) -> dict[str, str]:
    found = [OUTCOMES.get(row.status, "") for row in rows]
    return {
        "tests": str(len(found)),
        "failures": str(found.count("failure")),
        "errors": str(found.count("error")),
    }


def _suite(task: TaskResult, grade: Grade) -> ET.Element:
    name = one_line(f"{task.id} {task.title}")
    suite = ET.Element("testsuite", {"name": name, **_counts(task.criteria)})
    suite.set("skipped", str(sum(OUTCOMES.get(row.status) == "skipped" for row in task.criteria)))
    suite.set("time", _seconds(add(round(row.seconds, 2) for row in task.criteria)))
    rows = dearest_first(task.criteria)
    properties = ET.SubElement(suite, "properties")
    for row in rows:
        for key, value in _properties(row, grade):
            ET.SubElement(properties, "property", name=one_line(f"{row.id}.{key}"), value=value)
    for row in rows:
        suite.append(_case(row, task))
    return suite


def _properties(row: CriterionResult, grade: Grade) -> Iterator[tuple[str, str]]:
    yield "points", exact(row.points)
    yield "earned", exact(row.earned)
    if row.status is not Status.EARNED and (place := place_of(row, grade)) is not None:
        yield "place", path_of(place) + (f":{place.line}" if place.line else "")


def _case(row: CriterionResult, task: TaskResult) -> ET.Element:
    # Not the task's id: readers take what is before a class's last dot for its package.
    case = ET.Element("testcase", name=label(row), classname=one_line(task.title), time=_seconds(row.seconds))
    if (outcome := OUTCOMES.get(row.status)) is not None:
        inside = ET.SubElement(case, outcome, type=row.status.value, message=headline(row))
        inside.text = reasons(row)
    return case


def _seconds(value: float) -> str:
    return f"{value:.2f}"  # as a grade's document has them
