from __future__ import annotations

import io
import os
import random
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.cohort.gradebook import open_gradebook
from grader.cohort.sources.discover import discover
from grader.cohort.sources.model import Person
from grader.errors import UsageError
from grader.exam.model import Deliverable
from grader.submission.collect import collect
from tests.cohort.sources.folders import look, packed, rows, write
from tests.exams import exam_of

HOSTILE = (
    "Ann Lee",
    "de la Cruz, María-José",
    'O\'Brien "Bob"',
    "under_score_7",
    "-rf",
    "--help",
    "=1+1",
    "<img src=x onerror=alert(1)>",
    "💥 boom 👩‍👩‍👧",
    "שלום עולם",
    "\u202egnp.exe",
    "two\nlines",
    "tab\there",
    "\x1b[31mred",
    "$(reboot)",
    "`id`",
    "x..",
    "%2e%2e%2f",
    "a" * 240,
    "me@host",
    "a#b",
    "C:\\Users\\x",
    "null",
    "nbsp\u00a0name",
    "ligature ﬁ",
)
AFTERWARDS = (
    "Đặng Thị Ánh",
    "\U0001d56c\U0001d593\U0001d593",
    "Ann\u200bLee",
    "foo.zip.exe",
    "CON",
    "a:b|c?d*e",
    "😀" * 50,
    " leading and trailing ",
    "{{7*7}}",
    "'; DROP TABLE candidate; --",
    "\u2066iso\u2069",
    "ﷺ",
    "::error::x",
    "~",
    "café_\u0301",
)
"""Names of which nobody had thought when the code was written."""


@pytest.mark.parametrize("name", HOSTILE + AFTERWARDS)
def test_any_name_is_a_key_and_its_source_can_be_collected(name: str, tmp_path: Path) -> None:
    write(tmp_path / "all", {f"{name}/answer": "yes\n"})
    (found,) = look(tmp_path / "all", tmp_path).found
    assert [person.key for person in found.people] == [name]
    assert found.unreadable == ""
    submission = collect(
        found.source, exam=exam_of(Deliverable(id="a", path="answer")), into=tmp_path / "copy"
    )
    assert [str(path) for path in submission.files] == ["answer"]


def test_a_name_that_is_no_text_is_a_key_and_its_source_can_be_collected(tmp_path: Path) -> None:
    write(tmp_path / "all", {os.fsdecode(b"M\xfcller/answer"): "yes"})
    (found,) = look(tmp_path / "all", tmp_path).found
    assert (found.people, found.unreadable) == ((Person(key="M\\udcfcller", name="M\\udcfcller"),), "")
    assert found.source == found.source.encode("ascii", "replace").decode()
    submission = collect(
        found.source, exam=exam_of(Deliverable(id="a", path="answer")), into=tmp_path / "copy"
    )
    assert [str(path) for path in submission.files] == ["answer"]


def test_names_by_chance(tmp_path: Path) -> None:
    dice = random.Random(7)
    names = {
        "".join(chr(dice.choice((dice.randrange(1, 127), dice.randrange(0xA0, 0x2FFF)))) for _ in range(8))
        for _ in range(60)
    }
    wanted = sorted(name.replace("/", "_").strip(".") or "x" for name in names)
    write(tmp_path / "all", {f"{name}/answer": "yes" for name in wanted})
    cohort = look(tmp_path / "all", tmp_path)
    assert len(cohort.found) == len(wanted)
    assert all(Path(found.source, "answer").is_file() for found in cohort.found)


def test_folders_and_archives(tmp_path: Path) -> None:
    write(
        tmp_path / "all",
        {"ann/src/a.py": "1", "bob.zip": packed(), "cem/work.tar.gz": packed(), "grades.csv": "x"},
    )
    cohort = look(tmp_path / "all", tmp_path)
    assert cohort.kind == "folder of submissions"
    assert rows(cohort) == [("ann", "ann", ""), ("bob", "bob.zip", ""), ("cem", "cem/work.tar.gz", "")]
    assert cohort.remarks == ("skipped, being neither folders nor archives: grades.csv",)


