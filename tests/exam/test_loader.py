"""Exams that can be used, and every way in which one cannot."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Literal

import pytest

from grader.check import Check, Deliverable, check, table
from grader.errors import RubricError, UsageError
from grader.exam.loader import examine, load_exam
from grader.results import Outcome, passed

if TYPE_CHECKING:
    from grader.context import Context

RESOURCES = Path(__file__).parents[1] / "resources"


@check("text.words")
def words(
    context: Context,
    *,
    file: Deliverable,
    words: tuple[str, ...],
    times: int = 1,
    case: Literal["same", "any"] = "same",
) -> Outcome:
    """A file has words."""
    return passed()


@check("nothing")
def nothing(context: Context) -> Outcome:
    """Always."""
    return passed()


CHECKS: dict[str, Check] = table((words, nothing))


@pytest.fixture(autouse=True)
def _resources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Complaints name files as the directory was given: relative here."""
    monkeypatch.chdir(RESOURCES)


def complaints(name: str) -> list[str]:
    examination = examine(Path(f"rubrics_{name}"), CHECKS)
    assert examination.exam is None
    return [str(complaint).removeprefix(f"rubrics_{name}/") for complaint in examination.complaints]


BROKEN = {
    "points_that_do_not_add_up": [
        "1.1.yaml:13: criteria[1].points: the parts add up to 2.5 points, not 2",
        "exam.yaml:4: points: the sections without bonus add up to 4 points, not 3",
        "exam.yaml:9: sections[0].tasks[0].points: the criteria of task 1.1 add up to 4 points, not 3",
    ],
    "unknown_check": [
        "1.1.yaml:10: criteria[0].check: unknown check 'text.word'; did you mean 'text.words'?",
    ],
    "unknown_parameter": [
        "1.1.yaml:11: criteria[0].with: text.words needs the parameter 'words'",
        "1.1.yaml:11: criteria[0].with.word: unknown parameter of text.words 'word'; did you mean 'words'?",
    ],
    "wrong_parameter_types": [
        "1.1.yaml:11: criteria[0].with.words[1]: expected a string, not 2",
        "1.1.yaml:24: criteria[1].parts[1].with.times: expected an integer, not '2'",
    ],
    "needs_in_a_circle": [
        (
            "1.1.yaml:10: criteria[0].needs[0]: needs form a cycle: "
            "1.1.there -> 1.1.twice/second -> 1.1.twice/first -> 1.1.there"
        ),
    ],
    "unknown_names": [
        "1.1.yaml:16: criteria[1].needs[0]: unknown criterion or part '1.1.their'; did you mean '1.1.there'?",
        "1.1.yaml:24: criteria[1].parts[1].with.file: unknown deliverable 'nots'; did you mean 'notes'?",
    ],
    "duplicate_key": ["1.1.yaml:9: duplicate key 'title'"],
    "missing_and_stray_file": [
        "1.3.yaml: no section of exam.yaml names this task",
        "exam.yaml:9: sections[0].tasks[1]: there is no rubric file 1.2.yaml",
    ],
    "no_hint": [
        "1.1.yaml:6: criteria[0]: 'hint' is a required property",
        "1.1.yaml:11: criteria[1]: 'points' is a required property",
        "1.1.yaml:12: criteria[1].pionts: unknown key 'pionts'; did you mean 'points'?",
    ],
    "broken_yaml": [
        "1.1.yaml:5: not valid YAML: while parsing a flow sequence did not find expected ',' or ']'"
    ],
    "two_of_a_name": [
        "1.1.yaml:12: criteria[1].id: duplicate criterion '1.1.there' (also in 1.1.yaml)",
        "1.1.yaml:18: criteria[1].parts[1].id: duplicate part 'first'",
    ],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_exam_is_refused_with_file_line_and_path(name: str) -> None:
    assert complaints(name) == BROKEN[name]


def test_every_broken_exam_is_listed() -> None:
    assert {f"rubrics_{name}" for name in (*BROKEN, "valid")} == {
        path.name for path in Path().glob("rubrics_*")
    }


def test_load_exam_raises_all_complaints() -> None:
    with pytest.raises(RubricError) as caught:
        load_exam(Path("rubrics_no_hint"), CHECKS)
    assert len(str(caught.value).splitlines()) == 3


def test_a_folder_without_an_exam_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no exam\.yaml") as caught:
        load_exam(tmp_path, CHECKS)
    assert not isinstance(caught.value, RubricError)


HOSTILE = [
    "",
    "- a\n",
    "null\n",
    "3\n",
    "1: x\n",
    "a: b\n---\nc: d\n",
    "criteria: {a: {1: 2}}\n",
    "criteria: [3]\n",
]


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("file", ["exam.yaml", "1.1.yaml"])
def test_a_file_of_any_shape_is_only_complained_of(file: str, content: str, tmp_path: Path) -> None:
    shutil.copytree("rubrics_valid", tmp_path / "exam")
    (tmp_path / "exam" / file).write_text(content)
    assert examine(tmp_path / "exam", CHECKS).errors


def test_a_file_that_is_no_text_is_complained_of(tmp_path: Path) -> None:
    shutil.copytree("rubrics_valid", tmp_path / "exam")
    (tmp_path / "exam" / "exam.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in str(examine(tmp_path / "exam", CHECKS).errors[0])


def test_exam_yaml_is_held_against_the_files_that_it_names(tmp_path: Path) -> None:
    shutil.copytree("rubrics_valid", tmp_path / "exam")
    with (tmp_path / "exam" / "exam.yaml").open("a") as file:
        file.write(
            dedent(
                """\
                  provides: {pandas: {requirement: "pandas >>= 2"}}
                data: {../x.csv: nowhere.csv}
                reference: nowhere
                """
            )
        )
    said = [complaint.path for complaint in examine(tmp_path / "exam", CHECKS).errors]
    assert sorted(set(said)) == [
        "data.../x.csv",
        "environment.fallback",
        "environment.provides.pandas.requirement",
        "reference",
    ]


def test_a_valid_exam_is_built_with_full_names() -> None:
    exam = load_exam(Path("rubrics_valid"), CHECKS)
    (task,) = exam.tasks
    there, twice = task.criteria
    assert (exam.points, exam.pass_mark, task.points) == (3, 2, 3)
    assert [part.id for part in there.parts] == [""]
    assert there.parts[0].parameters == {"file": "notes", "words": ("hello",), "times": 1, "case": "same"}
    assert twice.needs == ("1.1.there",)
    assert [part.needs for part in twice.parts] == [(), ("1.1.twice/first",)]
    assert exam.environment.fallback == Path("rubrics_valid") / "../lock.txt"


def test_the_digest_is_of_what_is_said(tmp_path: Path) -> None:
    before = load_exam(Path("rubrics_valid"), CHECKS).digest
    shutil.copytree("rubrics_valid", tmp_path / "exam")
    shutil.copy("lock.txt", tmp_path)
    rubric = tmp_path / "exam" / "1.1.yaml"
    rubric.write_text(f"# a remark\n{rubric.read_text()}")
    assert load_exam(tmp_path / "exam", CHECKS).digest == before
    rubric.write_text(rubric.read_text().replace("times: 2", "times: 3"))
    assert load_exam(tmp_path / "exam", CHECKS).digest != before
