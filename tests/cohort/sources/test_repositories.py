from __future__ import annotations

import json
import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader.cohort.sources import repositories
from grader.cohort.sources.model import Found, Person
from grader.cohort.sources.repositories import Wanted, find
from grader.errors import UsageError
from grader.exam.model import Deliverable
from grader.submission.collect import collect
from grader.submission.git_revision import Unreachable, obtain, revision
from grader.tools import Tools
from tests.cohort.sources.folders import commit, git, look, packed, rows, write
from tests.exams import exam_of

ANN = (Person(key="ann"),)
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"
BETWEEN = datetime(2026, 1, 2, tzinfo=UTC)


def picked(source: str | Path, tmp_path: Path, **more: object) -> Found:
    (found,) = find([Wanted(people=ANN, source=str(source), **more)], tmp_path / "aside", Tools())  # type: ignore[arg-type]
    return found


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_last_commit_before_the_deadline(tmp_path: Path) -> None:
    first = commit(tmp_path / "repo", EARLY, "1")
    second = commit(tmp_path / "repo", LATE, "2")
    for deadline, expected, at in (
        (None, second, LATE),
        (BETWEEN, first, EARLY),
        (when("2025-01-01T00:00:00Z"), second, LATE),
    ):
        found = picked(tmp_path / "repo", tmp_path, deadline=deadline)
        assert found.source.endswith(f"@{expected}")
        assert found.submitted_at == when(at)
        assert found.evidence == f"commit {expected[:10]} by committer date, which its author can set"
    exam = exam_of(Deliverable(id="a", path="answer"))
    submission = collect(
        picked(tmp_path / "repo", tmp_path, deadline=BETWEEN).source, exam=exam, into=tmp_path / "c"
    )
    assert (submission.root / "answer").read_text() == "1"


def test_a_tag_by_its_own_date(tmp_path: Path) -> None:
    first = commit(tmp_path / "repo", EARLY, "1")
    git(tmp_path / "repo", "tag", "-am", "x", "v1", at=LATE)
    git(tmp_path / "repo", "tag", "light")
    commit(tmp_path / "repo", LATE, "2")
    found = picked(tmp_path / "repo", tmp_path, revision="v1")
    assert (found.tag, found.submitted_at) == ("v1", when(LATE))
    assert found.evidence == "tag v1 by tagger date, which its author can set"
    assert found.source.endswith(f"@{first}")
    light = picked(f"{tmp_path}/repo@light", tmp_path, revision="v1")
    assert (light.tag, light.submitted_at) == ("light", when(EARLY))
    missing = picked(tmp_path / "repo", tmp_path, revision="v9")
    assert missing.unreadable == "repo@v9: there is no such revision, or no commit at all"


def test_push_times_of_a_server_come_first(tmp_path: Path) -> None:
    first = commit(tmp_path / "work", "2025-06-01T00:00:00Z", "1")
    second = commit(tmp_path / "work", "2025-06-02T00:00:00Z", "2")  # made early, by the clock of who made it
    git(tmp_path, "clone", "-q", "--bare", "work", "server.git")
    log = tmp_path / "server.git" / "logs" / "refs" / "heads" / "main"
    log.parent.mkdir(parents=True)
    early, late = (int(when(text).timestamp()) for text in (EARLY, LATE))
    log.write_text(
        f"{'0' * 40} {first} A <a@b> {early} +0000\tpush\n"
        f"{first} {second} A <a@b> {late} +0000\tx <y> 1 +0000\n"
    )
    found = picked(tmp_path / "server.git", tmp_path, deadline=BETWEEN)
    assert found.source.endswith(f"@{first}")
    assert (found.submitted_at, found.evidence) == (when(EARLY), "push time in the server's reflog")
    assert picked(tmp_path / "server.git", tmp_path).source.endswith(f"@{second}")


def test_a_log_among_a_candidates_files_is_not_believed(tmp_path: Path) -> None:
    first = commit(tmp_path / "repo", LATE, "1")
    push = f"{'0' * 40} {first} A <a@b> {int(when(EARLY).timestamp())} +0000\tpush\n"
    write(tmp_path / "repo", {"HEAD": "ref: refs/heads/main\n", "logs/refs/heads/main": push})
    assert picked(tmp_path / "repo", tmp_path, deadline=BETWEEN).submitted_at == when(LATE)