def test_what_cannot_be_read_is_a_row(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {
            "a.zip": "no zip",
            "b.zip": "",
            "c.rar": b"Rar!\x1a\x07\x01",
            "d/e/.DS_Store": "",
            "i.ZIP": packed(),
        },
    )
    (root / "f" / "g").mkdir(parents=True)
    (root / "h").mkdir()
    (root / "h" / "etc").symlink_to("/etc")
    assert rows(look(root, tmp_path)) == [
        ("a", "a.zip", "a.zip is no archive (.zip, .tar, .tar.gz)"),
        ("b", "b.zip", "b.zip is empty"),
        ("c", "c.rar", "c.rar is a RAR archive: hand in .zip, .tar or .tar.gz"),
        ("d", "d", "the folder is empty"),
        ("f", "f", "the folder is empty"),
        ("h", "h", "the folder holds nothing but symbolic links"),
        ("i", "i.ZIP", ""),
    ]


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"ann/a.py": "1"})
    (root / "bob").symlink_to("/etc")
    os.mkfifo(root / "cem.zip")
    cohort = look(root, tmp_path)
    assert rows(cohort) == [("ann", "ann", "")]
    assert cohort.remarks == (
        "bob is skipped: it is a symbolic link, which is not followed",
        "cem.zip is skipped: it is neither a file nor a folder",
    )


def test_what_desktops_leave_is_no_submission(tmp_path: Path) -> None:
    litter = {"__MACOSX/._ann/x": "", ".DS_Store": "", "Thumbs.db": "", "desktop.ini": "", "._ann.zip": "x"}
    root = write(tmp_path / "all", {"ann/exam.zip": packed(), "ann/__MACOSX/._exam.zip": "", **litter})
    assert rows(look(root, tmp_path)) == [("ann", "ann/exam.zip", "")]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"ann/a.py": "1", "bob.zip": packed()})
    with (root / "bob.zip").open("ab") as file:
        file.truncate(2**41)
    with (root / "ann" / "huge.bin").open("wb") as file:
        file.truncate(2**41)
    assert rows(look(root, tmp_path)) == [("ann", "ann", ""), ("bob", "bob.zip", "")]


def test_one_archive_among_documents_is_the_work_and_among_files_is_not(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all",
        {"ann/x.zip": packed(), "ann/readme.pdf": "", "bob/data.zip": packed(), "bob/Makefile": "all:"},
    )
    cohort = look(root, tmp_path)
    assert rows(cohort) == [("ann", "ann/x.zip", ""), ("bob", "bob", "")]
    assert cohort.remarks == (
        "ann: only the archive is read, not what is beside it: readme.pdf",
        "bob: archives among the files are not read: data.zip",
    )


def test_two_archives_are_two_submissions_of_one(tmp_path: Path) -> None:
    root = write(
        tmp_path / "all", {"ann/1.zip": packed(), "ann/2.zip": packed(), "bob/a": "", "bob.zip": packed()}
    )
    os.utime(root / "ann" / "2.zip", (1.6e9, 1.6e9))
    cohort = look(root, tmp_path)
    assert [(found.people[0].key, found.tag) for found in cohort.found] == [
        ("ann", "2.zip"),
        ("ann", "1.zip"),
        ("bob", "bob"),
        ("bob", "bob.zip"),
    ]
    assert cohort.found[0].submitted_at == datetime.fromtimestamp(1.6e9, UTC)
    assert cohort.found[0].evidence == "file time"
    assert cohort.remarks == (
        "ann: each of 2 archives is taken for a submission by itself: 1.zip, 2.zip",
        "taken for submissions of one candidate, bob: bob, bob.zip",
    )


@pytest.mark.parametrize("packs", [False, True])
def test_one_submission_is_no_cohort(packs: bool, tmp_path: Path) -> None:
    files = {"src/train.py": "1", "Dockerfile": "FROM x", "k8s/a.yaml": ""}
    source = write(tmp_path / "ann", dict(files))
    if packs:
        source = tmp_path / "ann.zip"
        source.write_bytes(packed({f"ann/{name}": text for name, text in files.items()}))
    with pytest.raises(UsageError, match=r"is one submission, not many: use `grader score .*`"):
        look(source, tmp_path, starter=("src/train.py", "Dockerfile"))


