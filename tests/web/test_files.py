"""Files of submissions on their pages, and beside the reference solution's."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest

from grader.checks import ALL
from grader.cohort.gradebook import open_gradebook
from grader.cohort.sources.model import Person
from grader.exam.bundled import REFERENCE_SOLUTION, RUBRICS
from grader.exam.loader import load_exam
from tests.web.cohorts import documents, keep, losing
from tests.web.site import Site, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOST = "6.1.error_rate"


def handed_in(folder: Path) -> Path:
    """A work of Anna's with her name in a file, and a criterion that is lost at its line."""
    source = folder / "anna"
    source.mkdir()
    text = (REFERENCE_SOLUTION / "alerts.yml").read_text()
    (source / "alerts.yml").write_text(text.replace("> 0.05", "> 0.5  # Anna Alt"))
    place = {"path": "alerts.yml", "line": 6, "first": 6, "lines": ["expr"]}
    made = losing(documents()[0], LOST, "alerts.yml:6", place)
    path = folder / "book.db"
    with open_gradebook(path, write=True, create=True) as book, book.transaction():
        keep(book, Person(key="anna", name="Anna Alt"), made, source=str(source))
    return path


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("files")
    with site(folder, path=handed_in(folder), exam=load_exam(RUBRICS, ALL)) as found:
        yield found


def test_a_finding_leads_to_its_line_in_the_file(here: Site) -> None:
    page = here.get(here.address("anna")).text
    (link,) = re.findall(r'href="([^"]*/file[^"]*)"', page)
    address, _, anchor = html.unescape(link).partition("#")
    shown = here.get(address)
    assert shown.status_code == 200
    assert re.search(rf'class="line meant" id="{anchor}".*# Anna Alt', shown.text)


def test_a_loss_leads_to_the_reference(here: Site) -> None:
    page = here.get(here.address("anna")).text
    (link,) = set(re.findall(r'href="([^"]*/reference/[^"]*)"', page))
    shown = here.get(link).text
    assert re.search(r'class="line removed"><code>-[^<]*Anna Alt', shown)
    assert re.search(r'class="line added"><code>\+[^<]*&gt; 0.05', shown)
    assert "Series for HighErrorRate" in shown


@pytest.mark.parametrize("path", ["../book.db", "/etc/passwd", "", "nothing.py", "\0"])
def test_a_path_that_is_none(path: str, here: Site) -> None:
    shown = here.get(f"{here.address('anna')}/file", params={"path": path, "line": "x"})
    assert (shown.status_code, "not among the submission" in shown.text) == (200, True)


def test_what_is_unknown(here: Site) -> None:
    assert here.get(f"{here.address('anna')}/reference/9.9.x").status_code == 404
    assert here.get("/candidate/000000/file?path=a").status_code == 404


def test_nobody_is_named_in_anonymous_mode(here: Site) -> None:
    with site(here.path.parent, path=here.path, exam=load_exam(RUBRICS, ALL), anonymous=True) as hidden:
        address = hidden.address("anna")
        shown = [
            hidden.get(f"{address}{more}").text for more in ("/file?path=alerts.yml", f"/reference/{LOST}")
        ]
    assert ["HighErrorRate" in each and "Anna" not in each for each in shown] == [True, True]
