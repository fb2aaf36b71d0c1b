"""Cases graded: what agrees, what does not, and what a wrong rubric does to it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.corpus.cases import Case
from grader.corpus.verify import Verdict, Verification, built_in, only_read, verify
from grader.exam.bundled import ROOT, RUBRICS
from grader.exam.loader import load_exam
from grader.results import Status
from grader.session import STATIC, Options
from tests.test_cli import grader

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from grader.exam.model import Exam

MANIFEST = "k8s/deployment.yaml"


@pytest.fixture(scope="module")
def exam() -> Exam:
    return load_exam(RUBRICS, ALL)


def case(exam: Exam, old: str, new: str, loses: dict[str, float] | None = None, **fields: object) -> Case:
    edits = ({"file": MANIFEST, "replace": old, "by": new},)
    made = Case(name="x", kind="defect", base=exam.reference, edits=edits, loses=loses or {})
    return replace(made, **fields)  # type: ignore[arg-type]


def verified(exam: Exam, *cases: Case, **options: object) -> Verification:
    return verify(exam, cases, Options(isolation=STATIC), **options)  # type: ignore[arg-type]


def only(verification: Verification) -> Verdict:
    (verdict,) = verification.verdicts
    return verdict


def test_a_case_that_cannot_be_built_agrees_with_nothing(exam: Exam) -> None:
    verdict = only(verified(exam, case(exam, "no such text", "x", {"4.2.replicas": 1})))
    assert not verdict.agrees
    assert not verdict.undecided
    assert "occurs 0 times" in verdict.fault


def test_a_defect_that_keeps_its_points_is_told(exam: Exam) -> None:
    verdict = only(verified(exam, case(exam, "replicas: 3", "replicas: 0x3", {"4.2.replicas": 1})))
    assert (verdict.agrees, dict(verdict.lost), verdict.failed) == (False, {}, frozenset())


def test_a_variant_that_loses_is_told(exam: Exam) -> None:
    verdict = only(verified(exam, case(exam, "replicas: 3", "replicas: 2")))
    assert (verdict.agrees, dict(verdict.lost)) == (False, {"4.2.replicas": 1})
    assert verdict.findings["4.2.replicas"] != ""


def test_a_loss_has_to_be_exact(exam: Exam) -> None:
    verdict = only(verified(exam, case(exam, "cpu: 100m", "cpu: 200m", {"4.2.requests": 1})))
    assert (verdict.agrees, dict(verdict.lost)) == (False, {"4.2.requests": 0.5})


def test_what_it_must_lose_and_does_agrees(exam: Exam) -> None:
    verdict = only(verified(exam, case(exam, "replicas: 3", "replicas: 2", {"4.2.replicas": 1})))
    assert (verdict.agrees, verdict.tasks) == (True, ("4.2",))
    assert verdict.failed == {"4.2.replicas"}


def test_what_this_machine_cannot_decide_neither_agrees_nor_disagrees(exam: Exam) -> None:
    edit = {"file": "src/query_best.py", "append": "\n"}
    verdict = only(verified(exam, Case(name="x", kind="variant", base=exam.reference, edits=(edit,))))
    assert verdict.tasks == ("3.2",)
    unread = Case(
        name="y", kind="variant", base=exam.reference, edits=({"file": "src/api.py", "append": "\n"},)
    )
    verdict = only(verified(exam, unread))
    assert (verdict.agrees, verdict.undecided, verdict.tasks) == (False, True, ("4.1", "5.2"))
    assert set(verdict.open.values()) == {Status.UNVERIFIED}


def test_only_what_reads_an_edited_file_is_graded_unless_all_is_asked_for(exam: Exam) -> None:
    made = case(exam, "replicas: 3", "replicas: 2", {"4.2.replicas": 1}, tasks=("1.3",))
    assert only(verified(exam, made)).tasks == ("1.3", "4.2")
    assert only(verified(exam, made, full=True)).tasks == tuple(task.id for task in exam.tasks)


def test_cases_that_are_only_read_can_be_told_from_others(exam: Exam) -> None:
    read = case(exam, "replicas: 3", "replicas: 2", {"4.2.replicas": 1})
    runs = Case(name="y", kind="defect", base=exam.reference, edits=({"delete": "src/api.py"},))
    assert only_read((read, runs, replace(read, tasks=("4.1",))), exam) == (read,)


def test_a_person_is_graded_on_every_task(exam: Exam) -> None:
    person = case(exam, "replicas: 3", "replicas: 2", {"4.2.replicas": 1}, kind="person")
    assert only_read((person,), exam) == ()
    verdict = only(verified(exam, person))
    assert verdict.tasks == tuple(task.id for task in exam.tasks)
    assert dict(verdict.lost) == {"4.2.replicas": 1}


def test_nothing_handed_in_loses_everything(exam: Exam) -> None:
    cases = [case for case in built_in(exam) if case.everything]
    result = verified(exam, *cases)
    assert [verdict.agrees for verdict in result.verdicts] == [True, True]
    assert sum(result.verdicts[0].lost.values()) == 110


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def own_exam(tmp_path: Path) -> Path:
    """A copy of the bundled rubrics that may be edited, beside the same corpus."""
    shutil.copytree(RUBRICS, tmp_path / "rubrics")
    for name in ("fixtures", "reference_solution"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path / "rubrics"


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return grader("verify", *words)


def test_a_pattern_that_means_nothing_is_a_usage_error() -> None:
    ran = command("--only", "no-such-case")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no case matches 'no-such-case'" in ran.stderr


def test_a_broken_case_is_a_usage_error_with_its_line(own_exam: Path, tmp_path: Path) -> None:
    (tmp_path / "fixtures").unlink()
    shutil.copytree(ROOT / "fixtures/data", tmp_path / "fixtures/data")
    (tmp_path / "fixtures/defects/4.2").mkdir(parents=True)
    (tmp_path / "fixtures/defects/4.2/x.yaml").write_text("why: x\nedits: []\nloses: {4.2.replicas: 1}\n")
    exam = (own_exam / "exam.yaml").read_text()
    before, _, after = exam.partition("  variants: ../fixtures/variants\n")
    (own_exam / "exam.yaml").write_text(before + after[after.index("\nservices:") :])
    ran = command("--exam", str(own_exam), "--only", "4.2")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "defects/4.2/x.yaml:2: edits: " in ran.stderr
    assert "Traceback" not in ran.stderr


WRONG_RUBRICS = [
    ("4.2.yaml", "4.2.replicas", "replicas: 3", "replicas: 4"),
    ("4.2.yaml", "4.2.image", 'api:latest"}', 'app:latest"}'),
]


@pytest.mark.parametrize(("file", "criterion", "old", "new"), WRONG_RUBRICS)
def test_a_rubric_edited_to_be_wrong_is_named(
    own_exam: Path, file: str, criterion: str, old: str, new: str
) -> None:
    text = (own_exam / file).read_text()
    assert old in text
    (own_exam / file).write_text(text.replace(old, new))
    ran = command("--exam", str(own_exam), "--only", "*/4.2/*", "--format", "json")
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["agrees"]) == (1, False)
    wrong = {name for name, row in document["criteria"].items() if row["lost_wrongly"] or row["kept_wrongly"]}
    assert wrong == {criterion}


def test_the_corpus_of_a_task_that_is_only_read_agrees() -> None:
    ran = command("--only", "*/4.2/*")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "every one lost exactly what it must" in ran.stdout
