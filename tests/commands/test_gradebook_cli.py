"""`grader gradebook` as a user types it: each command gets what was said, and exits as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.cli import app
from grader.error_handler import exit_code_of
from tests.commands.gradebooks import full_book


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "--only", "late", "--format", "csv"], 0, "i-1,'=cmd|x"),
        (["show", "--anonymous", "--sort", "mark", "--reverse"], 0, "candidate-000001"),
        (["show", "--only", "nonsense"], 2, "unknown selection 'nonsense'"),
        (["candidate", "hui", "-v"], 0, "1.1.a"),
        (["candidate", "nobody"], 2, "there is no candidate 'nobody'"),
        (["candidate", "1"], 2, "'1' may be any of 5: "),
        (["history", "--last", "1"], 0, "flag i-1"),
        (["history", "gia", "--format", "json"], 0, '"what": "graded"'),
        (["override", "1.1.c", "2", "-c", "gia", "-r", "it is right", "--author", "me"], 0, "1 -> 2 of 2"),
        (["override", "1.1.c", "2", "--like", "gia", "-r", "r", "--dry-run"], 0, "3 would be overridden"),
        (["override", "1.1.c", "2", "-c", "gia"], 2, "Missing option '--reason'"),
        (["override", "1.1.c", "-1", "-c", "gia", "-r", "r"], 2, "No such option: -1"),
        (["withdraw", "1", "--group"], 0, "1 override withdrawn"),
        (["withdraw", "7"], 2, "there is no override 7"),
        (["flag", "uma", "-r", "write to her"], 0, "Uma Unterwegs is flagged (flag 2)"),
        (["flag", "uma"], 2, "say why, by --reason"),
        (["flag", "--done", "1"], 0, "flag 1 is done"),
        (["verify"], 0, "gradebook.db is sound: 5 candidates"),
        (["verify", "-g", "none.db"], 2, "there is no gradebook none.db: `grader batch` makes one"),
        (["stats", "--format", "json"], 0, '"pass_mark": 3'),
        (["similar"], 2, "no submission of gradebook.db is where it was found"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_does_as_it_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    full_book(Path("gradebook.db"))
    assert exit_code_of(lambda: app(["gradebook", *words], standalone_mode=False)) == code
    shown = capsys.readouterr()
    assert said in (shown.err if code else shown.out)
