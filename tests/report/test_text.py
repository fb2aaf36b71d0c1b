from __future__ import annotations

import io
from dataclasses import replace

import pytest

from grader.report.text import summary, write_text
from grader.results import Finding, SectionResult, Status
from tests.report.grades import a_grade, part, task


def written(*, verbose: bool = False, complete: bool = False) -> str:
    stream = io.StringIO()
    write_text(a_grade(complete=complete), stream, verbose=verbose)
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
        "incomplete: between 3 and 5 once the criteria marked ? and ! are decided",
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
        (True, "3.0 / 6  PASS  (pass mark 3, bonus 1 of 1)  complete"),
        (
            False,
            """3.0 / 8  PASS  (pass mark 3, bonus 1 of 1)
incomplete: between 3 and 5 once the criteria marked ? and ! are decided""",
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
    write_text(replace(a_grade(), sections=(section,)), stream)
    text = stream.getvalue()
    assert text.count("a.yml:3: not valid YAML") == 1
    assert "✘ 2.1.b, 2.1.c  0 of 2  for the same reason as 2.1.a" in text
    assert "✘ 2.1.d  0 of 1  title of 2.1.d" in text
