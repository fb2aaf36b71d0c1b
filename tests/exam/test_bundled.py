"""The exam that comes with the grader."""

from __future__ import annotations

from grader.checks import ALL
from grader.exam import bundled
from grader.exam.lint import lint


def test_nothing_is_missing() -> None:
    assert (bundled.RUBRICS / "exam.yaml").is_file()
    assert (bundled.FIXTURES / "data" / "train.csv").is_file()
    assert (bundled.REFERENCE_SOLUTION / "src" / "train.py").is_file()
    assert (bundled.SCHEMAS / "exam.schema.json").is_file()


def test_there_is_nothing_to_complain_about() -> None:
    assert [str(complaint) for complaint in lint(bundled.RUBRICS, ALL)] == []
