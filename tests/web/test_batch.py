"""A batch that is started from the page, and one that runs elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import open_gradebook, queue
from grader.cohort.gradebook.lock import holder
from grader.errors import UsageError
from grader.web.pages.batch import arguments
from grader.web.work import Work
from tests.web.site import site
from tests.web.test_application import text_of

if TYPE_CHECKING:
    from pathlib import Path


def test_words_of_a_form_are_no_options() -> None:
    form = {
        "source": "--exam=evil",
        "only": "--again",
        "jobs": "2",
        "which": " ",
        "dry_run": "yes",
        "zzz": "x",
    }
    assert arguments(form, "/b.db", "") == [
        *("batch", "--gradebook=/b.db", "--jobs=2", "--only=--again", "--dry-run", "--", "--exam=evil")
    ]


def test_a_batch_that_cannot_begin_says_why(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        own.post("/batch/start", source=str(tmp_path / "nothing"))
        again = own.post("/batch/start", source="other")
        assert again.status_code == 409
        assert 'value="other"' in again.text
        until = time.monotonic() + 120
        while "Nothing runs" not in (told := own.get("/batch/now").text):
            assert time.monotonic() < until
            time.sleep(0.2)
        assert "It could not begin: the last line says why" in text_of(told)
        assert "nothing" in told
        assert own.post("/batch/pause").status_code == 409


def test_a_batch_needs_a_source(tmp_path: Path) -> None:
    with site(tmp_path) as own:
        answer = own.post("/batch/start", source=" ", only="anna")
        assert answer.status_code == 409
        assert 'value="anna"' in answer.text


def test_a_batch_of_a_terminal_is_shown_too(tmp_path: Path) -> None:
    with site(tmp_path) as own, open_gradebook(own.path, write=True) as book:
        with book.transaction():
            book.record("batch", who="ops", source="/in", kind="folder", jobs=3)
            job = queue.enqueue(
                book, queue.Key(submission="digest-0", exam="new", grader="1", options={}), "/in"
            )
            queue.lease(book, job, "worker 1", 1000)
        assert holder(own.path) > 0
        told = text_of(own.get("/batch").text)
        assert "0 of 3 graded , 1 running, 2 waiting" in told
        assert "worker 1 Anna Alt 1" in told
        assert "It was not started here: pause it where it runs." in told


def test_who_holds_no_lock(tmp_path: Path) -> None:
    assert holder(tmp_path / "none.db") == 0


def test_nothing_can_be_ended_where_nothing_runs() -> None:
    work = Work()
    with pytest.raises(UsageError, match="nothing runs that was started here"):
        work.interrupt()
    work.close()
