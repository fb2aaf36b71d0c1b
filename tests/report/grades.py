"""A small grade in which every status occurs."""

from __future__ import annotations

from grader.exam.model import Criterion, Part
from grader.results import (
    CallRecord,
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

HOSTILE = "\x1b[31mred\x1b[0m <script>alert(1)</script> [bold]x[/bold]"


def part(status: Status, id_: str = "", finding: Finding | None = None, blocked_by: str = "") -> PartResult:
    return PartResult(
        id=id_,
        title=f"part {id_}",
        points=1,
        status=status,
        findings=(finding,) if finding else (),
        evidence=Evidence.RUNS,
        blocked_by=blocked_by,
        seconds=0.25,
    )


def task(id_: str, *rows: tuple[str, tuple[PartResult, ...]]) -> TaskResult:
    criteria = []
    for name, parts in rows:
        rubric = Criterion(
            id=name,
            title=f"title of {name}",
            points=len(parts),
            hint="think of it",
            parts=tuple(
                Part(id=each.id, title=each.title, points=1, check="", parameters={}) for each in parts
            ),
        )
        criteria.append(criterion_result(rubric, parts))
    return TaskResult(id=id_, title=f"Task {id_}", criteria=tuple(criteria))


def a_grade(*, complete: bool = False) -> Grade:
    lost = Finding(
        message=f"wrong {HOSTILE}", expected="x", actual=HOSTILE, where="src/a.py:3", detail="one\ntwo"
    )
    rows = [
        ("1.1.a", (part(Status.EARNED),)),
        ("1.1.b", (part(Status.LOST, finding=lost),)),
        ("1.1.c", (part(Status.EARNED, "x"), part(Status.LOST, "y", lost))),
        ("1.1.d", (part(Status.BLOCKED, blocked_by="1.1.b"),)),
    ]
    if not complete:
        rows += [
            ("1.1.e", (part(Status.UNVERIFIED, finding=Finding(message="no tool here")),)),
            ("1.1.f", (part(Status.ERROR, finding=Finding(message="the grader failed", detail="tail")),)),
        ]
    sections = (
        SectionResult(id="1", title="First", bonus=False, tasks=(task("1.1", *rows),)),
        SectionResult(
            id="B", title="Bonus", bonus=True, tasks=(task("B1", ("B1.a", (part(Status.EARNED),))),)
        ),
    )
    return Grade(
        exam={"id": "e", "title": "An exam", "version": "1", "digest": "d"},
        submission={"name": "sub\x1bmission", "digest": "s"},
        score=total(sections, pass_mark=3),
        sections=sections,
        environment={"source": "lock", "reason": "", "key": "k", "packages": {"six": "1.16.0"}},
        isolation="bubblewrap",
        seed=3,
        tools={"git": "2.39.5"},
        calls={"train": CallRecord(path="src/a.py", command="python src/a.py", origin="dvc.yaml:7")},
        places={
            "src/a.py:3": (
                Place(path="src/a.py", line=3, first=1, lines=("import os", "", HOSTILE, "", "", "x = 1")),
            )
        },
        criteria_of_exam=len(rows) + 1,
        remarks=(Finding(message="a link was refused", where="link"),),
        seconds=1.5,
    )
