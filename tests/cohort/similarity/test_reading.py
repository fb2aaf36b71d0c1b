"""Submissions that want to be in the way."""

from __future__ import annotations

import json
import os
import re
import threading
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from grader.cohort.similarity import reading
from grader.cohort.similarity.model import Skipped, Trace, Work
from grader.cohort.similarity.reading import read, read_all, read_given

PROGRAM = "\n".join(f"value_{at} = compute({at}) + other[{at}]" for at in range(20))


def work(folder: Path, files: dict[str, str | bytes], **more: tuple[str, ...]) -> Work:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Work(name="w", folder=folder, **more)  # type: ignore[arg-type]


def skipped(path: str, reason: str) -> tuple[Skipped, ...]:
    return (Skipped(name="w", path=path, reason=reason),)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = read(Work(name="w", folder=tmp_path / "none"))
    assert (found.paths, found.hashes.tolist(), found.traces, found.skipped) == ((), [], {}, ())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * 5_000_001, "it has more than 200,000 bytes"),
        (b"x" * (6 * 2**20), "it has more than 5 MiB"),
        (b"x = '" + b"y" * 6_000 + b"'", "a line has more than 5,000 characters"),
        (b"\0\1\2", "it is not text"),
    ],
)
def test_a_file_that_is_too_much(content: bytes, reason: str, tmp_path: Path) -> None:
    found = read(work(tmp_path, {"a.py": content, "b.py": PROGRAM}))
    assert (found.paths, found.skipped) == (("b.py",), skipped("a.py", reason))
    assert len(found.hashes)


@pytest.mark.parametrize(
    "content",
    [
        "(" * 100_000,
        "f'{" * 3_000,
        "'''" * 60_001,
        "\\\n" * 90_000,
        "\t" * 4_999,
        "'\\" * 2_000,
        "a." * 2_000,
        "[" * 4_000 + "]" * 4_000,
    ],
)
@pytest.mark.parametrize(
    "name", ["a.py", "a.yaml", "a.toml", "Dockerfile", "Makefile", "a.sh", "a.md", "a.json"]
)
def test_texts_on_which_lexers_may_choke(
    name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_SECONDS", 0.5)
    lines = "\n".join(content[at : at + 4_000] for at in range(0, len(content), 4_000))
    found = read(work(tmp_path, {name: lines, "z.py": PROGRAM}))
    assert "z.py" in found.paths


def test_a_lexer_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(text: str, _language: object) -> list[tuple[str, int]]:
        return [("x", 1)] if "fine" in text else [(str(re.match("(a+)+$", "a" * 60 + "b")), 1)]

    monkeypatch.setattr(reading, "tokens", hang)
    monkeypatch.setattr(reading, "MAX_SECONDS", 0.05)
    found = read(work(tmp_path, {"a.py": "bad", "b.py": "fine"}))
    assert (found.paths, found.skipped) == (("b.py",), skipped("a.py", "reading it took more than 0 s"))


def test_a_submission_has_its_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SUBMISSION_SECONDS", -1.0)
    found = read(work(tmp_path, {"a.py": PROGRAM}))
    assert found.skipped == skipped("", "it took more than -1 s; the rest was not read")


@pytest.mark.parametrize(
    ("bound", "value", "path", "reason"),
    [
        ("MAX_FILES", 1, "", "it has more than 1 files that could be compared"),
        ("MAX_TOTAL_BYTES", 10, "", "it has more than 0 MiB; the rest was not read"),
        ("MAX_FINGERPRINTS", 10, "b.py", "the submission has more than 10 fingerprints"),
        ("MAX_ENTRIES", 1, "", "it has too many files or folders; some were not looked at"),
    ],
)
def test_bounds_of_a_submission(
    bound: str, value: int, path: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, bound, value)
    found = read(work(tmp_path, {"b.py": PROGRAM, "c.py": "x = 1"}))
    assert found.skipped == skipped(path, reason)
    assert len(found.hashes) <= 10 or bound != "MAX_FINGERPRINTS"


def test_not_every_skipped_file_is_named(tmp_path: Path) -> None:
    found = read(work(tmp_path, {f"{at}.py": b"\0" for at in range(60)}))
    assert len(found.skipped) == reading.MAX_SKIPPED


def test_links_pipes_and_junk_are_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text(PROGRAM)
    root = tmp_path / "root"
    made = work(root, {".venv/lib/a.py": PROGRAM, "node_modules/a.py": PROGRAM, "a.py": PROGRAM})
    (root / "link.py").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.py")
    assert read(made).paths == ("a.py",)


def test_traces_of_a_submission(tmp_path: Path) -> None:
    log = "0 1 Jana Novak <jana@uni.cz> 17 +0100\tcommit: /home/other/x\n"
    made = work(
        tmp_path,
        {".git/logs/HEAD": log, "notes.md": "see /home/jnovak/x", "a.csv": "someone@uni.cz," * 50},
        emails=("J.Novak@uni.cz",),
        logins=("jn",),
    )
    assert read(made).traces == {
        (Trace.HOME, "jnovak"): "notes.md",
        (Trace.EMAIL, "jana@uni.cz"): ".git/logs/HEAD",
        (Trace.EMAIL, "j.novak@uni.cz"): "",
        (Trace.HOME, "jn"): "",
    }


def test_equal_code_in_a_notebook_and_in_a_program_is_equal(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": PROGRAM}]
    one = read(work(tmp_path / "1", {"a.ipynb": json.dumps({"cells": cells})}))
    other = read(work(tmp_path / "2", {"a.py": PROGRAM}))
    assert one.hashes.tolist() == other.hashes.tolist() != []


def test_every_hash_of_given_files_is_known(tmp_path: Path) -> None:
    made = work(tmp_path, {"a.py": PROGRAM, "b.bin": b"x" * 300})
    for given in (read_given([tmp_path]), read_given([tmp_path / "a.py", tmp_path / "b.bin"])):
        found = read(made)
        assert set(found.hashes.tolist()) < given.hashes
        assert found.traces.keys() <= given.traces
    assert read_given([tmp_path / "none"]) == reading.Given(frozenset(), frozenset())


def test_other_processes_and_threads_read_the_same(tmp_path: Path) -> None:
    made = [work(tmp_path / str(at), {"a.py": PROGRAM.replace("compute", f"f{at}")}) for at in range(9)]
    alone = read_all(made, 1)
    found: list[list[reading.Reading]] = []
    thread = threading.Thread(target=lambda: found.append(read_all(made, 1)))
    thread.start()
    thread.join()
    assert [each.hashes.tolist() for each in found[0]] == [each.hashes.tolist() for each in alone]
    assert [(each.paths, each.traces) for each in found[0]] == [(each.paths, each.traces) for each in alone]


class _DyingPool:
    """Processes that die of `bad`, whoever else is in the same one."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> _DyingPool:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, _function: object, works: list[Work]) -> Future[list[reading.Reading]]:
        future: Future[list[reading.Reading]] = Future()
        if any(each.name == "bad" for each in works):
            future.set_exception(BrokenProcessPool())
        else:
            future.set_result([read(each) for each in works])
        return future


def test_a_process_that_dies_takes_nobody_else_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ProcessPoolExecutor", _DyingPool)
    good = work(tmp_path, {"a.py": PROGRAM})
    found = read_all([good, Work(name="bad", folder=tmp_path)], 2)
    assert [each.paths for each in found] == [("a.py",), ()]
    assert found[1].skipped == (Skipped(name="bad", path="", reason="the process that read it died"),)
