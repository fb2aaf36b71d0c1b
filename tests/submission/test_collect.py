"""Folders, archives and repositories become the same bounded copy."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from grader.errors import UsageError
from grader.exam.model import Deliverable, Exam
from grader.submission.collect import collect
from grader.submission.copy_tree import Bounds, Refusals, copy_tree
from grader.tools import Tools
from tests.exams import exam_of

if TYPE_CHECKING:
    from grader.submission.model import Submission

EXAM = exam_of(Deliverable(id="train", path="src/train.py"), Deliverable(id="ignore", path=".gitignore"))
FILES = {"src/train.py": "print(1)\n", ".gitignore": "*.csv\n", "README.md": "hello\n"}
NAMED = [f"part{number}/answer.txt" for number in range(9)]
LARGE = exam_of(*(Deliverable(id=f"d{number}", path=path) for number, path in enumerate(NAMED)))
SMALL = Bounds(files=10, folders=10, total_bytes=4000, file_bytes=1000, depth=4, path_length=60)


def write(root: Path, files: dict[str, str] = FILES) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def take(source: Path | str, tmp_path: Path, exam: Exam = EXAM, bounds: Bounds | None = None) -> Submission:
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    submission = collect(str(source), exam=exam, into=tmp_path / "copy", bounds=bounds)
    assert not (tmp_path / "copy.source").exists()
    return submission


def names(submission: Submission) -> list[str]:
    return [str(path) for path in submission.files]


def said(submission: Submission) -> list[tuple[str, str]]:
    return [(remark.message, remark.where) for remark in submission.remarks]


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    write(folder)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    git(folder, "tag", "handed-in")
    return folder


class TestWhatIsNoSubmission:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is nothing at"):
            take(tmp_path / "nowhere", tmp_path)

    def test_a_file_that_is_no_archive(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(UsageError, match="neither a folder nor an archive"):
            take(tmp_path / "notes.txt", tmp_path)

    @pytest.mark.parametrize(
        "content", [b"PK\x03\x04 and no more", b"\x1f\x8bnot gzip", b"BZh9nope", b"PK\x05\x06"]
    )
    def test_a_broken_archive(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(UsageError, match="cannot be unpacked"):
            take(tmp_path / "a.zip", tmp_path)

    def test_a_fifo(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(UsageError, match="neither a folder nor an archive"):
            take(tmp_path / "fifo", tmp_path)


class TestSources:
    def test_a_folder_its_archives_and_its_commit_are_the_same(self, tmp_path: Path) -> None:
        folder = repository(tmp_path / "work")
        shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "work")
        for kind in ("gztar", "bztar", "xztar", "tar"):
            shutil.make_archive(str(tmp_path / "b"), kind, folder)
        sources: list[Path | str] = [
            folder,
            *sorted(tmp_path.glob("[ab].*")),
            f"file://{folder}",
            f"{folder}@handed-in",
            f"{folder}#main",
        ]
        submissions = [take(source, tmp_path) for source in sources]
        assert len(submissions) == 9
        assert {submission.digest for submission in submissions} == {submissions[0].digest}
        assert all(names(submission) == sorted(FILES) for submission in submissions)
        assert all(not submission.remarks for submission in submissions)
        assert [submission.name for submission in submissions] == (
            ["work", "a", "b", "b", "b", "b", "work", "work@handed-in", "work@main"]
        )

    def test_times_do_not_count_and_contents_do(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        before = take(folder, tmp_path).digest
        os.utime(folder / "README.md", (1, 1))
        assert take(folder, tmp_path).digest == before
        (folder / "README.md").chmod(0o755)
        executable = take(folder, tmp_path)
        assert executable.digest != before
        assert os.access(executable.root / "README.md", os.X_OK)

    def test_the_source_stays_as_it_is(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        take(folder, tmp_path)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    def test_a_single_folder_is_unwrapped_where_it_has_the_answers(self, tmp_path: Path) -> None:
        write(tmp_path / "outer" / "inner" / "answers")
        write(tmp_path / "outer", {"__MACOSX/x": "", "note.txt": ""})
        assert names(take(tmp_path / "outer", tmp_path)) == sorted(FILES)

    def test_a_folder_without_answers_is_taken_as_it_is(self, tmp_path: Path) -> None:
        write(tmp_path / "outer", {"inner/a/b.txt": ""})
        assert names(take(tmp_path / "outer", tmp_path)) == ["inner/a/b.txt"]

    def test_a_folder_of_submissions_is_not_one(self, tmp_path: Path) -> None:
        for name in ("ann", "bo", "cy", "dee", "eve"):
            write(tmp_path / "all" / name, dict.fromkeys(NAMED[:6], "x\n"))
        write(tmp_path / "all", {"notes/a.txt": ""})
        complaint = r"all holds 5 submissions \(ann, bo, cy, dee, …\); grade them one at a time, such as "
        with pytest.raises(UsageError, match=complaint):
            collect(str(tmp_path / "all"), exam=LARGE, into=tmp_path / "copy")

    @pytest.mark.parametrize(
        "files",
        [
            [*(f"a/{path}" for path in NAMED[:6]), *(f"b/{path}" for path in NAMED[:4])],
            [*(f"{part}/{path}" for part in "ab" for path in NAMED[:6]), NAMED[8]],
            [*(f"{part}/{path}" for part in "ab" for path in NAMED[:6]), "submission.yaml"],
        ],
        ids=["two parts of one", "answers beside them", "a manifest"],
    )
    def test_a_submission_of_several_folders_is_one(self, tmp_path: Path, files: list[str]) -> None:
        write(tmp_path / "one", dict.fromkeys(files, "{}\n"))
        taken = collect(str(tmp_path / "one"), exam=LARGE, into=tmp_path / "copy")
        assert names(taken) == sorted(files)

    def test_an_empty_path_is_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="its path is empty"):
            take("", tmp_path)

    def test_an_empty_folder_is_a_submission(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        submission = take(tmp_path / "empty", tmp_path)
        assert (submission.files, submission.deliverables, submission.remarks) == ((), {}, ())


class TestRepositories:
    def test_uncommitted_work_counts_only_in_the_folder(self, tmp_path: Path) -> None:
        folder = repository(tmp_path / "work")
        write(folder, {"new.txt": ""})
        assert "new.txt" in names(take(folder, tmp_path))
        assert "new.txt" not in names(take(f"{folder}@main", tmp_path))

    def test_a_folder_of_a_repository_may_be_the_submission(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path / "work" / "exams" / "mine")
        repository(tmp_path / "work")
        write(tmp_path / "work" / "exams" / "mine", {"new.txt": ""})
        monkeypatch.chdir(tmp_path / "work" / "exams" / "mine")
        here, committed = take(".", tmp_path), take(".@main", tmp_path)
        assert (here.name, names(here)) == ("mine", sorted([*FILES, "new.txt"]))
        assert (committed.name, names(committed)) == ("mine@main", sorted(FILES))
        with pytest.raises(UsageError, match="there is nothing at other@main"):
            take("other@main", tmp_path)

    @pytest.mark.parametrize("mark", ["@", "#"])
    def test_a_url_may_name_a_revision(self, mark: str, tmp_path: Path) -> None:
        folder = repository(tmp_path / "work")
        git(folder, "tag", "v1")
        git(folder, "rm", "-q", "README.md")
        git(folder, "commit", "-qm", "second")
        assert "README.md" in names(take(f"file://{folder}{mark}v1", tmp_path))
        assert "README.md" not in names(take(f"file://{folder}", tmp_path))

    def test_attributes_hide_nothing(self, tmp_path: Path) -> None:
        folder = write(
            tmp_path / "work", {".gitattributes": "* export-ignore ident\nsrc/** filter=evil eol=crlf\n"}
        )
        repository(folder)
        submission = take(f"{folder}@main", tmp_path)
        assert names(submission) == sorted([*FILES, ".gitattributes"])
        assert (submission.root / "src/train.py").read_bytes() == b"print(1)\n"

    @pytest.mark.parametrize("revision", ["nothing", "--output=x", "main:src"])
    def test_no_such_revision(self, revision: str, tmp_path: Path) -> None:
        folder = repository(tmp_path / "work")
        with pytest.raises(UsageError, match="no such revision"):
            take(f"{folder}@{revision}", tmp_path)

    def test_a_repository_without_a_commit(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "work")
        with pytest.raises(UsageError, match="no such revision"):
            take(f"file://{tmp_path}/work", tmp_path)

    def test_a_repository_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="nowhere cannot be cloned"):
            take(f"file://{tmp_path}/nowhere", tmp_path)

    @pytest.mark.parametrize("url", ["ext::sh -c touch% x", "--upload-pack=x", "http://127.0.0.1:9/x.git"])
    def test_other_transports_are_refused(self, url: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            take(url, tmp_path)
        assert not Path("x").exists()

    def test_other_formats_of_repositories(self, tmp_path: Path) -> None:
        write(tmp_path / "long names")
        git(tmp_path / "long names", "init", "-q", "--object-format=sha256")
        git(tmp_path / "long names", "add", "-A")
        git(tmp_path / "long names", "commit", "-qm", "first")
        repository(tmp_path / "packed")
        git(tmp_path / "packed", "gc", "-q")
        git(tmp_path / "packed", "commit", "-qm", "second", "--allow-empty")
        git(tmp_path, "clone", "-q", "--depth=1", f"file://{tmp_path}/packed", "shallow")
        git(tmp_path, "clone", "-q", "--bare", f"file://{tmp_path}/packed", "bare")
        sources = ("long names", "packed", "shallow", "bare")
        taken = [take(f"{tmp_path / name}@HEAD", tmp_path).digest for name in sources]
        taken.append(take(f"file://{tmp_path}/long%20names", tmp_path).digest)
        assert taken == [take(tmp_path / "packed", tmp_path).digest] * 5

    def test_without_git(self, tmp_path: Path) -> None:
        folder = repository(tmp_path / "work")
        with pytest.raises(UsageError, match="git is not on this machine"):
            collect(f"{folder}@main", exam=EXAM, into=tmp_path / "copy", tools=Tools(frozenset({"git"})))


class TestHostileRepositories:
    """Whatever a repository says of programs and of other places: nothing is run, and nothing read there."""

    def other(self, tmp_path: Path) -> Path:
        """Another candidate's, with a file that nobody else may see."""
        folder = write(tmp_path / "other", {"secret.txt": "the answer\n"})
        return repository(folder)

    @pytest.mark.parametrize("kind", ["file", "link", "objects", "refs", "common"])
    def test_one_that_is_elsewhere(self, kind: str, tmp_path: Path) -> None:
        other, mine = self.other(tmp_path), repository(tmp_path / "mine")
        if kind in ("file", "link", "common"):
            shutil.rmtree(mine / ".git")
        match kind:
            case "file":
                (mine / ".git").write_text(f"gitdir: {other}/.git\n")
            case "link":
                (mine / ".git").symlink_to(other / ".git")
            case "common":
                (mine / ".git").mkdir()
                (mine / ".git/HEAD").write_text("ref: refs/heads/main\n")
                (mine / ".git/commondir").write_text(f"{other}/.git\n")
            case _:
                shutil.rmtree(mine / ".git" / kind)
                (mine / ".git" / kind).symlink_to(other / ".git" / kind)
        with pytest.raises(UsageError, match=r"leads elsewhere|no such revision"):
            take(f"{mine}@handed-in", tmp_path)

    def test_one_that_borrows(self, tmp_path: Path) -> None:
        other, mine = self.other(tmp_path), repository(tmp_path / "mine")
        (mine / ".git/objects/info/alternates").write_text(f"{other}/.git/objects\n")
        shutil.copy(other / ".git/refs/heads/main", mine / ".git/refs/heads/main")
        with pytest.raises(UsageError, match="borrows from another repository"):
            take(f"{mine}@main", tmp_path)

    def test_settings_that_are_programs(self, tmp_path: Path) -> None:
        mine, canary = repository(tmp_path / "mine"), tmp_path / "canary"
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
        program.chmod(0o755)
        (tmp_path / "more").write_text(f"[core]\n\tfsmonitor = {program}\n")
        settings = (
            *(
                "core.fsmonitor",
                "core.sshCommand",
                "core.gitProxy",
                "core.pager",
                "core.alternateRefsCommand",
            ),
            *("filter.x.smudge", "filter.x.process", "filter.lfs.process", "diff.x.textconv"),
            *(
                "uploadpack.packObjectsHook",
                "tar.tar.command",
                "remote.origin.uploadpack",
                "remote.origin.vcs",
            ),
        )
        for name in settings:
            git(mine, "config", name, str(program))
        git(mine, "config", "include.path", str(tmp_path / "more"))
        git(mine, "config", "core.hooksPath", str(tmp_path))
        # A promise that somebody else has what is missing here: git would go and fetch it.
        git(mine, "config", "core.repositoryFormatVersion", "1")
        git(mine, "config", "extensions.partialClone", "origin")
        git(mine, "config", "remote.origin.promisor", "true")
        git(mine, "config", "remote.origin.url", f"file://{tmp_path}/nowhere")
        assert names(take(f"{mine}@main", tmp_path)) == sorted(FILES)
        blob = subprocess.run(
            ["git", "rev-parse", "main:README.md"], cwd=mine, check=True, capture_output=True, text=True
        ).stdout.strip()
        (mine / ".git/objects" / blob[:2] / blob[2:]).unlink()
        with pytest.raises(UsageError, match="cannot be had"):
            take(f"{mine}@main", tmp_path)
        assert not canary.exists()

    def test_a_format_that_leads_out_of_the_settings(self, tmp_path: Path) -> None:
        mine = repository(tmp_path / "mine")
        (tmp_path / "more").write_text("[extensions]\n\tobjectFormat = sha256\n")
        with (mine / ".git/config").open("a") as file:
            file.write(f"[include]\n\tpath = {tmp_path}/more\n[extensions]\n\tworktreeConfig = true\n")
        (mine / ".git/config.worktree").write_text("[core\n")
        assert names(take(f"{mine}@main", tmp_path)) == sorted(FILES)


