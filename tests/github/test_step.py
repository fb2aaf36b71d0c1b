"""Annotations below a folder, and outputs."""

from __future__ import annotations

import pytest

from grader.github.step import annotate, outputs
from tests.action.runner import COMMANDS, Command, parse
from tests.report.grades import a_grade


def commands(folder: str) -> list[Command | None]:
    return [parse(line, COMMANDS) for line in annotate(a_grade(), folder=folder)]


@pytest.mark.parametrize("folder", ["answers/jane", "a,b:c%d/e=f"])
def test_files_are_below_the_folder_and_nothing_else_changes(folder: str) -> None:
    plain, moved = commands(""), commands(folder)
    expected = [
        Command(
            each.name,
            each.data,
            {
                name: f"{folder}/{value}" if name == "file" else value
                for name, value in each.properties.items()
            },
        )
        for each in plain
        if each is not None
    ]
    assert moved == expected
    assert any("file" in each.properties for each in expected)


def test_outputs_are_numbers_and_truth_values() -> None:
    assert outputs(a_grade()) == {"score": "3", "maximum": "8", "passed": "true", "complete": "false"}
