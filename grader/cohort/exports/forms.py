"""Everything that a gradebook can be exported as: one table, from which the command and the docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Form:
    """A row of the table."""

    name: str
    kind: Literal["round trip", "table", "files", "zip"]
    """A platform's file filled in, one text, a file for each candidate (a folder or a zip), or one zip."""
    summary: str


FORMS = {
    form.name: form
    for form in (
        Form("moodle", "round trip", "Moodle's grading worksheet with the grades filled in"),
        Form("canvas", "round trip", "Canvas's gradebook with an assignment's column filled in"),
        Form("moodle-feedback", "zip", "a page for each candidate, for Moodle's upload of feedback files"),
        Form("csv", "table", "spreadsheets: a row for each candidate, a column for each task"),
        Form("criteria", "table", "spreadsheets: a row for each candidate and criterion"),
        Form("jsonl", "table", "programs: a JSON document in a line for each candidate"),
        Form("html", "files", "a page for each candidate"),
        Form("markdown", "files", "the same in Markdown"),
        Form("json", "files", "the whole grade of each candidate (`grader schema result`)"),
        Form("gradescope", "files", "Gradescope's `results.json` of each candidate"),
        Form("classroom50", "files", "Classroom 50's `result.json` of each candidate"),
        Form("junit", "files", "JUnit's XML of each candidate"),
        Form("all", "zip", "all tables, overrides, the audit trail, and all of each candidate's files"),
    )
}
