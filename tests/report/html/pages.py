"""Grades of every kind, and the page of each."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import html5lib

from grader.checks import ALL
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.formats import FORMATS, Settings
from grader.results import (
    CallRecord,
    Comparison,
    Evidence,
    Finding,
    Grade,
    PartResult,
    Place,
    SectionResult,
    Status,
    TaskResult,
)
from grader.score import criterion_result, total
from tests.report.grades import HOSTILE, a_grade

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from grader.exam.model import Exam

DANGERS = (
    HOSTILE,
    "</pre></style></title></details></main>--><script src=//evil.example/x.js></script>",
    "\"'><img src=x onerror=alert(1)><svg/onload=alert(1)>&lt;&#60;&amp;",
    "{{ 7 * 7 }}{% include 'x' %}{# x #}",
    "`</code><script>alert(1)</script>`",
    "javascript:alert(1) data:text/html,<script>alert(1)</script> http://evil.example/",
    "nul\x00 bell\x07 \x9b31m del\x7f",
    "\u202eesrever\u202c \u2066x\u2069 \u200bzero\u200d \ufeff \U000e0041tag \u2028line",
    "lone \ud800 surrogate, \ufffe and \uffff",
    "::error::x ##[error]x ::set-output name=a::b",
    "carriage\r\nreturns\rand\ttabs",
    "العربية עברית 漢字 e\u0301 👩‍🔬",
    "x" * 3000,
    "word " * 2000,
)
"""Texts of candidates who do not mean well, and of some who do."""


@cache
def bundled_exam() -> Exam:
    return load_exam(RUBRICS, ALL)


def page(grade: Grade, settings: Settings | None = None) -> str:
    stream = io.StringIO()
    FORMATS["html"].write(grade, stream, settings or Settings())
    return stream.getvalue()


def parsed(text: str) -> Element:
    """The document as a browser has it; a text that is no valid HTML is refused."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    document: Element = parser.parse(text)
    return document


INLINE = {"a", "b", "code", "span", "strong"}


def text_of(element: Element) -> str:
    """Its text, as read aloud: what begins on a new line, or in a new cell, is a word of its own."""
    return " ".join("".join(_texts(element)).split())


def _texts(element: Element) -> Iterator[str]:
    apart = "" if element.tag in INLINE else " "
    yield apart + (element.text or "")
    for child in element:
        yield from _texts(child) if isinstance(child.tag, str) else ()
        yield child.tail or ""
    yield apart


def every_status(status: Status, *texts: str, parts: bool = False) -> Grade:
    """The bundled exam, each criterion with one status, and findings in which the texts are everywhere."""
    exam = bundled_exam()
    told = texts or ("no",)
    sections = []
    places: dict[str, tuple[Place, ...]] = {}
    number = 0
    for section in exam.sections:
        tasks = []
        for task in section.tasks:
            rows = []
            for criterion in task.criteria:
                number += 1
                text = told[number % len(told)]
                where = f"src/{number}.py:2"
                lines = (f"line {number}", text.replace("\n", " ")[:300], "x = 1")
                places[where] = (Place(path=f"src/{text[:30]}{number}.py", line=2, first=1, lines=lines),)
                finding = Finding(
                    message=f"wrong {number} {text}", expected=text, actual=text, where=where, detail=text
                )
                results = tuple(
                    PartResult(
                        id=part.id,
                        title=part.title,
                        points=part.points,
                        status=status,
                        findings=() if status is Status.EARNED else (finding,),
                        evidence=Evidence.RUNS,
                    )
                    for part in criterion.parts
                )
                rows.append(criterion_result(criterion, results))
            files = {each.id: "" if status is Status.LOST else told[0] for each in task.deliverables}
            tasks.append(TaskResult(id=task.id, title=task.title, criteria=tuple(rows), files=files))
        sections.append(
            SectionResult(id=section.id, title=section.title, bonus=section.bonus, tasks=tuple(tasks))
        )
    return replace(
        a_grade(),
        sections=tuple(sections),
        score=total(sections, pass_mark=exam.pass_mark),
        places=places,
        criteria_of_exam=number,
        submission={"name": told[0], "digest": told[-1]},
        remarks=tuple(Finding(message=text, where=text, detail=text) for text in told),
        calls={
            name: CallRecord(path=text, command=text, origin=text, variables=(text,), trials=(text, text))
            for name, text in zip(("train", "other"), (told[0], told[-1]), strict=True)
        },
        comparisons=tuple(
            Comparison(
                task="1.1",
                deliverable=text[:20],
                path=text,
                text=f"a\n{text}\nb\n",
                reference_path=text,
                reference_text=f"a\n{text[::-1]}\nc\n",
            )
            for text in told
        ),
    )


def attributes(document: Element) -> list[tuple[str, str, str]]:
    """Element, attribute and value, of all."""
    return [
        (str(element.tag), str(name), value)
        for element in document.iter()
        if isinstance(element.tag, str)
        for name, value in element.attrib.items()
    ]


def graded(*rows: Any, grade: Grade | None = None) -> Grade:
    """A grade of one section of one task."""
    task = TaskResult(id="1.1", title="Task", criteria=tuple(rows))
    sections = (SectionResult(id="1", title="First", bonus=False, tasks=(task,)),)
    return replace(
        grade or a_grade(), sections=sections, score=total(sections, pass_mark=1), calls={}, places={}
    )