def test_what_is_no_source_is_said_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, {"a.zip": "no zip", "empty/.DS_Store": "", "notes/a.txt": "x"})
    for source, message in (
        ("nowhere", "there is nothing at "),
        ("a.zip", "is no folder, archive"),
        ("empty", "holds no submissions: taken for a folder of submissions, there is none among nothing"),
        ("notes", "there is none among a.txt"),
    ):
        with pytest.raises(UsageError, match=message):
            look(tmp_path / source, tmp_path)
    with pytest.raises(UsageError, match="does not say its zone"):
        look(tmp_path / "notes", tmp_path, deadline=datetime(2026, 1, 1))


def test_a_download_in_one_file_is_unpacked_once(tmp_path: Path) -> None:
    names = {f"dl/S{index}_{index}_assignsubmission_file_/x.zip": "no zip" for index in range(3)}
    names["dl/../../evil"] = "x"
    (tmp_path / "course.zip").write_bytes(packed(names))
    first = look(tmp_path / "course.zip", tmp_path)
    inode = Path(first.found[0].source).stat().st_ino
    again = look(tmp_path / "course.zip", tmp_path)
    assert again == first
    assert Path(again.found[0].source).stat().st_ino == inode
    assert first.kind == "Moodle download"
    assert [row[0] for row in rows(first)] == ["0", "1", "2"]
    assert {found.submitted_at for found in first.found} == {None}
    assert first.remarks == ("course.zip: left out: its path points outside the archive (dl/../../evil)",)
    assert not (tmp_path / "evil").exists()


def test_what_wraps_a_download_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b", {"ann.zip": packed(), "bob.zip": packed()})
    assert look(tmp_path / "a", tmp_path).root == tmp_path / "a" / "b"
    write(tmp_path / "c" / "ann", {"src/a.py": "", "docs/a.md": ""})
    assert rows(look(tmp_path / "c", tmp_path)) == [("ann", "ann", "")]


def test_a_tar_of_names_that_are_no_text(tmp_path: Path) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name in ("Müller/answer", "Ann/answer"):
            archive.addfile(replace_size(tarfile.TarInfo(name), 3), io.BytesIO(b"yes"))
    (tmp_path / "all.tar").write_bytes(content.getvalue())
    cohort = look(tmp_path / "all.tar", tmp_path)
    assert [found.people[0].key for found in cohort.found] == ["Ann", "M\\udcfcller"]
    assert all(Path(found.source, "answer").is_file() for found in cohort.found)


def replace_size(info: tarfile.TarInfo, size: int) -> tarfile.TarInfo:
    info.size = size
    return info


def test_whole_rows(tmp_path: Path) -> None:
    root = write(tmp_path / "all", {"ann.zip": packed()})
    os.utime(root / "ann.zip", (1.7e9, 1.7e9))
    (found,) = look(root, tmp_path, deadline=datetime.fromtimestamp(1.7e9 - 1, UTC)).found
    assert found == replace(
        found,
        people=(Person(key="ann", name="ann"),),
        source=str(root / "ann.zip"),
        tag="ann.zip",
        submitted_at=datetime.fromtimestamp(1.7e9, UTC),
        evidence="file time",
        late=True,
        unreadable="",
        retry=False,
    )


def test_what_is_ours_beside_the_submissions_is_none(tmp_path: Path) -> None:
    ours = {"g.db.files/together/x/y": "", "g.db": "", "g.db.lock": ""}
    root = write(tmp_path / "all", {"ann.zip": packed(), **ours})
    cohort = discover(root, aside=root / "g.db.files")
    assert rows(cohort) == [("ann", "ann.zip", "")]
    assert cohort.remarks == ()


def test_nor_is_another_gradebook(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "ann.zip": packed(),
        "last.db.files/together/x/y": "",
        "no.db.files/x/y": "",
    }
    root = write(tmp_path / "all", files)
    open_gradebook(root / "last.db", write=True, create=True).close()
    assert [key for key, _, _ in rows(discover(root, aside=root / "g.db.files"))] == ["ann", "no.db.files"]
