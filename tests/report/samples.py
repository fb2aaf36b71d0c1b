"""Grades of every kind that a report has to stand: whole exams, and texts that want to be obeyed."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import FormatChecker
from jsonschema.validators import validator_for

from grader.exam.bundled import REFERENCE_SOLUTION
from grader.report.formats import FORMATS, Settings
from grader.results import Finding, Grade, PartResult, Place, Status
from grader.score import add, criterion_result, total
from grader.session import STATIC, Options, score_submission
from tests.report.grades import a_grade

if TYPE_CHECKING:
    from collections.abc import Callable

    from grader.results import CriterionResult

SCHEMAS = Path(__file__).parents[1] / "resources" / "report_schemas"
ORDINARY = ("small", "reference", "empty", "all-lost", "undecided", "mixed")
"""Samples in which every text comes back as it is."""
HOSTILE = {
    "markup": "</failure></details>]]>-->*/<script>alert(1)</script><img src=x onerror=alert(1)>"
    "&lt;&#60;&bad; {{7*7}} ${{ x }}",
    "markdown": "# h\n\n* a\n- b\n1. c\n```\n~~~\n````\n| a | b |\n|---|---|\n[x](http://evil.example)"
    " ![y](http://evil.example) <http://evil.example> http://evil.example www.evil.example `` ` ``"
    " **b** _i_ @everyone #1 a@evil.example\n[r]: http://evil.example\n"
    "\n    code\n> quote\n***\n<details><summary>x</summary>\n\\",
    "fences": "a\n```\n<img src=x>\n````text\n@everyone\n```\n# h\n~~~\n```",
    "commands": "::error file=a,line=1::x\n::set-output name=score::110\r\n  ::stop-commands::t\n##[error]x"
    " ##vso[task.complete] %0A::add-mask::x %3A:: ::notice title=%25::, a=b,c: d",
    "control": "\x1b[31m\x1b]8;;http://x\x07 \x9b1m a\x00b \x7f \ud800 \udcff \ufffe \uffff \x0b \x0c \x85"
    " \u2028 \u2029 \t",
    "unseen": "\u202eevil\u202c \u2066x\u2069 a\u200bb\u200c\u200d\ufeff \u200f \U000e0041\U000e0042 \u061c"
    " e\u0301 \U0001f600 \U0001fffe",
    "formulas": '=HYPERLINK("http://evil.example";"x")\n+1\n-1\n@SUM(A1)\t=1\r=2 "," ; \'',
    "large": "x" * 2_000_000,
    "lines": "y\n" * 500_000,
    "empty": "",
    "blank": " \n ",
}
"""What a submission, or a document of a grade that somebody made, may have in any of its texts."""


def changed(grade: Grade, change: Callable[[CriterionResult, PartResult], PartResult]) -> Grade:
    """The grade with other parts; everything that is derived from them is derived again."""
    sections = tuple(
        replace(
            section,
            tasks=tuple(
                replace(task, criteria=tuple(_changed(row, change) for row in task.criteria))
                for task in section.tasks
            ),
        )
        for section in grade.sections
    )
    return replace(grade, sections=sections, score=total(sections, pass_mark=grade.score.pass_mark))


def _changed(
    row: CriterionResult, change: Callable[[CriterionResult, PartResult], PartResult]
) -> CriterionResult:
    from grader.exam.model import Criterion

    rubric = Criterion(id=row.id, title=row.title, points=row.points, hint=row.hint, parts=())
    return criterion_result(rubric, tuple(change(row, part) for part in row.parts))


@cache
def reference() -> Grade:
    """Of the reference solution, as it is where everything ran and was earned."""
    grade = score_submission(str(REFERENCE_SOLUTION), Options(isolation=STATIC))
    earned = changed(grade, lambda _, part: replace(part, status=Status.EARNED, findings=(), blocked_by=""))
    return replace(earned, isolation="bubblewrap")


@cache
def empty() -> Grade:
    """Of a folder with nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        return score_submission(folder, Options(isolation=STATIC))


