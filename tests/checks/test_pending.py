from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from grader.bundled import RUBRICS
from grader.checks import ALL, pending
from grader.results import Verdict
from tests.builders import decide, make_context

NAMES = {check.name for check in pending.CHECKS}


@pytest.mark.parametrize("task", ["3.3", "5.2", "B1"])
def test_what_does_not_run_yet_is_left_open(tmp_path: Path, task: str) -> None:
    rubric = yaml.safe_load((RUBRICS / f"{task}.yaml").read_text(encoding="utf-8"))
    parts = [part for criterion in rubric["criteria"] for part in criterion.get("parts", [criterion])]
    for part in parts:
        if part["check"] in NAMES:
            outcome = decide(ALL[part["check"]], make_context(tmp_path, {}), **part["with"])
            assert outcome.verdict is Verdict.UNVERIFIED
            assert "yet" in outcome.findings[0].message
