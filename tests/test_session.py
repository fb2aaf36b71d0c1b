"""What is chosen of an exam, and what it takes to pass with it."""

from __future__ import annotations

import pytest

from grader.checks import ALL
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.session import pass_mark, select

EXAM = load_exam(RUBRICS, ALL)
SECTIONS = ("1", "2", "3", "4", "5", "6")


@pytest.mark.parametrize(
    ("tasks", "sections", "chosen", "mark"),
    [
        ((), (), None, 70),
        ((), SECTIONS, None, 70),
        ((), ("1,2", "3,4,5,6", "bonus"), None, 70),
        ((), ("bonus",), 10, 7),
        (("4.1",), ("bonus",), 22, 8.4),
        (("4.1,4.2",), (), 20, 14),
        (("4.2.replicas", "1.3"), (), 6, 4.2),
        (("4.2.replicas", "4.2"), (), 8, 5.6),
    ],
)
def test_the_bonus_is_never_due(
    tasks: tuple[str, ...], sections: tuple[str, ...], chosen: float | None, mark: float
) -> None:
    selection = select(EXAM, tasks, sections)
    if chosen is not None:
        rows = {row.id: row.points for task in EXAM.tasks for row in task.criteria}
        assert sum(rows[name] for name in selection.criteria) == chosen
    assert pass_mark(EXAM, selection, None) == mark
    assert pass_mark(EXAM, selection, 12.5) == 12.5


def test_what_a_criterion_needs_is_graded_and_not_reported() -> None:
    needy = next((task, row) for task in EXAM.tasks for row in task.criteria if set(row.needs) - {row.id})
    task, row = needy
    selection = select(EXAM, (row.id,), ())
    (graded,) = selection.graded
    assert selection.criteria == {row.id}
    assert {each.id for each in graded.criteria} == {row.id, *row.needs}
    assert graded.id == task.id


def test_all_is_the_exams_own_tasks() -> None:
    assert select(EXAM, (), ()).graded == tuple(EXAM.tasks)


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("4", "no task '4' in this exam; did you mean --section 4?"),
        ("4.", "no task '4.' in this exam; did you mean 4.1 or 4.2?"),
        ("4.2.re", "no task '4.2.re' in this exam; did you mean 4.2.replicas or 4.2.resources"),
        ("4.2.replica", "no task '4.2.replica' in this exam; did you mean 4.2.replicas?"),
        ("4.1.helth", "no task '4.1.helth' in this exam; did you mean 4.1.health?"),
        ("9", "no task '9' in this exam (it has 1.1, 1.2, "),
        ("", "no task '' in this exam (it has 1.1, 1.2, "),
    ],
)
def test_what_begins_alike_is_proposed(task: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(EXAM, (task,), ())
    assert str(caught.value).startswith(complaint[:60])
