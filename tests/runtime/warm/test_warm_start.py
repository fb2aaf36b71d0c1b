"""Warm start saves time and changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.document import document
from grader.runtime.warm import VARIABLE, Warm, open_warm
from grader.session import Options, score_submission
from tests.runtime.sandbox.isolation import opened

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from grader.runtime.warm import Preload

TASKS = ("6.2",)
pytestmark = pytest.mark.slow


def grade_with(setting: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(VARIABLE, setting)
    exam = load_exam(RUBRICS, ALL)
    return without_times(document(score_submission(str(exam.reference), Options(tasks=TASKS), exam=exam)))


def without_times(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: without_times(value) for key, value in data.items() if key != "seconds"}
    return [without_times(value) for value in data] if isinstance(data, list) else data


def test_a_grade_is_the_same_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Warm] = []
    prepare = Warm.prepare

    def watch(warm: Warm, preload: Preload) -> None:
        started.append(warm)
        prepare(warm, preload)

    monkeypatch.setattr(Warm, "prepare", watch)
    warm = grade_with("1", monkeypatch)
    assert started
    started.clear()
    cold = grade_with("0", monkeypatch)
    assert not started
    assert cold == warm
    assert warm["score"]["earned"] == warm["score"]["possible"]


@pytest.mark.parametrize(("setting", "is_warm"), [(None, True), ("1", True), ("0", False)])
def test_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str | None, is_warm: bool
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if setting is not None:
        monkeypatch.setenv(VARIABLE, setting)
    with opened("bubblewrap", tmp_path / "scratch") as sandbox:
        assert (open_warm(sandbox, tmp_path / "arena") is not None) is is_warm


def test_other_isolations_have_none(tmp_path: Path) -> None:
    with opened("none", tmp_path / "scratch") as sandbox:
        assert open_warm(sandbox, tmp_path / "arena") is None