def test_no_setting_of_a_candidate_is_obeyed(tmp_path: Path) -> None:
    commit(tmp_path / "repo", EARLY, "1")
    trap, mark = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {mark}\n")
    trap.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "log.showSignature",
        "gpg.program",
        "alias.log",
    ):
        git(tmp_path / "repo", "config", name, f"!{trap}" if name.startswith("alias") else str(trap))
    git(tmp_path / "repo", "config", "core.hooksPath", str(tmp_path))
    for hook in ("post-checkout", "reference-transaction"):
        (tmp_path / hook).write_bytes(trap.read_bytes())
        (tmp_path / hook).chmod(stat.S_IRWXU)
    found = picked(tmp_path / "repo", tmp_path, deadline=BETWEEN)
    assert found.unreadable == ""
    assert not mark.exists()


@pytest.mark.parametrize(
    ("break_it", "unreadable"),
    [
        (
            "rm -rf .git/objects && mkdir .git/objects",
            r"repo: there is no such revision, or no commit at all",
        ),
        ("rm -rf .git && mkdir .git", r"the .git of repo leads elsewhere: .*"),
        ("rm -rf .git && ln -s /etc .git", r"the .git of repo leads elsewhere: .*"),
        ("echo /etc > .git/objects/info/alternates", r"repo borrows from another repository .*"),
        ("echo x > .git/HEAD", r"repo.*: there is no such revision.*"),
    ],
)
def test_a_broken_repository_is_a_row(break_it: str, unreadable: str, tmp_path: Path) -> None:
    commit(tmp_path / "repo", EARLY, "1")
    assert os.system(f"cd {tmp_path}/repo && mkdir -p .git/objects/info && {break_it}") == 0
    found = picked(tmp_path / "repo", tmp_path, deadline=BETWEEN)
    assert re.fullmatch(unreadable, found.unreadable)
    assert (found.retry, found.people) == (False, ANN)


def test_whose_fault_a_failed_clone_is(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    said = tmp_path / "said"
    fake = tmp_path / "bin" / "git"
    fake.write_text(f"#!/bin/sh\ncat {said} >&2\nexit 128\n")
    fake.chmod(0o755)

    class Fake(Tools):
        def require(self, name: str) -> Path:
            return fake if name == "git" else super().require(name)

    for text, theirs in (
        ("fatal: repository 'https://h/x/' not found", True),
        ("ERROR: Repository not found.\nremote: Repository not found.", True),
        ("fatal: transport 'http' not allowed", True),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", False),
        ("fatal: unable to access 'https://h/': Failed to connect to h port 443", False),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 503", False),
        ("fatal: could not read Username for 'https://github.com': terminal prompts disabled", False),
        ("git@h: Permission denied (publickey).", False),
    ):
        said.write_text(text)
        wanted = revision("https://h/x")
        assert wanted is not None
        with pytest.raises(UsageError) as caught:
            obtain(wanted, tmp_path / "new", Fake(), whole=True)
        assert (text, isinstance(caught.value, Unreachable)) == (text, not theirs)
        (found,) = find([Wanted(people=ANN, source="https://h/x")], tmp_path / "aside", Fake())
        assert (found.retry, found.source) == (not theirs, "https://h/x")
        assert found.unreadable.startswith("x cannot be cloned: ")


def test_a_full_disk_is_nobodys_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path / "repo", EARLY, "1")
    monkeypatch.setattr(repositories, "MIN_FREE", 2**62)
    found = picked(tmp_path / "repo", tmp_path)
    assert found.retry
    assert "are free at" in found.unreadable


def test_copies_are_kept_and_a_submission_keeps_its_source(tmp_path: Path) -> None:
    first = commit(tmp_path / "repo", EARLY, "1")
    old = picked(tmp_path / "repo", tmp_path)
    assert picked(tmp_path / "repo", tmp_path) == old
    commit(tmp_path / "repo", LATE, "2")
    assert picked(tmp_path / "repo", tmp_path).source != old.source
    assert picked(tmp_path / "repo", tmp_path, deadline=BETWEEN) == old
    git(tmp_path / "repo", "reset", "-q", "--hard", first)
    git(tmp_path / "repo", "commit", "-q", "--amend", "-m", "other", at=LATE)
    assert picked(f"{tmp_path}/repo@{first}", tmp_path).source == old.source
    assert len(list((tmp_path / "aside" / "repositories").iterdir())) == 2


