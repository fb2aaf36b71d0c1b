"""Gradebooks of whole cohorts, whose results are mixed from a few grades; nothing is graded for them."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.decisions import flag, override, target
from grader.cohort.gradebook.queue import Key, enqueue
from grader.cohort.gradebook.results import Graded, commit, rows_of
from grader.cohort.sources.model import Person
from grader.report.document import document
from grader.score import add
from tests.cohort.gradebook.books import hand_in, whose
from tests.report.grades import a_grade
from tests.report.samples import mixed, reference

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
HOSTILE_TEXTS = (
    "</pre></code></details></main>--><script src=//evil.example/x.js></script>",
    "<img src=http://evil.example/x onerror=alert(1)>",
    "<style>body{display:none}</style><base href=//evil.example>",
    "\x1b[31m\x00\x07 \x9b1m \ufffe \u2028 \u2066x",
    "\u202eevil\u202c.exe",
    "# [x](http://evil.example) `code` <http://evil.example>",
    "x" * 4000,
    "word " * 800,
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


def losing(made: Mapping[str, Any], criterion: str, where: str, place: Mapping[str, Any]) -> dict[str, Any]:
    """The document with one criterion lost, for a finding at a place."""
    changed = copy.deepcopy(dict(made))
    row: Any = next(row for _, row in rows_of(changed) if row["id"] == criterion)
    finding = {"message": f"{criterion} is wrong", "expected": "this", "actual": "that", "where": where}
    row |= {"status": "lost", "earned": 0, "findings": [finding]}
    changed["places"] = {where: [dict(place)]}
    _sum_up(changed)
    return changed


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


def fill_hostile(book: Gradebook, folder: Path) -> None:
    """A cohort that wants to be obeyed: names, findings and files. Within a transaction.

    Args:
        folder: for its files.
    """
    for number, name in enumerate(HOSTILE_NAMES):
        person = Person(key=name, name=name, email=name, section=name, identities=(("github", name),))
        source = folder / f"sub-{number}"
        write_hostile_files(source)
        made = hostile_document(HOSTILE_NAMES[:number] + HOSTILE_TEXTS)
        made["submission"] = {"name": name, "digest": f"digest-{number}"}
        keep(book, person, made, source=str(source), exam="hostile")
        candidate = whose(book, name)
        flag(book, candidate, author=name, reason=name)
        what = target(book, candidate, next(iter(rows_of(made)))[1]["id"])
        override(book, what, 10, author=name, reason=name)


def hostile_document(texts: Sequence[str]) -> dict[str, Any]:
    """Of a small grade in which every text is one of these, ids too."""
    made = document(a_grade())
    turn = itertools.cycle(texts)
    for section in made["sections"]:
        section["title"] = next(turn)
        for task in section["tasks"]:
            task |= {
                "id": f"{task['id']}{_word(texts[0])}",
                "title": next(turn),
                "files": {next(turn): next(turn)},
            }
            for row in task["criteria"]:
                text = next(turn)
                row |= {"id": f"{row['id']}{_word(text)}", "title": text, "hint": text, "blocked_by": text}
                row |= {"status": "lost", "earned": 0}
                names = ("message", "expected", "actual", "where", "detail")
                row["findings"] = [{name: next(turn) for name in names} for _ in range(2)]
    place = {"path": texts[0], "line": 3, "first": 2, "lines": list(texts)}
    made["places"] = {text: [place, {"path": text, "line": None}] for text in texts}
    call = {
        "path": texts[0],
        "command": texts[0],
        "origin": texts[0],
        "variables": [*texts],
        "trials": [*texts],
    }
    made["calls"] = {"a": call, **dict.fromkeys(made["sections"][0]["tasks"][0]["files"], call)}
    _sum_up(made)
    return made


def _word(text: str) -> str:
    """What an id may have in it: exams have no slashes in theirs."""
    return text[:40].replace("/", "|")


def write_hostile_files(folder: Path) -> None:
    """A submission whose files are made for whoever shows them."""
    folder.mkdir(parents=True)
    (folder / "line.py").write_text("x = '" + "</script><script>alert(1)</script>" * 150_000)
    (folder / "picture.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    (folder / "page.html").write_text("<script>alert(1)</script><img src=http://evil.example/x>")
    (folder / "confusion_matrix.png").write_bytes(b"<svg onload=alert(1)>")
    (folder / "\u202egnp.exe").write_text("\u202e\x1b[31m")
