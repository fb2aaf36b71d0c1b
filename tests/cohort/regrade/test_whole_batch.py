"""`grader batch` after a change, with real agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.cli import app
from grader.error_handler import exit_code_of
from tests.cohort.regrade.sitting import change, write_exam, write_submission

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_change_is_announced_graded_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exam = write_exam(tmp_path / "exam")
    for name, replicas in {"ann": 3, "bob": 2}.items():
        write_submission(tmp_path / "all" / name, replicas)

    def batch(*words: str) -> tuple[int, str, str]:
        given = ["batch", "all", "--exam", "exam", "--static", "--jobs", "1", "--quiet", *words]
        code = exit_code_of(lambda: app(given, standalone_mode=False))
        said = capsys.readouterr()
        return code, said.out, said.err

    assert batch()[0] == 0
    change(exam / "1.1.yaml", "replicas: 3", "replicas: 2")
    code, _, said = batch("--dry-run")
    assert (code, "1.1 again for 2 submissions: its rubric changed" in said) == (0, True)
    code, out, _ = batch()
    assert code == 0
    assert out[out.index("1 up") :].splitlines()[:3] == [
        "1 up, 1 down, of 2 candidates",
        "  1.1.replicas: 1 down, 1 up: its rubric changed",
        "  ann: 4 → 3 (-1)",
    ]
    assert batch("--which", "frist")[0] == 2
