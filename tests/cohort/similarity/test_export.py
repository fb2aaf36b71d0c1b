from __future__ import annotations

import csv
from pathlib import Path

import pytest

from grader.cohort.similarity.export import export_tree
from grader.cohort.similarity.model import Work
from grader.errors import UsageError
from tests.cohort.similarity.copies import write_files


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    write_files({"x": "kept"}, tmp_path / "out")
    with pytest.raises(
        UsageError, match="out is not empty, so nothing was written; name a folder that is new"
    ):
        export_tree([], tmp_path / "out")


def test_a_place_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*; name a folder that is new"):
        export_tree([], tmp_path / "file" / "out")


def test_folders_for_jplag_and_a_table_for_dolos(tmp_path: Path) -> None:
    ann = write_files({"src/a.py": "a", "m.pkl": "no", ".venv/b.py": "no", "=x.py": "x"}, tmp_path / "1")
    other = write_files({"b.py": "b"}, tmp_path / "2")
    (other / "link.py").symlink_to(ann / "src" / "a.py")
    starter = write_files({"start.py": "s"}, tmp_path / "starter")
    target = tmp_path / "new" / "out"
    works = [
        Work(name="=Žofie, ../x", folder=ann),
        Work(name="../..", folder=other),
        Work(name="..", folder=other),
    ]
    assert export_tree(works, target, subtract=[starter, starter / "start.py", tmp_path / "none"]) == 4
    written = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert written == {
        "info.csv",
        "base/0/start.py",
        "base/1/start.py",
        "submissions/Zofie-x/=x.py",
        "submissions/Zofie-x/src/a.py",
        "submissions/submission/b.py",
        "submissions/submission-2/b.py",
    }
    with (target / "info.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [
            ["filename", "label", "full_name"],
            ["submissions/submission/b.py", "submission", ".."],
            ["submissions/submission-2/b.py", "submission-2", "../.."],
            ["submissions/Zofie-x/=x.py", "Zofie-x", "'=Žofie, ../x"],
            ["submissions/Zofie-x/src/a.py", "Zofie-x", "'=Žofie, ../x"],
        ]
