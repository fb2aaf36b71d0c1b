from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from grader.cohort.sources.discover import discover
from grader.cohort.sources.model import Cohort
from grader.errors import UsageError


def packed(**files: str) -> bytes:
    """A zip of files by their names, with `__` for a slash."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in (files or {"answer": "yes\n"}).items():
            archive.writestr(name.replace("__", "/"), text)
    return content.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def rows(cohort: Cohort) -> list[tuple[str, str, str]]:
    """Key, source below the root, and why it cannot be read."""
    return [
        (person.key, os.path.relpath(found.source, cohort.root), found.unreadable)
        for found in cohort.found
        for person in found.people
    ]


def test_folders_and_archives(tmp_path: Path) -> None:
    write(
        tmp_path, {"ann/src/a.py": "1", "bob.zip": packed(), "cem/work.tar.gz": packed(), "grades.csv": "x"}
    )
    cohort = discover(tmp_path)
    assert cohort.kind == "folder of submissions"
    assert rows(cohort) == [("ann", "ann", ""), ("bob", "bob.zip", ""), ("cem", "cem/work.tar.gz", "")]
    assert cohort.remarks == ("skipped, being neither folders nor archives: grades.csv",)


def test_what_cannot_be_read_is_a_row(tmp_path: Path) -> None:
    write(tmp_path, {"a.zip": "no zip", "b.zip": "", "c.rar": b"Rar!\x1a\x07\x01", "d/e/.DS_Store": ""})
    (tmp_path / "f" / "g").mkdir(parents=True)
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "etc").symlink_to("/etc")
    assert rows(discover(tmp_path)) == [
        ("a", "a.zip", "a.zip is no archive (.zip, .tar, .tar.gz)"),
        ("b", "b.zip", "b.zip is empty"),
        ("c", "c.rar", "c.rar is a RAR archive: hand in .zip, .tar or .tar.gz"),
        ("d", "d", "the folder is empty"),
        ("f", "f", "the folder is empty"),
        ("h", "h", "the folder holds nothing but symbolic links"),
    ]


def test_links_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, {"ann/a.py": "1"})
    (tmp_path / "bob").symlink_to("/etc")
    os.mkfifo(tmp_path / "cem.zip")
    cohort = discover(tmp_path)
    assert rows(cohort) == [("ann", "ann", "")]
    assert cohort.remarks == (
        "bob is skipped: it is a symbolic link, which is not followed",
        "cem.zip is skipped: it is neither a file nor a folder",
    )


def test_one_submission_is_no_cohort(tmp_path: Path) -> None:
    write(tmp_path, {"src/train.py": "1", "Dockerfile": "FROM x", "k8s/a.yaml": ""})
    with pytest.raises(UsageError, match=r"is one submission, .* use `grader score "):
        discover(tmp_path, starter=("src/train.py", "Dockerfile"))


def test_moodle(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Ann Lee_12_assignsubmission_file_/exam.zip": packed(),
            "Ann Lee_9_assignsubmission_file/src/a.py": "1",
            "Bob_13_assignsubmission_file_Eve_14_assignsubmission_file_x.zip": packed(),
        },
    )
    cohort = discover(tmp_path)
    assert cohort.kind == "Moodle download"
    assert rows(cohort) == [
        ("12", "Ann Lee_12_assignsubmission_file_/exam.zip", ""),
        ("13", "Bob_13_assignsubmission_file_Eve_14_assignsubmission_file_x.zip", ""),
        ("9", "Ann Lee_9_assignsubmission_file", ""),
    ]
    assert {person.identities for found in cohort.found for person in found.people} == {
        (("moodle-participant", number),) for number in ("9", "12", "13")
    }
    assert {person.email for found in cohort.found for person in found.people} == {""}