def all_lost() -> Grade:
    """Everything lost at once, each for a reason of its own, at a line of its own."""

    def lost(row: CriterionResult, part: PartResult) -> PartResult:
        where = f"src/{row.id}.py:7"
        finding = Finding(
            message=f"{row.id} is wrong", expected="a", actual="b", where=where, detail="one\ntwo"
        )
        return replace(part, status=Status.LOST, findings=(finding,))

    grade = changed(reference(), lost)
    places = {
        f"src/{row.id}.py:7": (
            Place(path=f"src/{row.id}.py", line=7, first=6, lines=("before", "here", "after")),
        )
        for row in grade.criteria
    }
    return replace(grade, places=places)


def undecided() -> Grade:
    """Nothing that could be decided: half for want of a tool, half by our fault."""

    def opened(row: CriterionResult, part: PartResult) -> PartResult:
        status = Status.ERROR if len(row.id) % 2 else Status.UNVERIFIED
        return replace(part, status=status, findings=(Finding(message="no tool", detail="tail"),))

    return changed(reference(), opened)


def mixed() -> Grade:
    """Every status, at points of every size."""
    statuses = list(Status)

    def some(row: CriterionResult, part: PartResult) -> PartResult:
        status = statuses[(len(row.title) + len(part.id)) % len(statuses)]
        status = Status.LOST if status is Status.PARTIAL else status
        findings = (Finding(message=f"{status} {part.id}", where="Dockerfile:3"),)
        blocked_by = "1.1.project" if status is Status.BLOCKED else ""
        return replace(part, status=status, findings=findings, blocked_by=blocked_by)

    return replace(
        changed(reference(), some), places={"Dockerfile:3": (Place(path="Dockerfile", line=3, first=3),)}
    )


def hostile(text: str) -> Grade:
    """A text in every place where a text can be."""
    finding = Finding(message=text, expected=text, actual=text, where=text, detail=text)
    grade = changed(mixed(), lambda _, part: replace(part, title=text, findings=(finding, finding)))
    sections = tuple(
        replace(
            section,
            id=f"{section.id}{text}",
            title=text,
            tasks=tuple(
                replace(
                    task,
                    id=f"{task.id}{text}",
                    title=text,
                    files={text: text},
                    criteria=tuple(
                        replace(row, id=f"{row.id}{text}", title=text, hint=text, blocked_by=text)
                        for row in task.criteria
                    ),
                )
                for task in section.tasks
            ),
        )
        for section in grade.sections
    )
    return replace(
        grade,
        sections=sections,
        exam=dict.fromkeys(grade.exam, text),
        submission=dict.fromkeys(grade.submission, text),
        isolation=text,
        remarks=(finding,) * 30,
        places={text: (Place(path=text or "x", line=3, first=2, lines=(text, text)),)},
    )


def crowded() -> Grade:
    """An exam of more criteria than any reader has room for."""
    grade = a_grade()
    (first, *others) = grade.sections
    rows = tuple(
        replace(row, id=f"{row.id}{number}") for number in range(2000) for row in first.tasks[0].criteria
    )
    return replace(grade, sections=(replace(first, tasks=(replace(first.tasks[0], criteria=rows),)), *others))


SAMPLES: dict[str, Callable[[], Grade]] = {
    "small": a_grade,
    "reference": reference,
    "empty": empty,
    "all-lost": all_lost,
    "undecided": undecided,
    "mixed": mixed,
    "crowded": crowded,
    **{f"hostile-{name}": lambda text=text: hostile(text) for name, text in HOSTILE.items()},  # type: ignore[misc]
}


@cache
def sample(name: str) -> Grade:
    """The grade of that name."""
    return SAMPLES[name]()


@cache
def written(form: str, name: str) -> str:
    """A report of that grade as a file holds it."""
    stream = io.StringIO()
    FORMATS[form].write(sample(name), stream, Settings())
    return stream.getvalue()


def dearness(*rows: CriterionResult) -> tuple[float, float]:
    """By which reports are ordered: points lost, points open."""
    return add(row.points - row.highest for row in rows), add(row.highest - row.earned for row in rows)


def complaints(schema: str, document: Any) -> list[str]:
    """What a schema of `tests/resources/report_schemas` has against a document."""
    data = json.loads((SCHEMAS / schema).read_text())
    validator = validator_for(data)(data, format_checker=FormatChecker())
    return [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator.iter_errors(document)
    ]
