from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import store
from grader.cohort.gradebook.store import open_gradebook
from grader.commands.gradebook_verify import verify_command
from grader.errors import UsageError
from tests.commands.gradebooks import full_book

if TYPE_CHECKING:
    from pathlib import Path


def test_sound_and_unsound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = full_book(tmp_path / "book.db").relative_to(tmp_path)
    assert verify_command(path) == 0
    assert capsys.readouterr().out == (
        "book.db is sound: 5 candidates, 4 submissions, 2 jobs, 2 results (0 void), 1 override, 2 events\n"
    )
    with open_gradebook(path, write=True) as book:
        book.database.execute("UPDATE criterion SET basis = 'x' WHERE criterion = '1.1.a' AND result = 2")
    assert verify_command(path) == 1
    assert capsys.readouterr().out == (
        "result 2: criterion 1.1.a is not what its document says\n1 thing is wrong with book.db\n"
    )


def test_one_of_an_older_grader_is_brought_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = full_book(tmp_path / "book.db")
    scripts = [*store.migrations(), "CREATE TABLE more (x)"]
    monkeypatch.setattr(store, "migrations", lambda: scripts)
    with pytest.raises(UsageError, match="is from an older grader"):
        open_gradebook(path)
    assert verify_command(path) == 0
    assert capsys.readouterr().out.startswith("brought from version 1 to 2; ")
    open_gradebook(path).close()


def test_what_is_no_gradebook_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "book.db").write_text("x")
    with pytest.raises(UsageError, match="is no gradebook: it is not a database"):
        verify_command(tmp_path / "book.db")
    with pytest.raises(UsageError, match="there is no gradebook"):
        verify_command(tmp_path / "none.db")
