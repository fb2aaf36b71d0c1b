from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from grader.checks.project import gitignore
from grader.checks.project.gitignore import ignores, ignores_any, tracks
from grader.errors import GraderFault, ToolMissing
from grader.results import Finding, Outcome, Verdict, failed, passed
from grader.tools import Tools
from tests.builders import decide as decide_check
from tests.builders import make_context as make_any_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from grader.check import Check
    from grader.context import Context

CACHE = ["__pycache__/a.cpython-311.pyc", "src/deep/__pycache__/a.cpython-311.pyc"]
VENV = [".venv/pyvenv.cfg", ".venv/bin/python"]
DATA = ["data/train.csv", "data/other.csv"]
DVC = ["data/train.csv.dvc", ".dvc/config", "dvc.yaml"]


def decide(check: Check, context: Context, **parameters: Any) -> Outcome:
    return decide_check(check, context, file="gitignore", **parameters)


def make_context(root: Path, files: Mapping[str, str | bytes], **fields: Any) -> Context:
    return make_any_context(root, files, deliverables={"gitignore": ".gitignore"}, **fields)


def ask(root: Path, text: str | bytes, paths: list[str], **nested: str) -> Outcome:
    files = {".gitignore": text} | {f"{name}/.gitignore": content for name, content in nested.items()}
    return decide(ignores, make_context(root, files), paths=paths)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("__pycache__/", CACHE),
        ("*.pyc", CACHE),
        ("**/__pycache__/**", CACHE),
        ("*.py[cod]\r\n", CACHE),
        (".venv/", VENV),
        (".venv", VENV),
        ("/.venv/\n", VENV),
        (".*", VENV),
        ("data/*.csv", DATA),
        ("*.csv", DATA),
        ("/data/*\n!/data/*.dvc", DATA),
        ("data/", DATA),
        ("*.csv\n!keep.csv", DATA),
    ],
)
def test_ignored(tmp_path: Path, text: str, paths: list[str]) -> None:
    assert ask(tmp_path, text, paths) == passed()


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", CACHE),
        ("/__pycache__/", CACHE),
        ("src/__pycache__", CACHE),
        ("# __pycache__/", CACHE),
        ("venv/", VENV),
        ("data/train.csv", DATA),
        ("raw/*.csv", DATA),
        ("*.csv\n!data/*.csv", DATA),
        ("data/*.CSV", DATA),
    ],
)
def test_not_ignored(tmp_path: Path, text: str, paths: list[str]) -> None:
    assert ask(tmp_path, text, paths).verdict is Verdict.FAILED


def test_the_finding_names_the_pattern_that_decided(tmp_path: Path) -> None:
    assert ask(tmp_path, "*.csv\n!other.csv\n", DATA) == failed(
        Finding(
            message="data/other.csv is not ignored",
            actual="re-included by the pattern '!other.csv'",
            where=".gitignore:2",
        )
    )
    assert ask(tmp_path / "b", "", ["data/train.csv"]) == failed(
        Finding(message="data/train.csv is not ignored", actual="no pattern matches it", where=".gitignore")
    )


def test_what_has_one_cause_is_one_finding(tmp_path: Path) -> None:
    assert ask(
        tmp_path, "*.csv\n!other*.csv\n", ["a/other.csv", "b.txt", "a/b.txt", "other2.csv", "c.csv"]
    ) == failed(
        Finding(
            message="not ignored: a/other.csv, other2.csv",
            actual="re-included by the pattern '!other*.csv'",
            where=".gitignore:2",
        ),
        Finding(message="not ignored: b.txt, a/b.txt", actual="no pattern matches", where=".gitignore"),
    )


def test_nested_ignore_files_belong_to_it(tmp_path: Path) -> None:
    assert ask(tmp_path, "", ["data/train.csv"], data="/train.csv\n") == passed()


def test_an_ignore_file_that_hides_itself_does_not_speak_for_the_candidate(tmp_path: Path) -> None:
    assert ask(tmp_path, "", VENV, **{".venv": "*\n"}).verdict is Verdict.FAILED


def test_any(tmp_path: Path) -> None:
    context = make_context(tmp_path, {".gitignore": "*.pt\n"})
    assert decide(ignores_any, context, paths=["models/m.pt", "models/m.onnx"]) == passed()
    assert decide(ignores_any, context, paths=["models/m.h5"]).verdict is Verdict.FAILED


