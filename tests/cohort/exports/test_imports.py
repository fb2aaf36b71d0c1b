from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import open_gradebook
from grader.commands.gradebook_import import overrides_command, roster_command
from grader.errors import UsageError
from tests.cohort.exports.books import done, make_book
from tests.cohort.exports.test_round_trips import CANVAS, MOODLE

if TYPE_CHECKING:
    from pathlib import Path


def people(book: Path) -> list[tuple[str, str, str, str]]:
    with open_gradebook(book) as opened:
        return [
            (row["key"], row["name"], row["email"], row["identities"] or "")
            for row in opened.rows(
                "SELECT candidate.*, (SELECT group_concat(system || ' ' || value, ', ') FROM"
                " identity WHERE identity.candidate = candidate.id) AS identities FROM candidate ORDER BY key"
            )
        ]


def roster(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str], *, dry_run: bool = False
) -> tuple[int, list[str]]:
    file = folder / "people.csv"
    file.write_text(text, "utf-8", newline="")
    code = roster_command(file, gradebook=folder / "g.db", author="me", dry_run=dry_run, anonymous=False)
    return code, capsys.readouterr().out.replace(f"{folder}/", "").splitlines()


def test_a_roster_says_who_people_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = make_book(
        tmp_path / "g.db",
        done("4711", "Jane", moodle="4711"),
        done("doe-john", "doe-john"),
        done("ann", "Ann", email="ann@x.example"),
        done("ann-2", "Same Name"),
        done("ann-3", "Same Name"),
    )
    text = (
        "key,name,email,moodle\nj1,Jane Doe,jane@x.example,4711\nj2,John Doe,john@x.example,\n"
        "a1,Ann Bee,ANN@x.example,\nn1,New One,,\ns1,Same Name,,\nx,Both,ann@x.example,4711\n"
    )
    before = people(book)
    code, said = roster(tmp_path, text.replace("x,Both", "x,Both"), capsys, dry_run=True)
    assert (people(book), said.pop()) == (before, "nothing was changed")
    assert (code, said) == (
        3,
        [
            "people.csv: 6 people, 3 of them in the gradebook",
            "  1 known by the name alone: John Doe (j2) is doe-john",
            "  2 new: New One (n1), Same Name (s1)",
            "  1 unclear, and left out: Both (x)",
            "  2 in the gradebook, not in the roster: Same Name (ann-2), Same Name (ann-3)",
        ],
    )
    assert roster(tmp_path, text, capsys) == (3, said)
    assert people(book) == [
        ("4711", "Jane Doe", "jane@x.example", "moodle-participant 4711, roster j1"),
        ("ann", "Ann Bee", "ANN@x.example", "roster a1"),
        ("ann-2", "Same Name", "", ""),
        ("ann-3", "Same Name", "", ""),
        ("doe-john", "John Doe", "john@x.example", "roster j2"),
        ("n1", "New One", "", ""),
        ("s1", "Same Name", "", ""),
    ]
    assert roster(tmp_path, text.splitlines()[0] + "\nj1,Jane Doe,,\n", capsys)[1][0].endswith(
        "1 of them in the gradebook"
    )


def test_platforms_files_are_rosters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = make_book(tmp_path / "g.db", done("4711", moodle="4711"))
    assert roster(tmp_path, MOODLE.format("", ""), capsys)[0] == 0
    assert people(book) == [
        ("0012", '=Jöhn "J" 💡', "john@x.example", "moodle-participant 0012"),
        ("4711", "Jane Doe", "jane@x.example", "moodle-participant 4711"),
    ]
    (tmp_path / "g.db").unlink()
    book = make_book(tmp_path / "g.db", done("502", canvas="502"))
    assert roster(tmp_path, CANVAS.format("", ""), capsys)[0] == 0
    assert people(book) == [
        ("501", "Jane Doe", "", "canvas 501"),
        ("502", "John Smith", "john@x.example", "canvas 502"),
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names nobody"),
        ("name,email\nJane,x\n", "has no column `key`"),
        (
            "key,email\nb1,a@x.example\nb2,a@x.example\n",
            "b1 and b2 of the roster are both a of the gradebook",
        ),
    ],
)
def test_rosters_that_are_none(
    text: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = make_book(tmp_path / "g.db", done("a", email="a@x.example"))
    before = people(book)
    with pytest.raises(UsageError) as raised:
        roster(tmp_path, text, capsys)
    assert complaint in str(raised.value)
    assert people(book) == before


def overrides(
    folder: Path, text: str, capsys: pytest.CaptureFixture[str], *, dry_run: bool = False
) -> tuple[list[str], list[tuple[object, ...]]]:
    file = folder / "o.csv"
    file.write_text(text, "utf-8", newline="")
    overrides_command(file, gradebook=folder / "g.db", author="me", dry_run=dry_run, anonymous=False)
    with open_gradebook(folder / "g.db") as book:
        live = book.rows("SELECT task, criterion, points, author, reason FROM live_override ORDER BY id")
    return capsys.readouterr().out.replace(f"{folder}/", "").splitlines(), [tuple(row) for row in live]


def test_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path / "g.db", done("ann", "Ann", email="ann@x.example"), done("ben", "Ben"))
    text = "Candidate;Criterion;Points;Reason;Author\nANN@x.example;1.1.f;0,5;'=so;\nben;1.1;6;orally;Dr. X\n"
    told = ["  1.1.f of Ann: 0 -> 0.5 of 1", "  1.1 of Ben: 3 -> 6 of 7"]
    said, live = overrides(tmp_path, text, capsys, dry_run=True)
    assert (said, live) == (["o.csv: 2 overrides, 0 made before", *told, "nothing was changed"], [])
    said, live = overrides(tmp_path, text, capsys)
    assert said == ["o.csv: 2 overrides, 0 made before", *told]
    assert live == [("1.1", "1.1.f", 10, "me", "=so"), ("1.1", "", 120, "Dr. X", "orally")]
    assert overrides(tmp_path, text, capsys) == (["o.csv: 0 overrides, 2 made before"], live)


def test_all_overrides_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path / "g.db", done("ann", "Ann"))
    head = "key,criterion,points,reason\n"
    for text, complaint in (
        ("key,points\n", "has no column reason and no column criterion (or task)"),
        (f"{head}ann,1.1.f,,\n", "o.csv:2: the points and the reason is missing"),
        (f"{head}ann,1.1.f,x,y\n", "o.csv:2: 'x' are no points"),
        (f"{head}ann,1.1.f,1,y\nANN,1.1.f,0,z\n", "o.csv:3: 1.1.f of ANN is decided in"),
        (f"{head}ann,1.1.f,1,y\nan,1.1.e,0,z\n", "o.csv:3: there is no candidate 'an'; did you mean 'ann'?"),
        (f"{head}ann,1.1.f,2,y\nann,9.9,0,z\n", "o.csv:3: "),
    ):
        with pytest.raises(UsageError) as raised:
            overrides(tmp_path, text, capsys)
        assert complaint in str(raised.value)
        with open_gradebook(tmp_path / "g.db") as book:
            assert book.rows("SELECT * FROM override") == []
