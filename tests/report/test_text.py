from __future__ import annotations

import io
from dataclasses import replace

import pytest

from grader.errors import NothingRuns
from grader.report.formats import Settings
from grader.report.text import summary, write_text
from grader.results import Finding, Grade, SectionResult, Status
from tests.report.grades import a_grade, part, task


def written(*, verbose: bool = False, complete: bool = False) -> str:
    stream = io.StringIO()
    write_text(a_grade(complete=complete), stream, Settings(verbose=verbose))
    return stream.getvalue()


def test_a_pipe_gets_no_escapes_and_neither_does_a_terminal_from_a_candidate() -> None:
    assert "\x1b" not in written()


def test_markup_in_candidate_text_is_text() -> None:
    assert "[bold]x[/bold]" in written()


@pytest.mark.parametrize(
    "line",
    [
        "✘ 1.1.b  0 of 1  title of 1.1.b  (ran)",
        "    src/a.py:3: wrong",
        "      expected: x",
        "    hint: think of it",
        "◐ 1.1.c  1 of 2  title of 1.1.c  (ran)",
        "    ✘ part y (1)",
        "⊘ 1.1.d  0 of 1  not earned, because 1.1.b was lost",
        "? 1.1.e  0 of 1  not decided: no tool here",
        "! 1.1.f  0 of 1  title of 1.1.f  (error)",
        "  link: a link was refused",
        "incomplete: between 3 and 5 once 2 of 7 criteria, marked ? or !, are decided",
        "✔ earned  ◐ partial  ✘ lost  ⊘ blocked  ? unverified  ! error",
        "  1.1  Task 1.1       2   7  ✔ ✘b ◐c ⊘d ?e !f",
        "sub�mission · An exam · seed 3 · isolation bubblewrap · environment from its own lock file",
    ],
)
def test_what_a_candidate_reads(line: str) -> None:
    assert line in "\n".join(row.rstrip() for row in written().splitlines())


def test_what_was_earned_is_only_told_when_asked() -> None:
    assert "✔ 1.1.a" not in written()
    assert "✔ 1.1.a" in written(verbose=True)


@pytest.mark.parametrize(
    ("complete", "text"),
    [
        (True, "3 / 6  PASS  (pass mark 3, bonus 1 of 1)  complete"),
        (
            False,
            """3 / 8  PASS  (pass mark 3, bonus 1 of 1)
incomplete: between 3 and 5 once 2 of 7 criteria, marked ? or !, are decided""",
        ),
    ],
)
def test_the_last_word(complete: bool, text: str) -> None:
    assert summary(a_grade(complete=complete)).plain == text


def test_one_cause_is_told_once() -> None:
    finding = Finding(message="not valid YAML", where="a.yml:3")
    lost = [(name, (part(Status.LOST, finding=finding),)) for name in ("2.1.a", "2.1.b", "2.1.c")]
    rows = task("2.1", *lost, ("2.1.d", (part(Status.LOST, finding=Finding(message="other")),)))
    section = SectionResult(id="2", title="Second", bonus=False, tasks=(rows,))
    stream = io.StringIO()
    write_text(replace(a_grade(), sections=(section,)), stream, Settings())
    text = stream.getvalue()
    assert text.count("a.yml:3: not valid YAML") == 1
    assert "✘ 2.1.b, 2.1.c  0 of 2  for the same reason as 2.1.a" in text
    assert "✘ 2.1.d  0 of 1  title of 2.1.d" in text


def shown(grade: Grade, *, verbose: bool = False) -> list[str]:
    stream = io.StringIO()
    write_text(grade, stream, Settings(verbose=verbose))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("earned", "highest", "mark", "verdict"),
    [(4, 9, 4, "PASS"), (4, 9, 9.5, "NOT PASSED"), (4, 9, 9, "UNDECIDED"), (4, 9, 4.01, "UNDECIDED")],
)
def test_a_verdict_is_told_where_it_is_certain(
    earned: float, highest: float, mark: float, verdict: str
) -> None:
    grade = a_grade()
    score = replace(
        grade.score,
        earned=earned,
        lowest=earned,
        highest=highest,
        pass_mark=mark,
        passed=earned >= mark,
    )
    assert summary(replace(grade, score=score)).plain.split("  ")[1] == verdict


def test_a_total_is_not_rounded() -> None:
    grade = a_grade(complete=True)
    assert summary(replace(grade, score=replace(grade.score, earned=88.85))).plain.startswith("88.85 / 6  ")


def test_marks_that_speak_for_themselves_have_no_legend() -> None:
    rows = task("2.1", ("2.1.a", (part(Status.EARNED),)), ("2.1.b", (part(Status.LOST),)))
    section = SectionResult(id="2", title="Second", bonus=False, tasks=(rows,))
    assert [line for line in shown(replace(a_grade(), sections=(section,))) if "earned" in line] == []


def test_part_of_an_exam_says_how_much_of_it() -> None:
    assert "7 of 80 criteria" in shown(replace(a_grade(), criteria_of_exam=80))[0]
    assert " criteria" not in shown(replace(a_grade(), criteria_of_exam=7))[0]


def test_the_usual_seed_is_not_told() -> None:
    assert shown(replace(a_grade(), seed=0))[0] == (
        "sub�mission · An exam · isolation bubblewrap · environment from its own lock file"
    )


def test_which_file_was_taken_is_told_when_asked() -> None:
    rows = replace(
        task("2.1", ("2.1.a", (part(Status.EARNED),))), files={"query": "src/q.py", "register": ""}
    )
    section = SectionResult(id="2", title="Second", bonus=False, tasks=(rows,))
    grade = replace(a_grade(), sections=(section,))
    told = ["  query: src/q.py", "  register: not found"]
    assert [line for line in shown(grade, verbose=True) if line in told] == told
    assert [line for line in shown(grade) if line in told] == []


def test_what_static_did_not_run_is_told_once() -> None:
    why = Finding(message=str(NothingRuns()))
    follows = replace(part(Status.UNVERIFIED), blocked_by="2.1.a", findings=(Finding(message="it depends"),))
    rows = [
        task(
            number,
            (f"{number}.a", (part(Status.UNVERIFIED, finding=why),)),
            (f"{number}.b", (follows,)),
            (f"{number}.c", (part(Status.EARNED, "x"), part(Status.UNVERIFIED, "y", why))),
            (f"{number}.d", (part(Status.UNVERIFIED, finding=Finding(message="no git here")),)),
            (f"{number}.e", (part(Status.LOST, "x", why), part(Status.UNVERIFIED, "y", why))),
        )
        for number in ("2.1", "2.2")
    ]
    section = SectionResult(id="2", title="Second", bonus=False, tasks=tuple(rows))
    text = shown(replace(a_grade(), isolation="static", sections=(section,)))
    assert "An exam · seed 3 · static: nothing was run" in text[0]
    told = "? not run: 6 criteria with 6 points that only running the submission can decide (-v lists them)"
    assert [line for line in text if line.startswith("? not run")] == [told]
    listed = {line.split()[1] for line in text if line[:4] in ("? 2.", "? 1.")}
    assert listed == {"2.1.d", "2.1.e", "2.2.d", "2.2.e"}
