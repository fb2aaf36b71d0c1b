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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> ```\n> $ dvc init\n> ```", [("dvc init", 2)]),
        ("> ```console\n> $ dvc add \\\n> > x\n> out\n> ```", [("dvc add \\\nx\n", 2)]),
        ("> > ```sh\n> > dvc init\n> > ```\nx", [("dvc init", 2), ("x", 4)]),
        ("- > ```sh\n  > dvc init\n  > ```\nx", [("dvc init", 2), ("x", 4)]),
        # What Markdown takes for another block that opens, and all that follows for code.
        (
            "1. a\n   ```sh\ndvc init\n   ```\nx\n```\ndvc push\n```",
            [("a", 1), ("dvc init", 3), ("x", 5), ("dvc push", 7)],
        ),
        ("- ```sh\n  dvc init\n```\nx", [("  dvc init", 2), ("x", 4)]),
        ("Run:\n    ```sh\n    dvc init\n```\nx", [("Run:", 1), ("    dvc init", 3), ("x", 5)]),
        (
            "<details>\n```sh\ndvc init\n\ndvc push\n```\nx",
            [("<details>", 1), ("dvc init\n\ndvc push", 3), ("x", 7)],
        ),
        ("<!-- a\n```sh\ndvc init\n```\nx", [("<!-- a", 1), ("dvc init", 3), ("x", 5)]),
    ],
)
def test_fences_wherever_they_stand(text: str, expected: list[tuple[str, int]]) -> None:
    assert list(sources.notes(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("> Run `dvc remote add -d\n> storage s3://x`.", [("dvc remote add -d storage s3://x", 1)]),
        ("So\n`a b`, ``c\n  d`` and\n`e`", [("So", 1), ("a b", 2), ("c d", 2), ("e", 4)]),
        ("Never run `dvc\npush`. Run `dvc pull`.", [("dvc pull", 2)]),
        ("A lone ` here, then\nrun `dvc init`", [("here, then run", 1), ("dvc init", 2)]),
        ("- run `dvc a\n- run `dvc b`", [("dvc b", 2)]),
        ("`a\n\nb`", []),
        ("Do not\nrun `a`.\n`b` works", [("b", 3)]),
    ],
)
def test_inline_code_over_lines(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(script, line) for script, line in sources.notes(text) if script] == expected


def test_as_much_inline_code_as_there_are_lines() -> None:
    assert len(list(sources.notes("`a`\n" * 20_000))) == 20_000
