from __future__ import annotations

import pytest

from grader.submission.git_revision import Revision, revision


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://host/org/exam.git", Revision("https://host/org/exam.git", "")),
        ("https://host/org/exam.git@v1.2", Revision("https://host/org/exam.git", "v1.2")),
        ("https://host/org/exam@feature/x", Revision("https://host/org/exam", "feature/x")),
        ("https://host/org/exam#v1@2", Revision("https://host/org/exam", "v1@2")),
        ("https://me:secret@host/org/exam", Revision("https://me:secret@host/org/exam", "")),
        ("https://me@host/org/exam@main", Revision("https://me@host/org/exam", "main")),
        ("https://host/@me/exam.git", Revision("https://host/@me/exam.git", "")),
        ("https://host/a@b/exam.git", Revision("https://host/a@b/exam.git", "")),
        ("git@host:org/exam.git", Revision("git@host:org/exam.git", "")),
        ("git@host:org/exam.git@main", Revision("git@host:org/exam.git", "main")),
        ("ssh://git@host/org/exam@abc123", Revision("ssh://git@host/org/exam", "abc123")),
        ("file:///srv/exam@main", Revision("file:///srv/exam", "main")),
        ("nowhere@main", None),
    ],
)
def test_where_a_revision_begins(source: str, expected: Revision | None) -> None:
    assert revision(source) == expected


def test_a_title_holds_no_password() -> None:
    found = revision("https://me:secret@host/org/exam.git@v1")
    assert found is not None
    assert found.title == "exam@v1"
