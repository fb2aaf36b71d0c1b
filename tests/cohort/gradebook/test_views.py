"""The views of marks, against the same computed from the tables alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from grader.cohort.gradebook.decisions import override, target, withdraw
from grader.cohort.gradebook.results import rows_of, unpacked
from grader.cohort.gradebook.store import open_gradebook
from grader.cohort.regrade.deltas import counted_at
from grader.cohort.sources.model import Person
from grader.errors import UsageError
from tests.cohort.gradebook.books import ANNA, BEN, grade, hand_in, row, small_book, whose

if TYPE_CHECKING:
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook

STATUSES = ("earned", "partial", "lost", "blocked", "unverified", "error")
NAMES = ("1.1.a", "1.1.b", "1.1.c", "1.2.a", "2.1.a", "2.1.b")
MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def random_rows(rng: random.Random) -> list[dict[str, Any]]:
    names = NAMES if rng.random() < 0.8 else rng.sample(NAMES, 4)
    return [
        row(
            name,
            rng.choice(STATUSES),
            points=rng.choice((0.5, 1, 2, 2.5)),
            said=rng.choice(("this way", "that way")),
        )
        for name in sorted(names)
    ]


def fill(book: Gradebook, rng: random.Random) -> None:
    """A cohort with groups, late and unreadable work, regrades, void results and overrides."""
    people = [Person(key=f"p{number}") for number in range(10)]
    digests = [f"d{number}" for number in range(14)]
    with book.transaction():
        for number in range(30):
            hand_in(
                book,
                *rng.sample(people, rng.choice((1, 1, 1, 2, 3))),
                digest=rng.choice(digests),
                source=f"/in/{number}",
                unreadable="broken" if rng.random() < 0.15 else "",
                late=rng.choice((True, False, False, None)),
                at=MOMENT + timedelta(hours=rng.randrange(20)) if rng.random() < 0.8 else None,
                tag=rng.choice(("", "v1", "v2")),
            )
        for name, value in (
            ("which", rng.choice(("latest", "best"))),
            ("tag", rng.choice(("v1", "nowhere"))),
        ):
            if rng.random() < 0.7:
                book.set(name, value)
    for wave in range(3):
        with book.transaction():
            for digest in rng.sample(digests, 9):
                known = book.rows(
                    "SELECT 1 FROM job JOIN result ON job = job.id WHERE submission = ? AND exam = ?"
                    " AND void = ''",
                    *(digest, f"exam{wave % 2}"),
                )
                if not known:
                    grade(
                        book, digest, random_rows(rng), exam=f"exam{wave % 2}", pass_mark=rng.choice((2, 5))
                    )
            for result in book.rows("SELECT id FROM result"):
                if rng.random() < 0.1:
                    book.database.execute("UPDATE result SET void = 'wrong' WHERE id = ?", (result["id"],))
        decide(book, rng)


def decide(book: Gradebook, rng: random.Random) -> None:
    for person in book.rows("SELECT DISTINCT candidate AS id FROM chosen"):
        for name in (*NAMES, "1.1", "2.1"):
            if rng.random() < 0.15:
                try:
                    what = target(book, person["id"], name)
                    with book.transaction():
                        override(book, what, rng.randint(0, what.possible), author="x", reason="y")
                except UsageError:
                    continue  # there is none of that name, or the whole task was overridden
    for each in book.rows("SELECT id FROM live_override"):
        if rng.random() < 0.2:
            with book.transaction():
                withdraw(book, each["id"], author="x")


# --- the same, without SQL --------------------------------------------------------------------------


def table(book: Gradebook, name: str) -> list[dict[str, Any]]:
    return [dict(each) for each in book.rows(f"SELECT * FROM {name}")]


def expected(book: Gradebook) -> tuple[dict[int, tuple[Any, ...]], set[int]]:
    """Candidate -> mark, and the overrides that are stale."""
    settings = {each["name"]: each["value"] for each in table(book, "setting")}
    jobs = {each["id"]: each for each in table(book, "job")}
    results = {each["id"]: each for each in table(book, "result")}
    documents = {id_: unpacked(each["document"]) for id_, each in results.items()}
    newest: dict[str, int] = {}
    for id_, each in sorted(results.items()):
        if not each["void"]:
            newest[jobs[each["job"]]["submission"]] = id_
    chosen: dict[int, tuple[int, int]] = {}
    for candidate in {each["candidate"] for each in table(book, "submission")}:
        handed_in = [
            each
            for each in table(book, "submission")
            if each["candidate"] == candidate and each["digest"] in newest
        ]

        def rank(each: dict[str, Any]) -> tuple[Any, ...]:
            return (
                "tag" in settings and each["tag"] == settings["tag"],
                not each["late"],
                results[newest[each["digest"]]]["score"] if settings.get("which") == "best" else 0,
                each["submitted_at"] or each["found_at"],
                each["id"],
            )

        if handed_in:
            best = max(handed_in, key=rank)
            chosen[candidate] = (best["id"], newest[best["digest"]])
    live = [each for each in table(book, "override") if each["withdrawn_at"] is None]
    marks = {
        candidate: (
            submission,
            result,
            *summed(documents[result], [o for o in live if o["candidate"] == candidate]),
        )
        for candidate, (submission, result) in chosen.items()
    }
    stale = {
        each["id"]
        for each in live
        if facts(documents[each["based_on"]], each)
        != (facts(documents[chosen[each["candidate"]][1]], each) if each["candidate"] in chosen else [])
    }
    return marks, stale


def facts(document: dict[str, Any], of: dict[str, Any]) -> list[Any]:
    return [
        (each["id"], each["status"], each["earned"], each["points"], each["findings"])
        for task, each in rows_of(document)
        if task == of["task"] and of["criterion"] in ("", each["id"])
    ]


def summed(document: dict[str, Any], overrides: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Points, highest, possible, earned, overridden, complete, passed."""
    given = {(each["task"], each["criterion"]): Fraction(each["points"], 20) for each in overrides}
    points = highest = possible = earned = Fraction(0)
    overridden, complete = False, True
    tasks: dict[str, list[Any]] = {}
    for task, each in rows_of(document):
        tasks.setdefault(task, []).append(each)
    for task, rows in tasks.items():
        of_task = sum(Fraction(each["points"]) for each in rows)
        possible += of_task
        earned += sum(Fraction(each["earned"]) for each in rows)
        if (whole := given.get((task, ""))) is not None:
            overridden = True
            points += min(whole, of_task)
            highest += min(whole, of_task)
            continue
        for each in rows:
            own = given.get((task, each["id"]))
            if own is not None:
                overridden = True
                points += min(own, Fraction(each["points"]))
                highest += min(own, Fraction(each["points"]))
                continue
            points += Fraction(each["earned"])
            is_open = each["status"] in ("unverified", "error")
            highest += Fraction(each["points"] if is_open else each["earned"])
            complete = complete and not is_open
    pass_mark = document["score"]["pass_mark"]
    passed = 1 if points >= pass_mark else 0 if highest < pass_mark else None
    return (*(int(each * 20) for each in (points, highest, possible, earned)), overridden, complete, passed)


