"""The pages as files, for whoever has no server: the same templates, without forms and scripts."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from grader.cohort.gradebook.store import now
from grader.web import templates
from grader.web.pages import candidate, cohort, criterion, statistics, trail
from grader.web.state import compute, read_cohort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.cohort.gradebook import Gradebook
    from grader.exam.model import Exam
    from grader.web.state import Cohort

ASSETS = ("style.css", "icon.svg")
EVERYBODY = 10**6
"""Rows of a table that has no other page."""
POLICY = (
    "default-src 'none'; style-src 'self' file:; img-src 'self' file: data:; base-uri 'none';"
    " form-action 'none'"
)


class FileLinks(templates.Links):
    """Where the files are, seen from one of them."""

    def __init__(self, root: str) -> None:
        """Seen from a page from which `root` leads to the first one."""
        self._root = root

    def __call__(self, page: str, name: str = "") -> str:
        """The address of a page."""
        return f"{self._root}{file_of(page, name)}"


def file_of(page: str, name: str = "") -> str:
    """The file of a page; one that a name of the exam's cannot lead elsewhere."""
    if not name:
        return f"{page or 'index'}.html"
    plain = re.fullmatch(r"\w[\w.-]{0,80}", name, re.ASCII)
    word = name if plain else hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{page}/{word}.html"


def pages(
    book: Gradebook, *, exam: Exam | None = None, anonymous: bool = False
) -> Iterator[tuple[str, bytes]]:
    """Each page with the name of its file, all of one moment if the caller holds one."""
    whole = read_cohort(book, anonymous=anonymous)
    at = now()
    for name in ASSETS:
        yield f"static/{name}", templates.stylesheet() if name == "style.css" else templates.static(name)

    def page(template: str, here: str, file: str, **values: Any) -> tuple[str, bytes]:
        root = "../" * file.count("/")
        common = {
            "book": book.path.name,
            "cohort": whole,
            "names": whole.names,
            "href": FileLinks(root),
            "asset": lambda name: f"{root}static/{name}",
            "here": here,
            "may_write": False,
            "forced_anonymous": anonymous,
            "static_copy": True,
            "policy": POLICY,
            "at": at,
            "notes": ["anonymous"] if whole.names.anonymous else [],
            "said": "",
            "complaint": "",
            "retry": {},
            "seen": "",
        }
        return file, templates.render(template, **{**common, **values}).encode(errors="replace")

    yield page("cohort", "", file_of(""), **cohort.read(whole, cohort.Query(), per_page=EVERYBODY))
    yield page("criteria", "criteria", file_of("criteria"), **criterion.overview(book, whole))
    links = FileLinks("")
    figures = statistics.read(book, whole, compute(book.path), lambda name: links("criterion", name))
    yield page("statistics", "statistics", file_of("statistics"), fresh=True, **figures)
    yield page("similar", "similar", file_of("similar"), comparison=None, lines=[])
    yield page("trail", "trail", file_of("trail"), **trail.read(book, whole, {}, per_page=EVERYBODY))
    yield from _pairs(whole, page)
    for name in (each for names in whole.tasks.values() for each in names):
        if (values := criterion.read(book, whole, name, exam=exam)) is not None:
            yield page("criterion", "criterion", file_of("criterion", name), **values)
    for person in whole.people:
        values = candidate.read(book, whole, person, exam=exam)
        yield page("candidate", "candidate", file_of("candidate", person.number), **values)


def _pairs(whole: Cohort, page: Any) -> Iterator[tuple[str, bytes]]:
    found = whole.pairs.get("pairs", ())
    for number, pair in enumerate(found, 1):
        yield page("pair", "similar", file_of("similar", str(number)), number=number, pairs=found, pair=pair)
