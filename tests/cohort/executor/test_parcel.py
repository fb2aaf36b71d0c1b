"""Submissions as they travel."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from grader.checks import ALL
from grader.cohort.executor import parcel
from grader.cohort.executor.parcel import Parcel, pack, unpack
from grader.errors import UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.submission.collect import collect


def submission(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "run.sh").write_text("exit\n")
    (folder / "src" / "run.sh").chmod(0o700)
    (folder / "Makefile").write_text("all:\n")
    (folder / "link").symlink_to("src/run.sh")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").touch()
    (folder / "env").mkdir()
    (folder / "env" / "pyvenv.cfg").touch()
    os.mkfifo(folder / "pipe")
    return folder


def names(content: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.getnames()


def test_nothing_is_no_parcel(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is nothing at"):
        pack(str(tmp_path / "none"))


@pytest.mark.parametrize("where", ["one.bin", "folder/one.bin"])
def test_what_is_too_large_stays(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "MAX_BYTES", 100)
    path = tmp_path / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(101))
    assert pack(str(tmp_path / Path(where).parts[0])) == Parcel()


def test_more_files_than_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "MAX_ENTRIES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    assert pack(str(tmp_path)) == Parcel()


def test_the_same_files_are_the_same_parcel(tmp_path: Path) -> None:
    first, second = (pack(str(submission(tmp_path / where / "ann"))) for where in ("here", "there"))
    os.utime(tmp_path / "there" / "ann" / "Makefile", (1, 1))
    assert first == second == pack(str(tmp_path / "there" / "ann"))
    assert first.name == "ann.tar"
    assert names(first.content) == ["Makefile", "env", "link", "out", "pipe", "src", "src/run.sh"]


def test_a_grader_sees_the_same_there(tmp_path: Path) -> None:
    exam = load_exam(RUBRICS, ALL)
    source = submission(tmp_path / "ann")
    there = tmp_path / "there"
    there.mkdir()
    unpacked = unpack(pack(str(source)), there)
    here, gone = (
        collect(each, exam=exam, into=tmp_path / f"into{number}")
        for number, each in enumerate((str(source), unpacked))
    )
    assert (gone.name, gone.digest, gone.files) == (here.name, here.digest, here.files)
    assert sorted(map(str, gone.remarks)) == sorted(map(str, here.remarks))


def test_an_archive_travels_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ann.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    assert pack(str(tmp_path / "ann.zip")) == Parcel(name="ann.zip", content=b"PK\x05\x06" + bytes(18))


@pytest.mark.parametrize(
    ("name", "written"),
    [("../../ann.tar", "ann.tar"), ("..", "submission"), ("a\0b", "submission"), ("a" * 300, "submission")],
)
def test_no_name_leads_out(name: str, written: str, tmp_path: Path) -> None:
    assert unpack(Parcel(name=name, content=b"x"), tmp_path) == str(tmp_path / written)
