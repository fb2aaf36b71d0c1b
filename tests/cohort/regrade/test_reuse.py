"""What is graded again after a change, and what is taken over: exams and submissions that reading decides."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.executor.messages import Done
from grader.cohort.gradebook import open_gradebook
from grader.cohort.gradebook.queue import make_void, waiting
from grader.cohort.gradebook.results import REPLACED, unpacked, without_times
from grader.cohort.gradebook.sound import complaints
from grader.cohort.regrade.code import Source
from grader.cohort.regrade.fingerprints import difference, fingerprints, needed_tasks
from grader.errors import GraderFault, UsageError
from grader.report.document import document
from grader.session import STATIC, Options, score_submission
from tests.cohort.regrade.sitting import SOURCE, Sitting, change, write_exam, write_submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sitting(tmp_path: Path) -> Iterator[Sitting]:
    write_submission(tmp_path / "all" / "ann", 3)
    write_submission(tmp_path / "all" / "bob", 2)
    exam = write_exam(tmp_path / "exam")
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        yield Sitting(book=book, exam_folder=exam, folder=tmp_path / "all")
        assert list(complaints(book)) == []


def results(sitting: Sitting) -> list[tuple[Any, ...]]:
    """Whose, points, reused, whether it is void, of each result in order."""
    return [
        (row["key"], row["score"] / 20, json.loads(row["reused"]), row["void"])
        for row in sitting.book.rows(
            "SELECT candidate.key, result.score, result.reused, result.void FROM result"
            " JOIN job ON job.id = result.job JOIN submission ON submission.digest = job.submission"
            " JOIN candidate ON candidate.id = submission.candidate ORDER BY result.id"
        )
    ]


def marks(sitting: Sitting) -> dict[str, float]:
    return {
        row["key"]: row["points"] / 20
        for row in sitting.book.rows(
            "SELECT key, points FROM mark JOIN candidate ON candidate.id = mark.candidate"
        )
    }


def newest(sitting: Sitting, key: str) -> dict[str, Any]:
    """The document of somebody's result that counts."""
    return unpacked(
        sitting.book.rows(
            "SELECT document FROM chosen JOIN result ON result.id = chosen.result"
            " JOIN candidate ON candidate.id = chosen.candidate WHERE key = ?",
            key,
        )[0]["document"]
    )


def alone(sitting: Sitting, name: str) -> Any:
    """The document of a grade of its own."""
    grade = score_submission(str(sitting.folder / name), Options(isolation=STATIC), exam=sitting.exam)
    return without_times(document(grade))


def threshold(sitting: Sitting, replicas: int = 2) -> None:
    path = sitting.exam_folder / "1.1.yaml"
    now = path.read_text().partition("replicas: ")[2][0]
    change(path, f"replicas: {now}", f"replicas: {replicas}")


WHOLE = {"ann": (), "bob": ()}
NOTHING: dict[str, tuple[str, ...]] = {}


def test_what_did_not_change_is_not_graded_again(sitting: Sitting) -> None:
    assert sitting.batch() == WHOLE
    assert sitting.batch() == NOTHING
    assert results(sitting) == [("ann", 4.0, {}, ""), ("bob", 2.0, {}, "")]
    assert sitting.regrade.announced() == []


def test_a_threshold_concerns_its_task_alone(sitting: Sitting) -> None:
    sitting.batch()
    threshold(sitting)
    assert sitting.batch() == {"ann": ("1.1",), "bob": ("1.1",)}
    assert sitting.regrade.announced() == ["1.1 again for 2 submissions: its rubric changed"]
    assert results(sitting)[2:] == [("ann", 3.0, {"1.2": 1}, ""), ("bob", 3.0, {"1.2": 2}, "")]
    assert marks(sitting) == {"ann": 3.0, "bob": 3.0}
    for name in ("ann", "bob"):
        assert without_times(newest(sitting, name)) == alone(sitting, name)


def test_words_need_no_grading(sitting: Sitting) -> None:
    sitting.batch()
    change(sitting.exam_folder / "1.1.yaml", "Set the number of pods.", "Count the pods.")
    change(sitting.exam_folder / "1.1.yaml", "Three replicas", "Enough replicas")
    assert sitting.batch() == NOTHING
    assert sitting.regrade.announced() == [
        "nothing again for 2 submissions: earlier results answer every task"
    ]
    assert results(sitting)[2:] == [
        ("ann", 4.0, {"1.1": 1, "1.2": 1}, ""),
        ("bob", 2.0, {"1.1": 2, "1.2": 2}, ""),
    ]
    assert without_times(newest(sitting, "bob")) == alone(sitting, "bob")


