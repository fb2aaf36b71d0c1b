"""What a step of a workflow says of a grade: annotations, its summary, its outputs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.github.markdown import written
from grader.report.safe import points

if TYPE_CHECKING:
    from grader.results import Grade

_COMMAND = re.compile(r"::(?P<level>error|warning|notice)(?: (?P<properties>[^:]*))?::(?P<message>.*)")


def annotate(grade: Grade, *, folder: str) -> list[str]:
    """Workflow commands that GitHub shows at the lines of files; no line is anything else.

    Args:
        folder: the submission's path in the repository, below which the grade's paths are.
    """
    commands = filter(None, map(_COMMAND.fullmatch, written("github", grade).split("\n")))
    return [_moved(command, folder) for command in commands]


def outputs(grade: Grade) -> dict[str, str]:
    """What later steps may ask for: numbers and truth values alone, so that no text is among them."""
    score = grade.score
    return {
        "score": points(score.earned),
        "maximum": points(score.possible),
        "passed": "true" if score.passed else "false",
        "complete": "true" if score.complete else "false",
    }


def _moved(command: re.Match[str], folder: str) -> str:
    """The command with its file below the folder."""
    properties = (command["properties"] or "").split(",")
    if folder:
        prefix = f"file={_property(folder)}/"
        properties = [re.sub(r"^file=", lambda _: prefix, each) for each in properties]
    told = ",".join(properties)
    return f"::{command['level']}{' ' * bool(told)}{told}::{command['message']}"


def _property(text: str) -> str:
    """A value as a workflow command wants it."""
    for character, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        text = text.replace(character, escaped)
    return text