@pytest.mark.parametrize("seed", range(12))
def test_marks_are_what_the_tables_say(tmp_path: Path, seed: int) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        fill(book, random.Random(seed))
        marks, stale = expected(book)
        columns = (
            *("submission", "result", "points", "highest", "possible", "earned"),
            *("overridden", "complete", "passed"),
        )
        found = {each["candidate"]: tuple(each[name] for name in columns) for each in table(book, "mark")}
        assert found == marks
        assert counted_at(book, "9999") == {candidate: mark[:2] for candidate, mark in marks.items()}
        assert {each["id"] for each in table(book, "stale_override")} == stale
        by_task: dict[int, int] = {}
        for each in table(book, "task_mark"):
            by_task[each["candidate"]] = by_task.get(each["candidate"], 0) + each["points"]
        assert by_task == {candidate: mark[2] for candidate, mark in marks.items()}


def test_seeds_make_everything_occur(tmp_path: Path) -> None:
    seen = set()
    for seed in range(12):
        with open_gradebook(tmp_path / f"{seed}.db", write=True, create=True) as book:
            fill(book, random.Random(seed))
            marks, stale = expected(book)
            seen |= {("passed", mark[-1]) for mark in marks.values()}
            seen |= {("overridden", mark[-3]) for mark in marks.values()}
            seen |= {("stale", each["id"] in stale) for each in table(book, "live_override")}
            seen |= {("whole", not each["criterion"]) for each in table(book, "live_override")}
    assert seen == {
        *(("passed", each) for each in (0, 1, None)),
        *((name, each) for name in ("overridden", "stale", "whole") for each in (True, False)),
    }


def test_a_group_has_one_result_and_marks_of_its_own(tmp_path: Path) -> None:
    with open_gradebook(small_book(tmp_path / "book.db"), write=True) as book:
        with book.transaction():
            override(book, target(book, whose(book, "ben"), "1.1.b"), 30, author="x", reason="y")
        found = {each["candidate"]: (each["points"], each["highest"]) for each in table(book, "mark")}
        assert found == {whose(book, "anna"): (40, 80), whose(book, "ben"): (70, 110)}
        assert len(table(book, "job")) == len(table(book, "result")) == 1


def test_late_work_counts_only_where_there_is_nothing_else(tmp_path: Path) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book, book.transaction():
        hand_in(book, ANNA, digest="early", at=MOMENT)
        hand_in(book, ANNA, digest="late", at=MOMENT + timedelta(hours=1), late=True)
        hand_in(book, BEN, digest="late", at=MOMENT + timedelta(hours=1), late=True)
        grade(book, "late", [row("1.1.a", "earned")])
        grade(book, "early", [row("1.1.a", "lost")])
        points = {each["candidate"]: each["points"] for each in table(book, "mark")}
        assert points == {whose(book, "anna"): 0, whose(book, "ben"): 40}


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE event SET who = 'me'", "events are never changed"),
        ("DELETE FROM event", "events are never deleted"),
        ("UPDATE override SET points = 40", "overrides are withdrawn, never changed"),
        ("UPDATE override SET reason = 'another'", "overrides are withdrawn, never changed"),
        ("DELETE FROM override", "overrides are withdrawn, never deleted"),
        ("UPDATE result SET score = 1", "results are made void, never changed"),
        ("DELETE FROM result", "results are made void, never deleted"),
        ("UPDATE override SET withdrawn_at = 'now'", "CHECK constraint failed"),
        ("INSERT INTO flag (candidate, author, reason, at) VALUES (1, 'x', ' ', 'now')", "CHECK constraint"),
        ("UPDATE criterion SET status = 'fine'", "CHECK constraint failed"),
    ],
)
def test_what_was_decided_stays(tmp_path: Path, statement: str, complaint: str) -> None:
    with open_gradebook(small_book(tmp_path / "book.db"), write=True) as book:
        with book.transaction():
            override(book, target(book, 1, "1.1.b"), 30, author="x", reason="y")
        with pytest.raises(Exception, match=complaint), book.transaction():
            book.database.execute(statement)
