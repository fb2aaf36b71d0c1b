from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook.anonymous import pseudonym
from grader.cohort.gradebook.people import record_person
from grader.cohort.gradebook.store import Gradebook, open_gradebook
from grader.cohort.gradebook.whom import whom
from grader.cohort.sources.model import Person
from grader.errors import UsageError
from tests.cohort.gradebook.books import whose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEOPLE = (
    Person(key="4711", name="Anna Alt", email="Anna@example.org", identities=(("github", "octo"),)),
    Person(key="4712", name="Anna Alt", email="other@example.org"),
    Person(key="4713", name="Ben  Müller-Lüdenscheidt", identities=(("moodle", "4711"),)),
    Person(key="octo", name="Cy\x1b[31m D\u202eee"),
    Person(key="dee", name=""),
)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with open_gradebook(tmp_path / "book.db", write=True, create=True) as opened:
        with opened.transaction():
            for person in PEOPLE:
                record_person(opened, person)
        yield opened


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("4711", "4711"),  # a key is meant before what another system calls somebody else
        ("octo", "octo"),
        ("anna@EXAMPLE.org", "4711"),
        ("ben müller-lüdenscheidt", "4713"),
        ("Müller", "4713"),
        ("müller-lüdenscheidt ben", "4713"),
        (" DEE ", "dee"),
        ("13", "4713"),
    ],
)
def test_a_word_names_somebody(book: Gradebook, word: str, key: str) -> None:
    assert whom(book, word) == whose(book, key)


def test_a_number_names_somebody(book: Gradebook) -> None:
    number = book.rows("SELECT number FROM candidate WHERE key = 'dee'")[0]["number"]
    assert whom(book, pseudonym(number)) == whose(book, "dee")


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("Anna Alt", "'Anna Alt' may be any of 2: Anna Alt (4711), Anna Alt (4712); name one by the key"),
        (
            "471",
            "'471' may be any of 3: Anna Alt (4711), Anna Alt (4712), Ben Müller-Lüdenscheidt (4713); name",
        ),
        ("e", "'e' may be any of 3: "),
        ("anna alz", "there is no candidate 'anna alz'; did you mean 'Anna Alt'?"),
        ("zzz", "there is no candidate 'zzz'"),
        ("", "there is no candidate ''"),
        ("  ", "there is no candidate ''"),
        ("candidate-1", "there is no candidate 'candidate-1'"),
        ("\x1b[2J", "there is no candidate '\N{REPLACEMENT CHARACTER}[2J'"),
    ],
)
def test_nobody_or_several_is_a_complaint(book: Gradebook, word: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        whom(book, word)
    assert str(error.value).startswith(complaint)
    assert "\x1b" not in str(error.value)


def test_a_complaint_tells_no_names_in_anonymous_mode(book: Gradebook) -> None:
    with pytest.raises(UsageError) as error:
        whom(book, "471", anonymous=True)
    assert "Anna" not in str(error.value)
    with pytest.raises(UsageError, match=r"^there is no candidate 'anna alz'$"):
        whom(book, "anna alz", anonymous=True)