@pytest.mark.parametrize("text", ["data/*.csv", "*.csv\n!*.dvc", "/data/*\n!/data/*.dvc", "data/train.csv"])
def test_tracked(tmp_path: Path, text: str) -> None:
    context = make_context(tmp_path, {".gitignore": text, ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"})
    assert decide(tracks, context, paths=DVC, while_ignoring=["data/train.csv"]) == passed()


@pytest.mark.parametrize(
    "text", ["", "data/\n!*.dvc", "data/*", "*.csv\n*.dvc", "*.csv\n.dvc/", "*.csv\n*.yaml", "*"]
)
def test_not_tracked(tmp_path: Path, text: str) -> None:
    context = make_context(tmp_path, {".gitignore": text})
    outcome = decide(tracks, context, paths=DVC, while_ignoring=["data/train.csv"])
    assert outcome.verdict is Verdict.FAILED


def test_the_submissions_own_files_are_tracked_too(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".gitignore": "*.csv\nmodels/\nvenv/\n",
        "models/model.pkl.dvc": "",
        "raw.dvc": "",
        "venv/lib/x.dvc": "",
    }
    context = make_context(tmp_path, files)
    given = {"paths": ["data/train.csv.dvc"], "while_ignoring": ["data/train.csv"]}
    assert decide(tracks, context, **given) == passed()
    [finding] = decide(tracks, context, **given, submitted=["*.dvc"]).findings
    assert finding.message == "models/model.pkl.dvc is ignored, so git would not track it"


def test_files_over_the_bound_are_a_remark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitignore, "MAX_SUBMITTED", 1)
    context = make_context(tmp_path, {".gitignore": "*.csv\nb.dvc\n", "a.dvc": "", "b.dvc": ""})
    outcome = decide(tracks, context, paths=[], while_ignoring=["data/train.csv"], submitted=["*.dvc"])
    assert outcome == passed(Finding(message="1 of 2 files were not looked at"))


def test_ignore_files_of_tools_are_read_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gitignore, "MAX_IGNORE_FILES", 2)
    files: dict[str, str | bytes] = {f"mlruns/{n}/.gitignore": "x\n" for n in range(3)}
    files |= {"data/deep/.gitignore": "*.csv\n", ".gitignore": "*.pkl\n"}
    context = make_context(tmp_path, files)
    remark = Finding(message="3 of 5 ignore files were not read")
    assert decide(ignores, context, paths=["data/deep/a.csv", "m.pkl"]) == passed(remark)
    assert decide(ignores, context, paths=["a.h5"]).findings[-1] == remark


def test_an_ignored_folder_hides_what_is_taken_out_again(tmp_path: Path) -> None:
    context = make_context(tmp_path, {".gitignore": "data/\n!*.dvc\n"})
    outcome = decide(tracks, context, paths=["data/train.csv.dvc"], while_ignoring=["data/train.csv"])
    assert outcome == failed(
        Finding(
            message="data/train.csv.dvc is ignored, so git would not track it",
            expected="tracked",
            actual="ignored by the pattern 'data/'",
            where=".gitignore:1",
        )
    )


def test_no_ignore_file_at_all(tmp_path: Path) -> None:
    assert decide(ignores, make_context(tmp_path, {}), paths=CACHE).verdict is Verdict.FAILED


def test_the_user_of_this_machine_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "ignore").write_text("*\n")
    (home / ".gitconfig").write_text(f"[core]\n\texcludesFile = {home}/.config/git/ignore\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    assert ask(tmp_path / "submission", "", CACHE).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "files",
    [
        {".gitignore": b"\xff\xfe\x00*.csv\n\x00"},
        {".gitignore": b"*" * 5000 + b"x\n"},
        {".gitignore": "[\n\\\n!\n/\n**/[a-\n"},
        {"data/train.csv/.gitignore": "*.csv\n"},
        {"data/.gitignore/.gitignore": "*.csv\n"},
        {".git/.gitignore": "*\n", ".git/config/.gitignore": "*\n"},
    ],
)
def test_hostile_ignore_files_are_no_crash(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    assert decide(ignores, make_context(tmp_path, files), paths=DATA).verdict is Verdict.FAILED


def test_without_git_it_cannot_tell(tmp_path: Path) -> None:
    context = make_context(tmp_path, {".gitignore": "*"}, without=frozenset({"git"}))
    with pytest.raises(ToolMissing):
        decide(ignores, context, paths=CACHE)


def fake_git(folder: Path, script: str) -> Path:
    """A git that fails in one chosen way, and is itself otherwise."""
    path = folder / "bin" / "git"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n{script}\nexec {Tools().require("git")} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("fails", "detail"),
    [("sleep 60", "no answer within 2 s"), ("echo fatal: memory; exit 128", "fatal: memory")],
)
def test_a_git_that_the_ignore_file_breaks(
    fails: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = fake_git(tmp_path, f'[ "$1" = check-ignore ] && [ -e .gitignore ] && {{ {fails}; }}')
    monkeypatch.setattr(gitignore, "SECONDS", 2)
    monkeypatch.setattr(Tools, "require", lambda *_: git)
    (tmp_path / "work").mkdir()
    finding = Finding(message="git cannot list the ignored files", detail=detail, where=".gitignore")
    context = make_context(tmp_path / "work", {".gitignore": "*.csv"})
    assert decide(ignores, context, paths=DATA) == failed(finding)
    assert decide(ignores_any, context, paths=DATA) == failed(finding)
    assert decide(tracks, context, paths=DVC, while_ignoring=DATA) == failed(finding)


def test_a_git_that_breaks_by_itself_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = fake_git(tmp_path, '[ "$1" = check-ignore ] && exit 128')
    monkeypatch.setattr(Tools, "require", lambda *_: git)
    (tmp_path / "work").mkdir()
    context = make_context(tmp_path / "work", {".gitignore": "*.csv"})
    with pytest.raises(GraderFault, match="git failed to list the ignored files"):
        decide(ignores, context, paths=tuple(DATA))


def test_ignore_files_without_end(tmp_path: Path) -> None:
    (finding,) = ask(tmp_path, "data/*.csvx\n" * 100_000, DATA).findings
    assert finding.message == "the ignore files were not checked: they are over 1 MB together"


@pytest.mark.parametrize("pattern", ["*a" * 250_000, "**/" * 150_000 + "x", "[a-" * 150_000, "?*" * 4_000])
def test_patterns_without_end(tmp_path: Path, pattern: str) -> None:
    assert ask(tmp_path, pattern, DATA).verdict is Verdict.FAILED
