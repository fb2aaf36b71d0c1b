"""The pages as files."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from grader.cli import main
from grader.cohort.gradebook import open_gradebook
from grader.web.copy import file_of, pages
from tests.cohort.exports.books import done, make_book
from tests.web.site import book_of_four


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def links(page: bytes) -> _Links:
    parser = _Links()
    parser.feed(page.decode())
    return parser


def test_every_link_leads_to_a_file_and_nothing_runs_or_writes(tmp_path: Path) -> None:
    with open_gradebook(book_of_four(tmp_path)) as book:
        files = dict(pages(book))
    assert [name for name in files if "/" not in name] == [
        *("index.html", "criteria.html", "statistics.html", "similar.html", "trail.html")
    ]
    assert sum(name.startswith("candidate/") for name in files) == 4
    for name, data in files.items():
        if name.endswith(".html"):
            found = links(data)
            assert {"script", "form", "button", "img"} & set(found.tags) == set()
            for link in found.found:
                path = link.partition("#")[0]
                target = (
                    re.sub(r"(^|/)[^/.]+/\.\./", r"\1", (Path(name).parent / path).as_posix())
                    if path
                    else name
                )
                assert target in files, (name, link)


def test_no_name_leads_out_of_the_folder() -> None:
    assert file_of("criterion", "1.1.a") == "criterion/1.1.a.html"
    for name in ("../../x", "..", "a/b", "ü", "x" * 100):
        assert re.fullmatch(r"criterion/[0-9a-f]{16}\.html", file_of("criterion", name))


def test_numbers_stand_for_names(tmp_path: Path) -> None:
    with open_gradebook(book_of_four(tmp_path)) as book:
        for name, data in pages(book, anonymous=True):
            assert b"anna" not in data.lower(), name


def test_a_folder_is_written_with_a_page_for_each_to_hand_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_book(tmp_path / "gradebook.db", done("anna", "Anna Alt"))
    words = ["grader", "gradebook", "export", "--html", "copy"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == "copy/index.html: everything, for you; 1 feedback page beside it\n"
    assert [path.name for path in (tmp_path / "copy" / "feedback").iterdir()] == ["Anna Alt anna.html"]
