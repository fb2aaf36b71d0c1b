from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from grader.commands.explain import explain_command
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bare_exam(tmp_path: Path) -> Path:
    """The bundled exam without reference solution and corpus, as candidates may have it."""
    root = RUBRICS.resolve().parent
    copy = tmp_path / "exam"
    shutil.copytree(RUBRICS, copy)
    data = yaml.safe_load((copy / "exam.yaml").read_text().replace("../", f"{root}/"))
    del data["reference"], data["corpus"]
    (copy / "exam.yaml").write_text(yaml.safe_dump(data))
    return copy


def test_a_criterion_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_command(["4.2.replicas"], None, solution=False) == 0
    told = capsys.readouterr().out
    for words in (
        "4.2.replicas  Three replicas  1 point",
        "static: The Deployment has this number of replicas.",
        "hint: Set the number of pods",
        "4.2.replicas: usual mistakes",
        "- Without a number Kubernetes keeps one pod.",
        "and 1 more",
    ):
        assert words in told
    assert "4.2.image" not in told
    assert "replicas: 3" not in told


def test_the_solution_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_command(["1.3"], None, solution=True) == 0
    told = capsys.readouterr().out
    assert "1.3  gitignore: .gitignore" in told
    assert "__pycache__/" in told


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean 4\.2\.replicas"):
        explain_command(["4.2.replcas"], None, solution=False)


def test_an_exam_without_corpus_and_reference(bare_exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain_command(["1.1"], bare_exam, solution=False) == 0
    assert "usual mistakes" not in capsys.readouterr().out
    with pytest.raises(UsageError, match="there is no solution to show"):
        explain_command(["1.1"], bare_exam, solution=True)
