"""What `grader rubric show` prints."""

from __future__ import annotations

import io

from rich.console import Console

from grader.exam.describe import render
from grader.exam.loader import load_exam
from tests.exam.test_loader import CHECKS, RESOURCES

EXPECTED = """\
1.1 Notes  3 points  Files
  notes: notes.txt

  1.1.there  The notes say hello  1 point
    static: A file has words. [text.words(file='notes', words=['hello'])]
    hint: What does one say first?

  1.1.twice  The notes say it twice  2 points
    - hello  0.5 points
      static: A file has words. [text.words(file='notes', words=['hello'])]
    - and again  1.5 points
      static: A file has words. [text.words(file='notes', words=['hello'], times=2)]; needs 1.1.twice/first
    needs 1.1.there
    hint: Once is not enough.
"""


def test_a_task_with_its_criteria_checks_and_hints() -> None:
    exam = load_exam(RESOURCES / "rubrics_valid", CHECKS)
    output = io.StringIO()
    Console(file=output, width=120, highlight=False).print(render(exam, tuple(exam.tasks), CHECKS))
    lines = (line.rstrip() for line in output.getvalue().splitlines())
    assert "\n".join(lines).rstrip() + "\n" == EXPECTED
