from __future__ import annotations

from typing import TYPE_CHECKING

from grader.cohort.gradebook.anonymous import Names, number_of, pseudonym
from grader.cohort.gradebook.people import record_person
from grader.cohort.gradebook.store import open_gradebook
from grader.cohort.sources.model import Person
from tests.cohort.gradebook.books import ANNA, BEN, small_book, whose

if TYPE_CHECKING:
    from pathlib import Path


def test_a_number_stands_for_a_name_and_stays(tmp_path: Path) -> None:
    path = small_book(tmp_path / "book.db")
    with open_gradebook(path, write=True) as book:
        anna = whose(book, "anna")
        before = Names(book, anonymous=True).of(anna)
        with book.transaction():
            record_person(book, Person(key="anna", name="Anna Neu"))
        names = Names(book, anonymous=True)
        assert (names.of(anna), names.key(anna), names.full(anna)) == (before, before, before)
        assert before == pseudonym(book.rows("SELECT number FROM candidate WHERE id = ?", anna)[0][0])
        plain = Names(book)
        assert (plain.of(anna), plain.key(anna), plain.full(anna)) == ("Anna Neu", "anna", "Anna Neu (anna)")


def test_names_vanish_from_texts(tmp_path: Path) -> None:
    with open_gradebook(small_book(tmp_path / "book.db")) as book:
        names = Names(book, anonymous=True)
        anna, ben = (names.of(whose(book, key)) for key in ("anna", "ben"))
        said = f"{ANNA.name}.zip and /home/benb/x of {ANNA.email.upper()}, banana, {BEN.name}\x1b"
        assert (
            names.text(said)
            == f"{anna}.zip and /home/{ben}/x of {anna}, banana, {ben}\N{REPLACEMENT CHARACTER}"
        )
        assert Names(book).text("Anna\nAlt\x1b") == "Anna Alt\N{REPLACEMENT CHARACTER}"


def test_nobody_has_no_names(tmp_path: Path) -> None:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as book:
        assert Names(book, anonymous=True).text("Anna was here") == "Anna was here"


def test_numbers_are_read_again() -> None:
    words = [
        "candidate-000042",
        "candidate-7",
        " candidate-1 ",
        "candidate-",
        "candidate-1x",
        "candidate-٣",
        "7",
    ]
    assert [number_of(word) for word in words] == [42, 7, 1, None, None, None, None]
