from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.cohort.sources.links import Link, repository_link

if TYPE_CHECKING:
    from pathlib import Path

REDIRECT = """<!DOCTYPE html PUBLIC "-//W3C//DTD" "http://www.w3.org/TR/xhtml1/DTD/x.dtd"><html>
<meta http-equiv="refresh" content="0; url=https://github.com/ann/exam" />
<a href="https://github.com/ann/exam">https://github.com/ann/exam</a></html>"""
NONE = "a text was handed in, and no address of a repository is in it"
SCHEME = "the address that was handed in is none by https, which alone is cloned"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (REDIRECT, Link("https://github.com/ann/exam")),
        ("<p>my repo: https://github.com/ann/exam.git.</p>", Link("https://github.com/ann/exam.git")),
        ("https://github.com/a/b/tree/v1.0/src?x=1&amp;y#L1", Link("https://github.com/a/b@v1.0")),
        ("https://gitlab.com/g/h/a/-/commit/0123abc", Link("https://gitlab.com/g/h/a@0123abc")),
        ("https://codeberg.org/a/b/src/tag/v2", Link("https://codeberg.org/a/b@v2")),
        ("see https://example.org and https://github.com/a/b", Link("https://github.com/a/b")),
        ("", Link(unreadable=NONE)),
        ("nothing here", Link(unreadable=NONE)),
        ("file:///etc/passwd", Link(unreadable=SCHEME)),
        ("ext::sh -c id", Link(unreadable=SCHEME)),
        ("git@github.com:a/b.git", Link(unreadable=SCHEME)),
        ("ssh://-oProxyCommand=x/y", Link(unreadable=SCHEME)),
        ("http://10.0.0.1/x", Link(unreadable=SCHEME)),
        (
            "https://github.com/a/b https://github.com/c/d",
            Link(unreadable="a text was handed in with 2 addresses: which is meant cannot be told"),
        ),
    ],
)
def test_what_a_page_names(page: str, expected: Link, tmp_path: Path) -> None:
    (tmp_path / "p.html").write_text(page)
    assert repository_link(tmp_path / "p.html") == expected


def test_a_page_that_is_none(tmp_path: Path) -> None:
    wrong = Link(unreadable="the text that was handed in is too long or cannot be read")
    (tmp_path / "link.html").symlink_to("/etc/passwd")
    with (tmp_path / "long.html").open("wb") as file:
        file.truncate(2**30)
    for name in ("link.html", "long.html", "none.html"):
        assert repository_link(tmp_path / name) == wrong
