"""A dispatcher with stand-ins for agents, for a process that can be killed: arguments GRADEBOOK FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from grader.cohort.batch import Batch
from grader.cohort.executor.local import Pool
from grader.cohort.executor.messages import Hello
from grader.cohort.gradebook import open_gradebook
from grader.cohort.plan import Plan, plan
from grader.cohort.sources.discover import discover

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))


def grade(gradebook: Path, folder: Path, *, slots: int = 4, exam: str = "") -> tuple[Batch, Plan]:
    """Grade what is not graded yet."""
    cohort = discover(folder, aside=gradebook.with_name("aside"))
    with (
        open_gradebook(gradebook, write=True, create=True) as book,
        Pool(Hello(exam=exam), slots, command=STAND_IN) as pool,
    ):
        batch = Batch(book, pool, "somebody")
        seen = batch.look(found.source for found in cohort.found if not found.unreadable)
        todo = plan(book, cohort, seen, exam="exam", grader="1", options={"seed": 0})
        batch.grade(todo.jobs)
    return batch, todo


if __name__ == "__main__":
    grade(Path(sys.argv[1]), Path(sys.argv[2]))