def test_a_change_that_is_taken_back_counts_again(sitting: Sitting) -> None:
    """Also in exactly the former key, whose result is older than the one that counts."""
    sitting.batch()
    threshold(sitting)
    sitting.batch()
    threshold(sitting, 3)
    assert sitting.batch() == NOTHING
    assert marks(sitting) == {"ann": 4.0, "bob": 2.0}
    assert results(sitting)[0] == ("ann", 4.0, {}, REPLACED)
    assert results(sitting)[4:] == [
        ("ann", 4.0, {"1.1": 1, "1.2": 3}, ""),
        ("bob", 2.0, {"1.1": 2, "1.2": 4}, ""),
    ]
    assert sitting.batch() == NOTHING
    assert len(results(sitting)) == 6


def test_a_task_more_is_graded_for_all(sitting: Sitting) -> None:
    path = sitting.exam_folder / "exam.yaml"
    change(path, ', {id: "1.2", points: 2}]', "]")
    change(path, "points: 4", "points: 2")
    task = (sitting.exam_folder / "1.2.yaml").rename(sitting.folder.parent / "1.2.yaml")
    sitting.batch()
    task.rename(sitting.exam_folder / "1.2.yaml")
    change(path, '{id: "1.1", points: 2}]', '{id: "1.1", points: 2}, {id: "1.2", points: 2}]')
    change(path, "points: 2\npass", "points: 4\npass")
    assert set(sitting.batch()) == {"ann", "bob"}
    assert without_times(newest(sitting, "ann")) == alone(sitting, "ann")


def test_code_that_changed_under_one_version_is_not_taken_for_done(sitting: Sitting) -> None:
    sitting.batch()
    before = sitting.prints
    source = Source()
    changed = replace(SOURCE.module("grader.checks.kubernetes.checks"), digest="another")
    source._modules["grader.checks.kubernetes.checks"] = changed
    assert sitting.batch(source=source) == WHOLE
    assert sitting.prints.grader.partition("+")[0] == before.grader.partition("+")[0]
    assert sitting.regrade.announced() == ["every task again for 2 submissions: the grader's checks changed"]


def test_another_work_of_somebody_is_another_row(sitting: Sitting) -> None:
    sitting.batch()
    write_submission(sitting.folder / "bob@second", 3)
    assert sitting.batch() == NOTHING  # it is equal to what ann handed in
    assert marks(sitting) == {"ann": 4.0, "bob": 4.0}


def test_which_one_counts_is_kept(sitting: Sitting) -> None:
    write_submission(sitting.folder / "ann@second", 1)
    sitting.batch()
    assert marks(sitting)["ann"] == 2.0
    sitting.batch(which="best")
    assert marks(sitting)["ann"] == 4.0
    sitting.batch()
    assert marks(sitting)["ann"] == 4.0
    sitting.batch(which="second")
    assert marks(sitting)["ann"] == 2.0
    sitting.batch(which="latest")
    assert marks(sitting)["ann"] == 2.0
    assert [row["value"] for row in sitting.book.rows("SELECT value FROM setting WHERE name = 'tag'")] == []


def test_a_tag_that_nobody_has_is_refused(sitting: Sitting) -> None:
    with pytest.raises(UsageError) as error:
        sitting.batch(which="frist")
    said = "--which frist: neither latest nor best, nor a submission's tag (no submission has one)"
    assert str(error.value) == said
    assert sitting.book.rows("SELECT * FROM candidate") == []


# --- what was left undecided ------------------------------------------------------------------------


def undecided(status: str) -> Any:
    """Leaves a criterion open."""

    def leave_open(found: dict[str, Any]) -> None:
        for section in found["sections"]:
            for task in section["tasks"]:
                for row in task["criteria"]:
                    if row["id"] == "1.2.image":
                        row.update(status=status, earned=0.0)
        found["score"].update(complete=False, earned=found["score"]["earned"] - 1)
        found["score"]["lowest"] = found["score"]["earned"]

    return leave_open


def test_what_the_grader_failed_at_is_tried_again(sitting: Sitting) -> None:
    sitting.batch(change=undecided("error"))
    assert sitting.batch() == {"ann": ("1.2",), "bob": ("1.2",)}
    assert results(sitting) == [
        ("ann", 3.0, {}, REPLACED),
        ("bob", 1.0, {}, REPLACED),
        ("ann", 4.0, {"1.1": 1}, ""),
        ("bob", 2.0, {"1.1": 2}, ""),
    ]
    assert without_times(newest(sitting, "ann")) == alone(sitting, "ann")


def test_until_it_was_the_former_result_counts(sitting: Sitting) -> None:
    sitting.batch(change=undecided("error"))
    sitting.batch(grade=False)
    assert marks(sitting) == {"ann": 3.0, "bob": 1.0}
    assert sitting.batch() == {"ann": ("1.2",), "bob": ("1.2",)}


def test_what_needs_a_tool_is_tried_again_with_a_tool_more(sitting: Sitting) -> None:
    sitting.batch(change=undecided("unverified"))
    had = tuple(newest(sitting, "ann")["tools"])
    assert sitting.batch(tools=had) == NOTHING
    assert sitting.batch(tools=(*had, "a-new-one")) == {"ann": ("1.2",), "bob": ("1.2",)}


