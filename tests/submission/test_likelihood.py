from __future__ import annotations

from typing import TYPE_CHECKING

from grader.submission.likelihood import by_likelihood
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path


def test_what_may_be_meant_comes_first(tmp_path: Path) -> None:
    expected = [
        "README.md",
        "Makefile",
        "setup.sh",
        ".github/scripts/release.sh",
        "deploy/k8s/notes.yaml",
        "docs/dvc.md",
        "notes/2024/day1.md",
        ".cache/x.py",
        "mlruns/0/code.py",
        "mlruns/0/r1/artifacts/requirements.txt",
    ]
    submission = make_submission(tmp_path, dict.fromkeys(expected, ""))
    found = [str(file.path) for file in by_likelihood(submission.matching("*"))]
    assert sorted(found[:3]) == sorted(expected[:3])
    assert found[3:] == expected[3:]
