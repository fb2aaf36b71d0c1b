"""Cases: what is refused, and what their edits do."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.corpus.cases import Case, build, chosen, load_cases
from grader.errors import RubricError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.exam.model import Corpus, Exam

if TYPE_CHECKING:
    from pathlib import Path

EDIT = "edits: [{file: a.txt, append: x}]"


@pytest.fixture
def exam(tmp_path: Path) -> Exam:
    for kind in ("defects", "variants", "submissions", "people"):
        (tmp_path / kind).mkdir()
    corpus = Corpus(
        defects=tmp_path / "defects",
        variants=tmp_path / "variants",
        submissions=tmp_path / "submissions",
        people=tmp_path / "people",
    )
    return replace(load_exam(RUBRICS, ALL), corpus=corpus)


def write(exam: Exam, name: str, text: str) -> None:
    assert exam.corpus.defects is not None
    path = exam.corpus.defects.parent / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


WRONG = {
    "loses: {4.2.replicas: 1}\nedits: []": [":1: 'why' is a required property", ":2: edits: "],
    f"why: x\n{EDIT}": [":1: loses: a defect must say what it loses, and a variant must lose nothing"],
    f"why: x\n{EDIT}\nloses: {{4.2.replica: 1}}": [
        ":3: loses.4.2.replica: unknown criterion '4.2.replica'; did you mean '4.2.replicas'?"
    ],
    f"why: x\n{EDIT}\nloses: {{4.2.replicas: 2}}": [":3: loses.4.2.replicas: it has only 1 points"],
    f"why: x\n{EDIT}\nloses: {{4.2.replicas: 1}}\ntasks: ['4.9']": [
        ":4: tasks[0]: unknown task '4.9'; did you mean '4.2'?"
    ],
    f"why: x\n{EDIT}\nloses: {{4.2.replicas: 1}}\nbase: nobody": [
        ":4: base: there is no whole submission nobody"
    ],
    "why: x\nedits: [{delete: ../../etc}]\nloses: {4.2.replicas: 1}": [
        ":2: edits[0].delete: the path leaves the submission"
    ],
    "why: x\nwhy: y\n" + EDIT: [":2: duplicate key 'why'"],
    "why: [": [":2: not valid YAML"],
    "": [": expected one YAML document, found 0"],
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said_with_its_line(exam: Exam, text: str) -> None:
    write(exam, "defects/4.2/x", text)
    with pytest.raises(RubricError) as raised:
        load_cases(exam)
    found = str(raised.value).splitlines()
    assert len(found) == len(WRONG[text])
    assert exam.corpus.defects is not None
    for line, start in zip(found, WRONG[text], strict=True):
        assert line.startswith(f"{exam.corpus.defects}/4.2/x.yaml{start}")


def test_a_variant_may_not_lose_anything(exam: Exam) -> None:
    write(exam, "variants/4.2/x", f"why: x\n{EDIT}\nloses: {{4.2.replicas: 1}}")
    with pytest.raises(RubricError, match="a variant must lose nothing"):
        load_cases(exam)


def test_an_invalid_case_that_nobody_asked_for_is_no_obstacle(exam: Exam) -> None:
    write(exam, "defects/4.2/broken", "")
    write(exam, "defects/1.1/sound", f"why: x\n{EDIT}\nloses: {{1.1.lock: 1}}")
    assert [case.name for case in load_cases(exam, "1.1")] == ["defects/1.1/sound"]


def test_a_case_is_what_its_file_says(exam: Exam) -> None:
    write(
        exam,
        "defects/4.2/x",
        f"why: >\n  It is\n  wrong.\n{EDIT}\nloses: {{4.2.replicas: 1}}\ntasks: ['5.1']",
    )
    assert load_cases(exam) == (
        Case(
            name="defects/4.2/x",
            kind="defect",
            why="It is wrong.",
            file=f"{exam.corpus.defects}/4.2/x.yaml",
            base=exam.reference,
            edits=({"file": "a.txt", "append": "x"},),
            loses={"4.2.replicas": 1},
            tasks=("4.2", "5.1"),
        ),
    )


def test_whole_submissions_are_cases_too(exam: Exam) -> None:
    assert exam.corpus.submissions is not None
    (exam.corpus.submissions / "poetry").mkdir()
    (exam.corpus.submissions / "README.md").touch()
    whole = exam.corpus.submissions / "poetry"
    assert load_cases(exam) == (Case(name="submissions/poetry", kind="whole", base=whole, file=str(whole)),)


def write_person(exam: Exam, text: str) -> Path:
    assert exam.corpus.people is not None
    folder = exam.corpus.people / "beginner"
    (folder / "submission").mkdir(parents=True)
    (folder / "losses.yaml").write_text(text)
    return folder


def test_people_are_cases_with_losses(exam: Exam) -> None:
    assert exam.corpus.people is not None
    (exam.corpus.people / "README.md").touch()
    folder = write_person(
        exam,
        dedent(
            """\
            who: >
              A
              beginner.
            loses:
              4.2.replicas: {points: 1, why: two of them}
              1.1.lock: {points: 0.5, why: one line has no pin}
            oddities: [CRLF]
            total: 108.5
            """
        ),
    )
    person = Case(
        name="people/beginner",
        kind="person",
        why="A beginner.",
        file=f"{folder}/losses.yaml",
        base=folder / "submission",
        loses={"4.2.replicas": 1, "1.1.lock": 0.5},
    )
    assert load_cases(exam) == load_cases(exam, "people/beginner") == (person,)
    assert load_cases(exam, "4.2") == ()


REST = "who: x\noddities: [x]\n"
WRONG_PERSON = {
    "loses: {}\ntotal: 110": [
        ":1: 'oddities' is a required property",
        ":1: 'who' is a required property",
        ":1: loses: ",
    ],
    f"{REST}loses: {{4.2.replicas: 1}}\ntotal: 109": [":3: loses.4.2.replicas: "],
    f"{REST}loses: {{4.2.replicas: {{points: 1}}}}\ntotal: 109": [
        ":3: loses.4.2.replicas: 'why' is a required property"
    ],
    f"{REST}loses: {{4.2.replica: {{points: 1, why: x}}}}\ntotal: 109": [
        ":3: loses.4.2.replica: unknown criterion '4.2.replica'; did you mean '4.2.replicas'?"
    ],
    f"{REST}loses: {{4.2.replicas: {{points: 2, why: x}}}}\ntotal: 108": [
        ":3: loses.4.2.replicas: it has only 1 points"
    ],
    f"{REST}loses: {{4.2.replicas: {{points: 1, why: x}}}}\ntotal: 110": [
        ":4: total: what it loses leaves 109 points"
    ],
}


@pytest.mark.parametrize("text", WRONG_PERSON)
def test_what_is_wrong_with_a_person_is_said_with_its_line(exam: Exam, text: str) -> None:
    file = write_person(exam, text) / "losses.yaml"
    with pytest.raises(RubricError) as raised:
        load_cases(exam)
    found = str(raised.value).splitlines()
    assert len(found) == len(WRONG_PERSON[text])
    for line, start in zip(found, WRONG_PERSON[text], strict=True):
        assert line.startswith(f"{file}{start}")


def test_a_person_needs_a_submission_and_losses(exam: Exam) -> None:
    folder = write_person(exam, f"{REST}loses: {{4.2.replicas: {{points: 1, why: x}}}}\ntotal: 109")
    (folder / "submission").rmdir()
    with pytest.raises(RubricError, match="there is no folder submission beside it"):
        load_cases(exam)
    (folder / "losses.yaml").unlink()
    with pytest.raises(RubricError, match="cannot be read"):
        load_cases(exam)


@pytest.mark.parametrize(
    ("only", "meant"),
    [
        ("", True),
        ("4.2", True),
        ("two", True),
        ("defects/4.2/*", True),
        ("*replicas", True),
        ("4.21", False),
        ("5.1", False),
        ("variants", False),
    ],
)
def test_what_a_pattern_means(only: str, meant: bool) -> None:
    assert chosen("defects/4.2/two-replicas", only) is meant


def test_edits_are_made_in_order(tmp_path: Path) -> None:
    base = tmp_path / "base"
    (base / "old").mkdir(parents=True)
    (base / "a.txt").write_text("one two")
    (base / "old/b.txt").write_text("b")
    edits = (
        {"file": "a.txt", "replace": "two", "by": "three"},
        {"file": "a.txt", "append": "!"},
        {"file": "new/c.txt", "write": "c"},
        {"move": "old/b.txt", "to": "elsewhere/b.txt"},
        {"delete": "old"},
    )
    build(Case(name="x", kind="defect", base=base, edits=edits), tmp_path / "made")
    made = {
        path.relative_to(tmp_path / "made").as_posix(): path.read_text()
        for path in (tmp_path / "made").rglob("*")
        if path.is_file()
    }
    assert made == {"a.txt": "one three!", "new/c.txt": "c", "elsewhere/b.txt": "b"}
    assert not (tmp_path / "made/old").exists()
    assert (base / "a.txt").read_text() == "one two"


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        ({"file": "a.txt", "replace": "x", "by": "y"}, "'x' occurs 2 times in a.txt, not once"),
        ({"file": "a.txt", "replace": "z", "by": "y"}, "'z' occurs 0 times in a.txt, not once"),
        ({"file": "b.txt", "replace": "z", "by": "y"}, "No such file"),
        ({"delete": "b.txt"}, "No such file"),
        ({"move": "b.txt", "to": "c.txt"}, "No such file"),
    ],
)
def test_an_edit_that_does_not_fit_is_the_authors_fault(
    tmp_path: Path, edit: dict[str, str], why: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "a.txt").write_text("x x")
    with pytest.raises(RubricError, match=why):
        build(Case(name="x", kind="defect", file="x.yaml", base=base, edits=(edit,)), tmp_path / "made")


def test_the_bundled_corpus_can_be_built(tmp_path: Path) -> None:
    cases = load_cases(load_exam(RUBRICS, ALL))
    assert {case.kind for case in cases} >= {"defect", "variant", "whole", "person"}
    for number, case in enumerate(cases):
        if case.kind != "whole":
            build(case, tmp_path / str(number))