def test_or_when_it_is_asked_for(sitting: Sitting) -> None:
    sitting.batch(change=undecided("unverified"))
    assert sitting.batch(again=True) == {"ann": ("1.2",), "bob": ("1.2",)}
    assert sitting.regrade.announced() == ["1.2 again for 2 submissions: it could not be decided before"]


def test_what_was_asked_for_and_is_not_any_more_is_done(sitting: Sitting) -> None:
    sitting.batch(change=undecided("unverified"))
    sitting.batch(again=True, grade=False)
    assert sitting.batch() == NOTHING
    assert {row["state"] for row in sitting.book.rows("SELECT state FROM job")} == {"done"}


@pytest.mark.parametrize(("runs", "tasks"), [(True, ()), (False, ("1.1",))])
def test_another_exam_tries_it_again_where_things_run(
    sitting: Sitting, *, runs: bool, tasks: tuple[str, ...]
) -> None:
    sitting.batch(change=undecided("unverified"))
    threshold(sitting)
    assert sitting.batch(runs=runs) == {"ann": tasks, "bob": tasks}


def test_what_is_void_is_not_taken_over(sitting: Sitting) -> None:
    sitting.batch()
    with sitting.book.transaction():
        make_void(sitting.book, 1, "a canary sang", who="me")
    threshold(sitting)
    assert sitting.batch() == {"ann": (), "bob": ("1.1",)}


# --- what must not happen ---------------------------------------------------------------------------


def test_a_dry_run_leaves_the_gradebook_as_it_is(sitting: Sitting) -> None:
    sitting.batch(change=undecided("error"))
    threshold(sitting)
    before = list(sitting.book.database.iterdump())
    sitting.batch(keep=False)
    assert list(sitting.book.database.iterdump()) == before
    assert sitting.regrade.announced() == [
        "1.1 again for 2 submissions: its rubric changed",
        "1.2 again for 2 submissions: it could not be decided before",
    ]


def test_an_exam_that_changes_meanwhile_is_noticed(sitting: Sitting) -> None:
    sitting.batch(grade=False)
    job = waiting(sitting.book, {1})[0]
    done = Done(document={"exam": {"digest": "another"}})
    with pytest.raises(GraderFault, match="the exam changed while submissions were graded"):
        sitting.regrade.complete(job, done)


# --- fingerprints -----------------------------------------------------------------------------------


def test_comments_and_layout_change_nothing(sitting: Sitting) -> None:
    before = fingerprints(sitting.exam, SOURCE)
    for path in sitting.exam_folder.iterdir():
        path.write_text(f"# why\n{path.read_text()}\n")
    assert fingerprints(sitting.exam, SOURCE) == before


def test_a_deliverable_concerns_everybody(sitting: Sitting) -> None:
    """What is found to be one is no other."""
    before = fingerprints(sitting.exam, SOURCE).tasks
    change(sitting.exam_folder / "1.1.yaml", "{path: api.yaml}", "{path: api.yaml, accept: [main.yaml]}")
    now = fingerprints(sitting.exam, SOURCE).tasks
    assert {task: difference(before[task], now[task]) for task in now} == {
        "1.1": ("deliverables",),
        "1.2": ("deliverables",),
    }


def test_the_key_knows_the_reference_solution(sitting: Sitting, tmp_path: Path) -> None:
    write_submission(tmp_path / "reference", 3)
    exam = replace(sitting.exam, reference=tmp_path / "reference")
    before = fingerprints(exam, SOURCE)
    (tmp_path / "reference" / "api.yaml").write_text("")
    now = fingerprints(exam, SOURCE)
    assert (now.tasks, now.grader, now.exam != before.exam) == (before.tasks, before.grader, True)


def test_a_task_has_those_in_its_fingerprint_that_it_needs(sitting: Sitting) -> None:
    exam = sitting.exam
    first, second = exam.tasks
    needy = replace(second, criteria=(replace(second.criteria[0], needs=("1.1.replicas",)),))
    section = replace(exam.sections[0], tasks=(first, needy))
    exam = replace(exam, sections=(section,))
    assert needed_tasks(exam) == {"1.1": frozenset(), "1.2": frozenset({"1.1"})}
    before = fingerprints(exam, SOURCE).tasks
    other = replace(first, criteria=(replace(first.criteria[0], points=2),))
    now = fingerprints(replace(exam, sections=(replace(section, tasks=(other, needy)),)), SOURCE).tasks
    assert difference(before["1.2"], now["1.2"]) == ("needs",)


def test_fingerprints_of_other_graders_can_be_compared() -> None:
    assert difference("rubric=1 code=2", "rubric=1 code=3 packages=4") == ("code", "packages")
    assert difference("rubric=1 lost=2", "rubric=1") == ("lost",)
    assert difference("rubric=1", "rubric=1") == ()
