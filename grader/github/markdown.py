"""The Markdown report as GitHub shows it: it stays under the tightest limit by itself."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from grader.report.formats import FORMATS, Settings

if TYPE_CHECKING:
    from grader.results import Grade

FEEDBACK = (
    "> **Feedback, not a mark.** Whoever can change this repository or its pull request can change the "
    "workflow that made this report.\n\n"
)
"""Above every report from a place that its candidate controls."""


def render(grade: Grade, previous: Grade | None, *, feedback: bool) -> str:
    """The report, with a word on what it is worth where its candidate could have forged it."""
    return f"{FEEDBACK if feedback else ''}{written('markdown', grade, previous)}"


def written(form: str, grade: Grade, previous: Grade | None = None) -> str:
    """A report in one of the forms of the table."""
    text = io.StringIO()
    FORMATS[form].write(grade, text, Settings(colour="never", previous=previous))
    return text.getvalue()
