"""Gradebooks of whole cohorts, whose results are mixed from a few grades; nothing is graded for them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.queue import Key, enqueue
from grader.cohort.gradebook.results import Graded, commit, rows_of
from grader.cohort.sources.model import Person
from grader.report.document import document
from grader.score import add
from tests.cohort.gradebook.books import hand_in
from tests.report.samples import hostile, mixed, reference

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from grader.cohort.gradebook import Gradebook

NAMES = ("Anna", "Ben", "Chiara", "Dmitri", "Elif", "Farid", "Grace", "Håkon", "Ines", "Jürgen")
SURNAMES = ("Alt", "Bär", "Costa", "Dubois", "Ek", "Fischer", "García", "Horvát", "Iwanow", "Jones", "Kaya")
HOSTILE_NAMES = (
    "../../x",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "'\"><svg onload=alert(1)>",
    '=HYPERLINK("http://evil.example")',
    "{{7*7}} ${{ x }} {% raw %}",
    "\u202eevil\u202c \u200bzero",
    "javascript:alert(1)",
    "a" * 2000,
)


def people(count: int) -> list[Person]:
    """Candidates with names of their own, in sections of thirty."""
    return [
        Person(
            key=f"c{number:05}",
            name=f"{NAMES[number % len(NAMES)]} {SURNAMES[number // len(NAMES) % len(SURNAMES)]} {number}",
            email=f"c{number}@example.org",
            section=f"Group {number // 30 + 1}",
        )
        for number in range(count)
    ]


def documents() -> list[dict[str, Any]]:
    """Of a whole exam: everything earned, and every status there is."""
    return [document(reference()), document(mixed())]


def mix(pool: Sequence[Mapping[str, Any]], rng: random.Random, luck: float) -> dict[str, Any]:
    """A document whose criteria come from those of a pool, the first of which has earned everything.

    Args:
        luck: the share of criteria that come from the first.
    """
    made = copy.deepcopy(dict(pool[0]))
    rows = [{row["id"]: row for _, row in rows_of(each)} for each in pool]
    for section in made["sections"]:
        for task in section["tasks"]:
            for number, row in enumerate(task["criteria"]):
                lost = [each[row["id"]] for each in rows[1:] if each[row["id"]]["status"] != "earned"]
                if lost and rng.random() > luck:
                    task["criteria"][number] = rng.choice(lost)
    made["places"] = {where: found for each in pool for where, found in each["places"].items()}
    made["calls"] = {name: call for each in pool for name, call in each["calls"].items()}
    _sum_up(made)
    return made


def _sum_up(made: dict[str, Any]) -> None:
    rows = [row for _, row in rows_of(made)]
    still_open = [row for row in rows if row["status"] in ("unverified", "error")]
    earned = add(row["earned"] for row in rows)
    made["score"] |= {
        "earned": earned,
        "lowest": earned,
        "highest": add((earned, *(row["points"] - row["earned"] for row in still_open))),
        "complete": not still_open,
        "passed": earned >= made["score"]["pass_mark"],
    }


def keep(
    book: Gradebook, person: Person, made: Mapping[str, Any], *, source: str = "", exam: str = ""
) -> None:
    """A submission with its result, within a transaction."""
    digest = made["submission"]["digest"]
    hand_in(book, person, digest=digest, source=source)
    key = Key(submission=digest, exam=exam or made["exam"]["digest"], grader="1", options={})
    commit(book, enqueue(book, key, source or f"/in/{person.key}"), Graded(document=made), "worker")


def fill(
    book: Gradebook, persons: Sequence[Person], pool: Sequence[Mapping[str, Any]], rng: random.Random
) -> None:
    """A result for each, some better than others."""
    for person in persons:
        made = mix(pool, rng, min(1.0, max(0.0, rng.gauss(0.75, 0.2))))
        made["submission"] = {"name": person.key, "digest": f"digest-{person.key}"}
        with book.transaction():
            keep(book, person, made)


def fill_hostile(book: Gradebook, folder: Path, texts: Mapping[str, str]) -> None:
    """A cohort that wants to be obeyed: names, findings and files.

    Args:
        folder: for its files.
        texts: what every text of a result is, a candidate each.
    """
    persons = [
        Person(key=name, name=name, email=name, section=name, identities=(("github", name),))
        for name in HOSTILE_NAMES
    ]
    for number, (name, text) in enumerate(texts.items()):
        person = persons[number % len(persons)]
        source = folder / f"sub-{number}"
        write_hostile_files(source)
        made = document(hostile(text))
        made["submission"] = {"name": name, "digest": f"digest-{number}"}
        with book.transaction():
            keep(book, person, made, source=str(source), exam="hostile")


def write_hostile_files(folder: Path) -> None:
    """A submission whose files are made for whoever shows them."""
    folder.mkdir(parents=True)
    (folder / "line.py").write_text("x = '" + "</script><script>alert(1)</script>" * 150_000)
    (folder / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    (folder / "page.html").write_text("<script>alert(1)</script><img src=http://evil.example/x>")
    (folder / "confusion_matrix.png").write_bytes(b"<svg onload=alert(1)>")
    (folder / "\u202egnp.exe").write_text("\u202e\x1b[31m")
