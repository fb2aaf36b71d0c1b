from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.gradebook.store import open_gradebook
from grader.commands.gradebook_decisions import flag_command, override_command, withdraw_command
from grader.errors import UsageError
from tests.commands.gradebooks import full_book

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return full_book(tmp_path / "book.db")


def live(path: Path) -> list[tuple[Any, ...]]:
    with open_gradebook(path) as book:
        query = (
            "SELECT candidate.key, criterion, points, author FROM live_override"
            " JOIN candidate ON candidate.id = candidate ORDER BY live_override.id"
        )
        return [tuple(row) for row in book.rows(query)]


BEFORE = [("g-1", "1.1.b", 20, "me")]


@pytest.mark.parametrize(
    ("what", "amount", "words", "complaint"),
    [
        ("1.1.c", "1", {}, "say whose by --candidate, or by --like everybody"),
        ("1.1.c", "1", {"candidates": ["gia"], "like": "gia"}, "say whose by --candidate, or by --like"),
        ("1.1.c", "two", {"candidates": ["gia"]}, "'two' are no points"),
        ("1.1.c", "1", {"candidates": ["gia", "nobody"]}, "there is no candidate 'nobody'"),
        ("1.1.e", "1", {"candidates": ["gia", "ida", "cmd"]}, "there is no candidate 'ida'"),
        ("1.1.e", "1", {"candidates": ["gia", "cmd"]}, "unknown task or criterion '1.1.e'"),
        ("1.1.a", "1", {"like": "gia"}, "nothing of 1.1.a was lost there"),
        ("1.1", "1", {"like": "gia"}, "1.1 is a whole task"),
        ("1.1.c", "1", {"like": "feedbeefdeadbeef"}, "there is no candidate 'feedbeefdeadbeef'"),
        ("1.1.c", "9", {"candidates": ["hui", "gia"]}, "1.1.c has 2 points: 9 are too many"),
    ],
)
def test_what_cannot_be_overridden_is_for_nobody(
    path: Path, what: str, amount: str, words: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        override_command(path, what, amount, reason="r", **{"candidates": [], **words})
    assert str(error.value).startswith(complaint)
    assert live(path) == BEFORE


def test_several_are_overridden_by_whoever_is_logged_in(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert override_command(path, "1.1.c", "1.5", candidates=["gia", "cmd", "g-1"], reason="r") == 0
    me = getpass.getuser()
    assert live(path) == [*BEFORE, ("g-1", "1.1.c", 30, me), ("i-1", "1.1.c", 30, me)]
    assert capsys.readouterr().out.splitlines() == [
        "1.1.c of Gia Große: 1 -> 1.5 of 2 (override 2); the mark is 4.5 of 8",
        "1.1.c of =cmd|x: 1 -> 1.5 of 2 (override 3); the mark is 3.5 of 6",
    ]


def test_equal_losses_are_overridden_and_withdrawn_together(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words: dict[str, Any] = {
        "candidates": [],
        "like": "hui",
        "reason": "r",
        "author": "you",
        "anonymous": True,
    }
    override_command(path, "1.1.b", "0.5", **words, dry_run=True)
    assert live(path) == BEFORE
    override_command(path, "1.1.b", "0.5", **words)
    assert live(path) == [*BEFORE, ("h-1", "1.1.b", 10, "you"), ("i-1", "1.1.b", 10, "you")]
    override_command(path, "1.1.b", "0.5", **words)
    assert capsys.readouterr().out.splitlines() == [
        "3 candidates lost 1.1.b in this way, 2 would be overridden",
        "1.1.b of candidate-000002: 0 -> 0.5 of 1",
        "1.1.b of candidate-000003: 0 -> 0.5 of 1",
        "overridden alone before, which stays: candidate-000001",
        "3 candidates lost 1.1.b in this way, 2 are overridden",
        "1.1.b of candidate-000002: 0 -> 0.5 of 1 (override 2); the mark is 3.5 of 8",
        "1.1.b of candidate-000003: 0 -> 0.5 of 1 (override 3); the mark is 3.5 of 6",
        "overridden alone before, which stays: candidate-000001",
        "3 candidates lost 1.1.b in this way, 0 are overridden",
        "overridden alone before, which stays: candidate-000001",
        "so already: candidate-000002, candidate-000003",
    ]
    with pytest.raises(UsageError, match="there is no override 7"):
        withdraw_command(path, [2, 7])
    assert len(live(path)) == 3
    withdraw_command(path, [2], whole_group=True, reason="a mistake")
    assert live(path) == BEFORE
    assert capsys.readouterr().out == "2 overrides withdrawn\n"


def test_a_flag_is_set_and_done(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for who, done in (("", None), ("gia", 1)):
        with pytest.raises(UsageError, match="name a candidate to flag, or a flag that is done by --done"):
            flag_command(path, who, done=done, reason="r")
    flag_command(path, "uma", reason="write to her")
    flag_command(path, "", done=1)
    assert capsys.readouterr().out == "Uma Unterwegs is flagged (flag 2)\nflag 1 is done\n"
    with open_gradebook(path) as book:
        assert [row["id"] for row in book.rows("SELECT id FROM flag WHERE done_at IS NULL")] == [2]


def test_while_another_writes_nothing_is_decided(path: Path) -> None:
    with (
        open_gradebook(path, write=True),
        pytest.raises(UsageError, match="is being written by another grader"),
    ):
        flag_command(path, "gia", reason="r")


def test_nobody_is_logged_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(UsageError, match="nobody knows who you are: say it by --author"):
        flag_command(path, "gia", reason="r")
