from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from grader.commands.report import report_command
from grader.commands.score import score_command, tasks_with_losses
from grader.errors import UsageError
from grader.report.formats import FORMATS, Settings, write_file
from grader.session import STATIC, Options, score_submission
from tests.editing import reference_copy, replaced
from tests.report.samples import mixed

if TYPE_CHECKING:
    from pathlib import Path

    from grader.results import Grade

TASK = Options(tasks=("4.2",), isolation=STATIC)


def score(root: Path, options: Options = TASK, **more: object) -> int:
    settings = {"form": "text", "output": None, "quiet": True, "verbose": False, "timings": False, **more}
    return score_command(str(root), options, **settings)  # type: ignore[arg-type]


def test_one_grade_is_written_in_several_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = reference_copy(tmp_path)
    reports = [("json", tmp_path / "grade.json"), ("text", tmp_path / "grade.txt")]
    assert score(root, reports=reports) == 0
    assert json.loads((tmp_path / "grade.json").read_text())["score"]["earned"] == 8
    assert "8 / 8  PASS" in (tmp_path / "grade.txt").read_text()
    assert capsys.readouterr().out == "8 / 8  PASS  (pass mark 5.6)  complete\n"


def test_every_form_is_written_of_one_grading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = reference_copy(tmp_path / "work")
    replaced(root, "k8s/deployment.yaml", "replicas: 3", "replicas: 2")
    graded = []

    def count(*words: Any, **more: Any) -> Grade:
        graded.append(score_submission(*words, **more))
        return graded[-1]

    monkeypatch.setattr("grader.commands.score.score_submission", count)
    reports = [(name, tmp_path / f"grade.{name}") for name in FORMATS]
    assert score(root, reports=reports) == 0
    (grade,) = graded
    for name, path in reports:
        write_file(name, tmp_path / "alone", grade, Settings(colour="never"))
        assert path.read_bytes() == (tmp_path / "alone").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_a_form_is_the_same_of_a_grade_and_of_its_document(name: str, tmp_path: Path) -> None:
    grade = mixed()
    write_file("json", tmp_path / "grade.json", grade, Settings())
    write_file(name, tmp_path / "graded", grade, Settings(colour="never"))
    common = {"verbose": False, "strict": False, "colour": "never", "previous": None}
    report_command(tmp_path / "grade.json", form="", reports=[(name, tmp_path / "read")], **common)  # type: ignore[arg-type]
    assert (tmp_path / "read").read_bytes() == (tmp_path / "graded").read_bytes()


def test_nothing_is_graded_for_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write to .*missing"):
        score(tmp_path / "no-submission", reports=[("json", tmp_path / "missing/grade.json")])
    with pytest.raises(UsageError, match=r"cannot read .*previous\.json"):
        score(tmp_path / "no-submission", previous=tmp_path / "previous.json")


def test_a_grade_is_compared_with_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = reference_copy(tmp_path)
    before = tmp_path / "before.json"
    score(root, reports=[("json", before)])
    replaced(root, "k8s/deployment.yaml", "replicas: 3", "replicas: 2")
    after = tmp_path / "after.json"
    capsys.readouterr()
    score(root, previous=before, reports=[("json", after)], quiet=False)
    shown = capsys.readouterr().out
    assert "-1  4.2.replicas  earned → lost  Three replicas\n7 / 8 (-1)  PASS" in shown
    common = {"verbose": False, "strict": False, "colour": "never"}
    assert report_command(after, form="", reports=[], previous=before, **common) == 0  # type: ignore[arg-type]
    assert capsys.readouterr().out == shown
    assert tasks_with_losses(after) == ("4.2",)
    with pytest.raises(UsageError, match=r"nothing was lost in .*before\.json"):
        tasks_with_losses(before)


@pytest.mark.parametrize(
    ("tasks", "replicas", "code"),
    [(("4.2",), 2, 1), (("4.2",), 3, 0), (("3.1", "4.2"), 3, 0), (("3.1", "4.2"), 2, 1)],
    ids=["lost", "nothing lost", "open", "lost, and open"],
)
def test_any_loss_fails_where_that_is_asked(
    tmp_path: Path, tasks: tuple[str, ...], replicas: int, code: int
) -> None:
    root = reference_copy(tmp_path)
    manifest = root / "k8s" / "deployment.yaml"
    manifest.write_text(manifest.read_text().replace("replicas: 3", f"replicas: {replicas}"))
    options = Options(tasks=tasks, isolation=STATIC)
    assert score(root, options=options, fail_on_loss=True) == code
