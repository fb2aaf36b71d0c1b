"""Artifacts of strangers: whatever they hold, they become a grade or a complaint."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import pytest

from grader.errors import UsageError
from grader.github import artifact
from grader.github.artifact import fetch_grade
from tests.github.fake import REPOSITORY, GitHub, archive, document


def fetch(data: bytes, **fields: Any) -> object:
    github = GitHub()
    github.upload(7, data, **fields)
    return fetch_grade(github.api(), REPOSITORY, 7, "grade")


def test_the_newest_of_a_name_is_taken() -> None:
    github = GitHub()
    for title in ("old", "new"):
        exam = {"id": "e", "title": title, "version": "1", "digest": "d", "criteria": 1}
        github.upload(7, archive({"grade.json": document(exam=exam)}))
    github.upload(7, b"", name="other")
    github.upload(7, b"", expired=True)
    assert fetch_grade(github.api(), REPOSITORY, 7, "grade").exam["title"] == "new"


def bomb() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file, file.open("grade.json", "w") as member:
        for _ in range(artifact.MAX_GRADE_BYTES // 2**20 + 1):
            member.write(b" " * 2**20)
    return data.getvalue()


def liar() -> bytes:
    """Says of itself that it is small."""
    data = bytearray(bomb())
    place = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, place + 24, 10)
    return bytes(data)


def compressed(kind: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", kind) as file:
        file.writestr("grade.json", document())
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is not a valid archive"),
        (b"PK\x03\x04" + b"\0" * 100, "is not a valid archive"),
        (archive({"../grade.json": document()}), "has no grade.json"),
        (archive({"grade.json": b"{"}), "is not valid JSON"),
        (archive({"grade.json": b"\xff\xfe"}), "is not valid JSON"),
        (archive({"grade.json": b"[" * 100_000}), "is not valid JSON"),
        (archive({"grade.json": b'{"score": {"earned": 110}}'}), "is not the document of a grade"),
        (archive({"grade.json": document(seed=float("inf"))}), "is not the document of a grade"),
        (compressed(zipfile.ZIP_LZMA), "is compressed in an unusual way"),
        (bomb(), "is larger than 16 MiB"),
        (liar(), "run 7"),
    ],
    ids=[
        "empty",
        "cut",
        "climbs",
        "no JSON",
        "no text",
        "deep",
        "no grade",
        "infinite",
        "lzma",
        "bomb",
        "liar",
    ],
)
def test_what_is_no_grade_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        fetch(data)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"expired": True}, "run 7 has no artifact 'grade'"),
        ({"name": "Grade"}, "run 7 has no artifact 'grade'"),
        ({"size_in_bytes": 2**24 + 1}, "the artifact of run 7 is larger than 16 MiB"),
    ],
)
def test_an_artifact_that_is_not_there_or_too_large(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        fetch(archive({"grade.json": document()}), **fields)
    assert str(caught.value) == complaint


def test_a_name_in_the_archive_is_never_a_path(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fetch(archive({"../evil": b"x", "/evil": b"x", "grade.json": document()}))
    assert list(tmp_path.iterdir()) == []
