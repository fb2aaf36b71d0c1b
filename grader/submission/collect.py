"""From what a candidate handed in to a `Submission`: labelled and bounded, never judged or repaired.

A source is a folder, an archive (`.zip`, `.tar`, `.tar.gz`, `.tar.bz2`, `.tar.xz`, told by content), the
URL of a git repository (`https://`, `ssh://`, `file://`, `git@host:path`; `URL@REVISION` or `URL#REVISION`
for another than its default branch), or a revision of a repository on this machine (`PATH@REVISION`). The
path of a folder that is a repository means its files as they are, committed or not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.errors import GraderFault, UsageError
from grader.results import Finding
from grader.submission import archives, git_revision
from grader.submission.copy_tree import FOLDER, Bounds, copy_tree, in_junk, listing
from grader.submission.deliverables import resolve
from grader.submission.manifest import NAMES, read_manifest
from grader.submission.model import Submission
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from grader.exam.model import Exam

MAX_WRAPPINGS = 3
MAX_BESIDE = 10_000
"""Of a folder in which there are no answers, how much is looked at."""
MAX_LISTED = 4
"""Of submissions that a complaint names."""
MIN_SHARED = 5
"""Deliverables at the exam's paths that two folders have alike: two parts of one project share fewer."""
_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip")


