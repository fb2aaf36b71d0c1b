from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from grader.runtime.workspace import assemble, replaced_data
from grader.tools import Tools
from tests.builders import make_submission

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "given.csv"
    path.write_text("given")
    return {"data/train.csv": path}


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def test_given_data_fill_in_and_win_over_another_version(tmp_path: Path, given: dict[str, Path]) -> None:
    submission = make_submission(tmp_path / "s", {"a.py": "a", "data/train.csv": "mine"})
    target = tmp_path / "w"
    target.mkdir()
    assemble(target, submission, given)
    assert tree(target) == {"a.py": "a", "data/train.csv": "given"}
    (finding,) = replaced_data(submission, given)
    assert finding.where == "data/train.csv"
    assert (tmp_path / "s/data/train.csv").read_text() == "mine"


def test_the_same_data_are_no_remark(tmp_path: Path, given: dict[str, Path]) -> None:
    submission = make_submission(tmp_path / "s", {"data/train.csv": "given"})
    assert list(replaced_data(submission, given)) == []


@pytest.mark.parametrize(
    ("without", "left"),
    [
        (["src"], ["data/train.csv", "srcs.py"]),
        (["src/"], ["data/train.csv", "srcs.py"]),
        (["src/a.py", "data/train.csv"], ["src/deep/b.py", "srcs.py"]),
        (["*.py"], ["data/train.csv"]),
    ],
)
def test_without(tmp_path: Path, given: dict[str, Path], without: list[str], left: list[str]) -> None:
    submission = make_submission(tmp_path / "s", {"src/a.py": "", "src/deep/b.py": "", "srcs.py": ""})
    target = tmp_path / "w"
    target.mkdir()
    assemble(target, submission, given, without=without)
    assert sorted(tree(target)) == left


@pytest.mark.parametrize(
    "submitted",
    [
        {"data": "a file where a directory belongs"},
        {"data/train.csv/inner.csv": "a directory where a file belongs"},
        {"x": "", "data/train.csv/a/b": ""},
        {"x/y.csv/z": ""},
    ],
    ids=" ".join,
)
def test_what_is_in_the_way_of_ours_gives_way(
    tmp_path: Path, given: dict[str, Path], submitted: dict[str, str]
) -> None:
    submission = make_submission(tmp_path / "s", {"kept.py": "", **submitted})
    target = tmp_path / "w"
    target.mkdir()
    assemble(target, submission, given, files={"x/y.csv": b"ours"})
    assert tree(target) == {"data/train.csv": "given", "kept.py": "", "x/y.csv": "ours"}


def test_files_come_last_from_bytes_or_from_a_file(tmp_path: Path, given: dict[str, Path]) -> None:
    submission = make_submission(tmp_path / "s", {"a.py": "a"})
    target = tmp_path / "w"
    target.mkdir()
    source = tmp_path / "given.csv"
    source.chmod(0o400)
    assemble(target, submission, {}, without=["a.py"], files={"a.py": b"new", "x/y.csv": source})
    assert tree(target) == {"a.py": "new", "x/y.csv": "given"}
    (target / "x/y.csv").write_text("the candidate may change its copy")


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out"])
def test_nothing_is_placed_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="inside"):
        assemble(tmp_path, None, {}, files={name: b""})


def test_a_repository_is_new_whatever_was_submitted(tmp_path: Path) -> None:
    hostile = "[core]\n\tfsmonitor = touch /tmp/owned\n"
    submission = make_submission(tmp_path / "s", {"a.py": "", ".git/config": hostile})
    target = tmp_path / "w"
    target.mkdir()
    assemble(target, submission, {}, git=Tools().require("git"))
    assert "fsmonitor" not in (target / ".git/config").read_text()
    assert (target / ".git/HEAD").is_file()
