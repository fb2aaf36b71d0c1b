from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.checks.project.recorded_commands import recorded
from grader.readers.shell import sources
from tests.builders import decide, make_context, make_submission

if TYPE_CHECKING:
    from pathlib import Path


def test_what_tools_left_there_is_read_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 2)
    files: dict[str, str | bytes] = {f"a/{n}.csv": "" for n in range(9)}
    files |= {f"mlruns/{n}/tags.txt": "dvc init" for n in range(9)}
    files |= {"zz/commands.sh": "dvc push\n", "Makefile": "a: ; dvc add data/train.csv\n"}
    submission = make_submission(tmp_path, files)
    assert [file.name for file, _ in sources.scripts(submission)] == ["Makefile", "zz/commands.sh"]
    assert [file.name for file in sources.candidates(submission)][:3] == [
        "Makefile",
        "zz/commands.sh",
        "mlruns/0/tags.txt",
    ]


def test_what_was_not_read_costs_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 1)
    context = make_context(tmp_path, {"a.sh": "dvc init\n", "b.sh": "dvc push\n"})
    outcomes = [decide(recorded, context, file="x", command=f"dvc {word}") for word in ("init", "push")]
    assert [outcome.verdict for outcome in outcomes] == ["passed", "unverified"]
    assert outcomes[1].findings[0].message == (
        "the command dvc push is not recorded in the files that were read: 1 of 2 were not"
    )