def test_github_classroom(tmp_path: Path) -> None:
    root = tmp_path / "exam-1-submissions"
    first = commit(root / "exam-1-ann-lee", EARLY, "1")
    commit(root / "exam-1-bob", EARLY, "1")
    commit(root / "exam-1-ann-lee", LATE, "2")
    write(root, {"exam-1-cem.zip": packed(), "other/x": ""})
    cohort = look(root, tmp_path, deadline=BETWEEN)
    assert cohort.kind == "GitHub Classroom download"
    assert [(found.people[0], found.late) for found in cohort.found[:2]] == [
        (Person(key="ann-lee", name="ann-lee", identities=(("github", "ann-lee"),)), False),
        (Person(key="bob", name="bob", identities=(("github", "bob"),)), False),
    ]
    assert cohort.found[0].source.endswith(f"@{first}")
    assert rows(cohort)[1:] == [("bob", "exam-1-bob", ""), ("cem", "exam-1-cem.zip", "")]
    assert cohort.remarks == ("skipped, their names not beginning with exam-1-: other",)


def result(folder: Path, at: str, tag: str, *, name: str = "result.json", **more: str) -> dict[str, str]:
    data: dict[str, str] = {
        "schema": "classroom50/result/v1",
        "classroom": "cs",
        "assignment": "exam",
        "submission": tag,
        "commit": f"https://github.com/o/r/commit/{git(folder, 'rev-parse', 'HEAD')}",
        "datetime": at,
        **more,
    }
    (folder / name).write_text(json.dumps(data))
    return data


def test_classroom_50(tmp_path: Path) -> None:
    root = tmp_path / "download"
    first = commit(root / "cs-exam-ann", "2025-01-01T00:00:00Z", "1")
    one = result(root / "cs-exam-ann", EARLY, "submit/1")
    (root / "cs-exam-ann" / "result.json").unlink()
    second = commit(root / "cs-exam-ann", "2025-01-02T00:00:00Z", "2")
    two = result(root / "cs-exam-ann", LATE, "submit/2")
    (root / "cs-exam-ann" / "results.json").write_text(json.dumps([one, two]))
    commit(root / "cs-exam-bob", EARLY, "1")
    write(root, {"scores.csv": "username,score\nann,1\nZoe,\n"})
    cohort = look(root, tmp_path, deadline=BETWEEN)
    assert cohort.kind == "Classroom 50 download"
    assert [
        (found.people[0].key, found.source.rpartition("@")[2], found.tag, found.submitted_at, found.late)
        for found in cohort.found
    ] == [
        ("ann", first, "submit/1", when(EARLY), False),
        ("ann", second, "submit/2", when(LATE), True),
        ("bob", str(root / "cs-exam-bob"), "", when(EARLY), False),
    ]
    assert cohort.found[0].evidence == "result.json of Classroom 50"
    assert cohort.missing == (Person(key="Zoe", name="Zoe", identities=(("github", "Zoe"),)),)


def test_a_result_that_a_candidate_committed_is_not_believed(tmp_path: Path) -> None:
    root = tmp_path / "cs-exam_submissions_2026_01_09_T_14_30_45"
    commit(root / "cs-exam-ann", EARLY, "1")
    result(root / "cs-exam-ann", "2020-01-01T00:00:00Z", "forged")
    commit(root / "cs-exam-ann", LATE, "2")
    (found,) = look(root, tmp_path).found
    assert (found.tag, found.submitted_at) == ("", when(LATE))


def test_an_address_in_a_canvas_page_that_nobody_answers(tmp_path: Path) -> None:
    page = "<meta http-equiv='refresh' content='0; url=https://127.0.0.1:9/ann/exam.git'>"
    root = write(tmp_path / "all", {"ann_1_link.html": page, "bob_2_7_a.zip": packed()})
    ann, bob = look(root, tmp_path).found
    assert (ann.retry, ann.source, bob.unreadable) == (True, "https://127.0.0.1:9/ann/exam.git", "")
    assert ann.unreadable.startswith("exam cannot be cloned: ")
