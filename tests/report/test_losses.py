from __future__ import annotations

from dataclasses import replace

from grader.report.losses import losses, nearest_place, place_of, points_lost, points_open, task_files
from grader.results import Place
from tests.report.grades import a_grade


def test_the_dearest_loss_comes_first_and_what_is_open_after_what_is_lost() -> None:
    assert [(row.id, points_lost(row), points_open(row)) for row in losses(a_grade())] == [
        ("1.1.b", 1, 0),
        ("1.1.c", 1, 0),
        ("1.1.d", 1, 0),
        ("1.1.e", 0, 1),
        ("1.1.f", 0, 1),
    ]


def test_the_place_of_a_loss_is_a_line_before_a_file() -> None:
    grade = a_grade()
    row = losses(grade)[0]
    line = Place(path="b.py", line=2)
    both = replace(grade, places={"src/a.py:3": (Place(path="a.py"), line)})
    file = replace(grade, places={"src/a.py:3": (Place(path="a.py"),)})
    assert [place_of(row, each) for each in (both, file, replace(grade, places={}))] == [
        line,
        Place(path="a.py"),
        None,
    ]


def test_the_nearest_place_is_a_file_of_the_task_and_at_last_the_folder() -> None:
    grade = a_grade()
    row = losses(grade)[0]
    bare = replace(grade, places={})
    (first, *others) = grade.sections
    taken = replace(first.tasks[0], files={"missing": "", "train": "src/train.py"})
    filed = replace(bare, sections=(replace(first, tasks=(taken,)), *others))
    assert [nearest_place(row, each, task_files(each)) for each in (grade, filed, bare)] == [
        grade.places["src/a.py:3"][0],
        Place(path="src/train.py"),
        Place(path="."),
    ]
