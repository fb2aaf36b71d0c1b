"""Pairs that are alike, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.gradebook import open_gradebook
from grader.cohort.similarity import Work, compute, keep
from tests.web.site import HOSTILE, Site, book_of_four, site
from tests.web.test_application import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "".join(
    f"def part_{n}(value, other):\n    return value * {n} + other[{n}] - len(other) % {n + 2}\n\n"
    for n in range(30)
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("alike")
    works = []
    for name in ("anna", "cleo"):
        (folder / name).mkdir()
        (folder / name / "train.py").write_text(f"# by {name} </code><script>\n{PROGRAM}")
        works.append(Work(name=name, folder=folder / name))
    path = book_of_four(folder)
    with open_gradebook(path, write=True) as book, book.transaction():
        whose = {row["key"]: [row["id"]] for row in book.rows("SELECT id, key FROM candidate")}
        keep(book, compute(works, subtract=[]), works, whose, who="examiner")
    with site(folder, path=path) as found:
        yield found


def test_pairs_are_listed_and_to_be_looked_at(here: Site) -> None:
    told = text_of(here.get("/similar").text)
    assert "never a verdict, and never a mark" in told
    assert "pair 1" in told
    assert here.get("/next", follow_redirects=False).headers["location"] == here.address("cleo")
    assert "similar" in text_of(here.get(here.address("anna")).text)
    assert here.rows("SELECT who, what FROM event") == [("examiner", "compared")]


def test_two_works_are_seen_side_by_side(here: Site) -> None:
    page = here.get("/similar/1").text
    assert "<code>def part_2(value, other):</code>" in page
    assert "<script>" not in page.partition("</head>")[2]
    assert HOSTILE not in page
    assert "train.py" in page


@pytest.mark.parametrize(
    "address", ["/similar/0", "/similar/2", "/similar/x", "/similar/99999999999999999999"]
)
def test_there_is_no_such_pair(here: Site, address: str) -> None:
    assert here.get(address).status_code == 404


def test_numbers_stand_for_names(here: Site) -> None:
    with site(here.path.parent, path=here.path, anonymous=True) as own:
        for address in ("/similar", "/similar/1"):
            assert "anna" not in own.get(address).text.casefold()