class TestWhatIsLeftOut:
    def test_junk(self, tmp_path: Path) -> None:
        junk = [".git/config", ".venv/x", "venv/x", "node_modules/x", "src/__pycache__/x.pyc", ".dvc/cache/x"]
        junk += [".dvc/tmp/x", "my-env/pyvenv.cfg", "my-env/bin/python", ".mypy_cache/x", "a/.ruff_cache/x"]
        write(tmp_path / "work", dict.fromkeys((*junk, ".dvc/config", "cache/x", "tmp/x"), ""))
        submission = take(tmp_path / "work", tmp_path)
        assert (names(submission), submission.remarks) == ([".dvc/config", "cache/x", "tmp/x"], ())

    def test_what_is_neither_file_nor_folder(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        os.mkfifo(folder / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(folder / "socket"))
            submission = take(folder, tmp_path)
        assert names(submission) == sorted(FILES)
        assert said(submission) == [("left out: it is neither a file nor a folder (2 of them)", "fifo")]

    def test_names_that_are_no_text(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("")
        submission = take(folder, tmp_path)
        assert names(submission) == sorted(FILES)
        assert said(submission) == [("left out: its name is not in UTF-8", r"\udcff.txt")]

    @pytest.mark.skipif(os.geteuid() == 0, reason="everything can be read by root")
    def test_what_cannot_be_read(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        (folder / "README.md").chmod(0)
        assert said(take(folder, tmp_path)) == [("left out: it cannot be read", "README.md")]

    def test_large_files(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {**FILES, "models/model.pkl": "x" * 1001, "models/small.pkl": "x"})
        submission = take(folder, tmp_path, bounds=SMALL)
        assert names(submission) == sorted([*FILES, "models/small.pkl"])
        assert said(submission) == [("left out: it is larger than 1,000 bytes", "models/model.pkl")]

    def test_answers_come_before_heaps_of_other_files(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", FILES | {f"mlruns/{number}": "" for number in range(30)})
        submission = take(folder, tmp_path, bounds=SMALL)
        assert set(FILES) <= set(names(submission))
        assert len(submission.files) == SMALL.files
        assert said(submission) == [("left out: more than 10 files (23 of them)", "mlruns/15")]
        assert len(submission.remarks[0].detail.splitlines()) == 21

    def test_names_without_end(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {f"{number}": "" for number in range(30)} | {"a/b": "", "a/c": ""})
        submission = take(folder, tmp_path, bounds=replace(SMALL, files=100, names=20))
        assert len(names(submission)) == 20
        assert said(submission)[0] == ("left out: more than 20 names", ".")

    def test_what_is_left_out_is_counted_and_not_kept(self) -> None:
        refusals = Refusals()
        for number in range(10_000):
            refusals.add("why", str(number))
        (found,) = refusals.findings()
        assert (found.message, found.where) == ("left out: why (10,000 of them)", "0")
        assert found.detail.splitlines() == [*map(str, range(20)), "and 9,980 more"]
        assert sum(map(len, refusals._paths.values())) == 20

    @pytest.mark.parametrize("swapped", ["work", "work/inner"])
    def test_a_folder_that_is_swapped_for_a_link_meanwhile(
        self, swapped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between the look for the answers and the copy: what was looked at is copied."""
        write(tmp_path / "work" / "inner")
        write(tmp_path / "other", {"secret.txt": ""})

        def swap(*arguments: Any, **options: Any) -> Any:
            (tmp_path / swapped).rename(tmp_path / "aside")
            (tmp_path / swapped).symlink_to(tmp_path / "other")
            return copy_tree(*arguments, **options)

        monkeypatch.setattr("grader.submission.collect.copy_tree", swap)
        assert names(take(tmp_path / "work", tmp_path)) == sorted(FILES)

    def test_a_folder_that_was_a_link_all_along(self, tmp_path: Path) -> None:
        """No folder is looked into, or told from a missing one, through a link inside the submission."""
        (tmp_path / "work").mkdir()
        write(tmp_path / "other")
        (tmp_path / "work" / "inner").symlink_to(tmp_path / "other")
        submission = take(tmp_path / "work", tmp_path)
        assert (names(submission), said(submission)) == (
            [],
            [("left out: it is a link to an absolute path", "inner")],
        )

    def test_bytes_in_all(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {f"{number}.txt": "x" * 900 for number in range(6)})
        submission = take(folder, tmp_path, bounds=SMALL)
        assert len(submission.files) == 4
        assert said(submission) == [("left out: more than 4,000 bytes in all (2 of them)", "4.txt")]

    def test_depth_folders_and_long_paths(self, tmp_path: Path) -> None:
        files = {"a/b/c/d/ok.txt": "", "a/b/c/d/e/deep.txt": "", f"{'x' * 70}.txt": ""}
        folder = write(tmp_path / "work", files | {f"f{number}/x": "" for number in range(8)})
        submission = take(folder, tmp_path, bounds=SMALL)
        assert [message for message, _ in said(submission)] == [
            "left out: its path is longer than 60 characters",
            "left out: it is more than 4 folders deep",
            "left out: more than 10 folders (2 of them)",
        ]
        assert "a/b/c/d/ok.txt" in names(submission)

    def test_a_copy_inside_of_what_is_copied(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        assert names(take(folder, folder)) == sorted(FILES)


class TestLinks:
    def test_links_inside_are_kept(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        (folder / "code").symlink_to("src")
        (folder / "src" / "main.py").symlink_to("train.py")
        (folder / "again.py").symlink_to("code/main.py")
        submission = take(folder, tmp_path)
        linked = ["again.py", "code/main.py", "code/train.py", "src/main.py"]
        assert (names(submission), submission.remarks) == (sorted([*FILES, *linked]), ())
        assert (submission.root / "again.py").is_symlink()
        found = submission.file("code/main.py")
        assert found is not None
        assert found.text == "print(1)\n"

    @pytest.mark.parametrize(
        "target", ["../outside.txt", "../work/README.md", "src/../../outside.txt", "nowhere", "link"]
    )
    def test_links_that_leave_or_lead_nowhere(self, target: str, tmp_path: Path) -> None:
        (tmp_path / "outside.txt").write_text("secret")
        folder = write(tmp_path / "work")
        (folder / "link").symlink_to(target)
        submission = take(folder, tmp_path)
        assert names(submission) == sorted(FILES)
        assert said(submission) == [
            ("left out: it is a link that leads nowhere inside the submission", "link")
        ]

    def test_links_that_repeat_a_folder(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {"a/1": "", "a/2": "", "a/b/3": ""})
        for number in range(4):
            (folder / f"link{number}").symlink_to("a")
        submission = take(folder, tmp_path, bounds=SMALL)
        assert names(submission) == ["a/1", "a/2", "a/b/3", "link0/1", "link0/2", "link0/b/3"]
        assert said(submission) == [("left out: links repeat more than 10 files (3 of them)", "link1")]

    def test_a_chain_of_links(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {"0": ""})
        for number in range(60):
            (folder / str(number + 1)).symlink_to(str(number))
        submission = take(folder, tmp_path)
        assert names(submission) == sorted(map(str, range(41)))
        said_of_rest = "left out: it is a link that leads nowhere inside the submission (20 of them)"
        assert said(submission) == [(said_of_rest, "41")]

    def test_many_links(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {"x": ""})
        for number in range(12):
            (folder / f"{number:02}").symlink_to("x")
        submission = take(folder, tmp_path, bounds=SMALL)
        assert names(submission) == [f"{number:02}" for number in range(10)] + ["x"]
        assert said(submission) == [("left out: more than 10 links (2 of them)", "10")]

    def test_absolute_links(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        (folder / "passwd").symlink_to("/etc/passwd")
        assert said(take(folder, tmp_path)) == [("left out: it is a link to an absolute path", "passwd")]
        assert not os.path.lexists(tmp_path / "copy" / "passwd")

    @pytest.mark.parametrize("target", [".", "..", "../src"])
    def test_links_to_folders_above_make_no_endless_tree(self, target: str, tmp_path: Path) -> None:
        folder = write(tmp_path / "work")
        (folder / "src" / "loop").symlink_to(target)
        assert names(take(folder, tmp_path)) == sorted(FILES)

    def test_a_link_through_a_link_that_goes(self, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "file").write_text("secret")
        folder = write(tmp_path / "work")
        (folder / "a").symlink_to("../outside")
        (folder / "b").symlink_to("a/file")
        assert names(take(folder, tmp_path)) == sorted(FILES)


class TestGivenData:
    def exam(self, tmp_path: Path) -> Exam:
        (tmp_path / "given.csv").write_text("a\n1\n")
        return exam_of(data={"data/train.csv": tmp_path / "given.csv"})

    def test_given_files_are_not_the_candidates(self, tmp_path: Path) -> None:
        with_data = write(tmp_path / "with", {**FILES, "data/train.csv": "a\n1\n"})
        submission = take(with_data, tmp_path, self.exam(tmp_path))
        without = take(write(tmp_path / "without"), tmp_path, self.exam(tmp_path))
        assert submission.digest == without.digest
        assert (names(submission), submission.remarks) == (sorted(FILES), ())
        assert submission.given == self.exam(tmp_path).data

    def test_another_file_in_its_place_is_remarked(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {**FILES, "data/train.csv": "a\n2\n"})
        submission = take(folder, tmp_path, self.exam(tmp_path))
        assert said(submission) == [
            ("it differs from the given file; the given one is used", "data/train.csv")
        ]

    @pytest.mark.parametrize("kind", ["folder", "link", "folder link"])
    def test_whatever_stands_in_its_place(self, kind: str, tmp_path: Path) -> None:
        folder = write(tmp_path / "work", {"other/train.csv": "x"})
        if kind == "folder link":
            (folder / "data").symlink_to("other")
        else:
            (folder / "data").mkdir()
        if kind == "folder":
            write(folder / "data" / "train.csv", {"x": ""})
        elif kind == "link":
            (folder / "data" / "train.csv").symlink_to("../other/train.csv")
        submission = take(folder, tmp_path, self.exam(tmp_path))
        assert "data/train.csv" not in names(submission)


def test_a_bad_zip_of_every_kind_is_one_submission(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../evil.txt", "x")
        archive.writestr("work/src/train.py", "print(1)")
    with tarfile.open(tmp_path / "b.tar", "w") as other:
        info = tarfile.TarInfo("/evil.txt")
        other.addfile(info, io.BytesIO(b""))
    refused = "left out: its path points outside the archive"
    zipped = take(tmp_path / "a.zip", tmp_path)
    assert (names(zipped), said(zipped)) == (["src/train.py"], [(refused, "../evil.txt")])
    assert said(take(tmp_path / "b.tar", tmp_path)) == [(refused, "/evil.txt")]