def collect(
    source: str, *, exam: Exam, into: Path, bounds: Bounds | None = None, tools: Tools | None = None
) -> Submission:
    """Make the private copy and say what is in it.

    Args:
        into: a folder that does not exist yet; the copy. Its parent serves as scratch space.

    Raises:
        UsageError: there is no such source, it cannot be read, or it is no archive.
        GraderFault: the copy cannot be written.
    """
    bounds = bounds or Bounds()
    scratch = into.with_name(f"{into.name}.source")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        unpacked = _unpacked(source, scratch, bounds, tools or Tools())
        remarks = (*unpacked.remarks, *_copied(source, unpacked.tree, into, bounds, exam))
    except OSError as error:
        raise GraderFault(f"cannot copy {source}: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    remarks += tuple(_without_given(into, exam))
    return _described(unpacked.name, into, exam, remarks)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unpacked:
    name: str
    tree: Path
    remarks: tuple[Finding, ...] = ()


def _unpacked(source: str, scratch: Path, bounds: Bounds, tools: Tools) -> _Unpacked:
    if not source:
        raise UsageError("there is no submission: its path is empty")
    path = Path(source)
    if path.is_dir():
        return _Unpacked(name=path.resolve().name, tree=path)
    if path.exists():
        name = next((path.name.removesuffix(end) for end in _SUFFIXES if path.name.endswith(end)), path.name)
        return _from_archive(path, name, scratch, bounds)
    if (wanted := git_revision.revision(source)) is not None:
        scratch.mkdir()
        return _from_archive(git_revision.write_tar(wanted, scratch, tools), wanted.title, scratch, bounds)
    raise UsageError(f"there is nothing at {source}")


def _from_archive(path: Path, name: str, scratch: Path, bounds: Bounds) -> _Unpacked:
    try:
        known = path.is_file() and archives.is_archive(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if not known:
        raise UsageError(f"{path} is neither a folder nor an archive (.zip, .tar, .tar.gz)")
    scratch.mkdir(exist_ok=True)
    tree = scratch / "tree"
    return _Unpacked(name=name, remarks=archives.extract(path, tree, bounds), tree=tree)


def _start(tree: int, exam: Exam) -> int:
    """The open folder in which the answers are: the tree's own, or the only one in it that has any."""
    folder: int | None = os.dup(tree)
    answers = exam.answers
    for _ in range(MAX_WRAPPINGS):
        if folder is None:
            break
        if any(_holds(folder, path) for path in answers):
            return folder
        inner = _only_folder(folder)
        os.close(folder)
        folder = inner
    if folder is not None:
        os.close(folder)
    return os.dup(tree)


def _refuse_several(source: str, folder: int, exam: Exam) -> None:
    """Tell a folder of submissions from one: neighbours that answer the same, and nothing above them.

    Raises:
        UsageError: it holds several.
    """
    named = exam.answers
    if any(_holds(folder, path) for path in (*named, *NAMES)):
        return
    answers: dict[str, set[str]] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in names[:MAX_BESIDE]:
        if found := {path for path in named if _holds(folder, f"{name}/{path}")}:
            answers[name] = found
    alike = [name for name, found in answers.items() if _has_twin(name, found, answers)]
    if alike:
        listed = ", ".join(alike[:MAX_LISTED]) + (", …" if len(alike) > MAX_LISTED else "")
        raise UsageError(
            f"{source} holds {len(alike)} submissions ({listed}); grade them one at a time, "
            f"such as {PurePosixPath(source) / alike[0]}"
        )


def _has_twin(name: str, found: set[str], answers: Mapping[str, set[str]]) -> bool:
    """Whether a neighbour answers several of the same deliverables, which one submission has once."""
    return any(len(found & theirs) >= MIN_SHARED for other, theirs in answers.items() if other != name)


def _holds(folder: int, path: str) -> bool:
    """Whether something has that path; what stands behind a link is not asked."""
    for part in PurePosixPath(path).parents[-2::-1]:
        try:
            mode = os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode
        except OSError:
            return False
        if stat.S_ISLNK(mode):
            return True
    try:
        os.stat(path, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _only_folder(tree: int) -> int | None:
    try:
        with os.scandir(tree) as entries:
            folders = [
                entry.name
                for entry in islice(entries, MAX_BESIDE)
                if entry.is_dir(follow_symlinks=False) and not in_junk(PurePosixPath(entry.name))
            ]
        return os.open(folders[0], FOLDER, dir_fd=tree) if len(folders) == 1 else None
    except OSError:
        return None


def _copied(source: str, tree: Path, into: Path, bounds: Bounds, exam: Exam) -> tuple[Finding, ...]:
    first = frozenset(PurePosixPath(path).parts[0] for path in (*exam.answers, *exam.data))
    # Opened once: what is looked into and what is copied are the same, whatever is put in its place.
    with ExitStack() as stack:
        try:
            top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, top)
            start = _start(top, exam)
            stack.callback(os.close, start)
            os.stat(".", dir_fd=start)
            _refuse_several(source, start, exam)
        except (PermissionError, NotADirectoryError) as error:
            raise UsageError(f"{source} cannot be read") from error
        return copy_tree(start, into, bounds, first=first)


def _without_given(root: Path, exam: Exam) -> Iterable[Finding]:
    """Take the given data out: every run gets them from the exam, whatever was handed in in their place."""
    for name, given in exam.data.items():
        path = root / name
        if not os.path.lexists(path) or not path.parent.resolve().is_relative_to(root.resolve()):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            yield Finding(message="a folder has the path of a given file; the given file is used", where=name)
            continue
        if path.is_file() and path.read_bytes() != given.read_bytes():
            yield Finding(message="it differs from the given file; the given one is used", where=name)
        path.unlink()


def _described(name: str, root: Path, exam: Exam, remarks: tuple[Finding, ...]) -> Submission:
    files = tuple(sorted(path for path in listing(root) if str(path) not in exam.data))
    bare = Submission(name=name, root=root, files=files, given=exam.data)
    manifest, about_manifest = read_manifest(bare, exam)
    resolved = resolve(bare, exam, manifest)
    return replace(
        bare,
        manifest=manifest,
        deliverables=resolved.deliverables,
        alternatives=resolved.alternatives,
        digest=digest(root, files),
        remarks=(*remarks, *about_manifest, *resolved.remarks),
        unread=resolved.unread,
    )


def digest(root: Path, files: Iterable[PurePosixPath]) -> str:
    """SHA-256 of paths, contents and executability: the same for a folder, its archive and its commit."""
    whole = hashlib.sha256()
    for path in sorted(files):
        with (root / path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            executable = os.fstat(file.fileno()).st_mode & stat.S_IXUSR
        whole.update(f"{'x' if executable else '-'} {content} {path}\0".encode())
    return whole.hexdigest()
