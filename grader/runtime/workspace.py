"""The directory in which a scenario runs: a submission, the given data, and the scenario's changes."""

from __future__ import annotations

import filecmp
import shutil
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader import command as process
from grader.errors import GraderFault
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from grader.submission.model import Submission

_GIT = ".git"


def assemble(
    target: Path,
    submission: Submission | None,
    given: Mapping[str, Path],
    *,
    without: Sequence[str] = (),
    files: Mapping[str, bytes | Path] | None = None,
    git: Path | None = None,
) -> None:
    """Fill `target`: submission, then given data over it, less `without`, then `files` over all.

    Where the submission has a file in the place of a directory that is needed, or the other way round, it
    gives way.

    Args:
        without: paths of files or directories, or globs of whole paths.
        git: the program, where the workspace is to be a fresh repository.
    """
    ours: dict[str, bytes | Path] = {
        **{name: source for name, source in given.items() if not _named(name, without)},
        **(files or {}),
    }
    placed = frozenset(ours)
    above = frozenset(str(folder) for name in ours for folder in PurePosixPath(name).parents)
    for name, source in (_submitted(submission) if submission else {}).items():
        hidden = _named(name, without) or (git and name.split("/")[0] == _GIT)
        in_the_way = name in above or not placed.isdisjoint(map(str, PurePosixPath(name).parents))
        if not hidden and not in_the_way:
            _place(target / _safe(name), source)
    for name, content in ours.items():
        _place(target / _safe(name), content)
    if git is not None:
        _make_repository(target, git)


def replaced_data(submission: Submission, given: Mapping[str, Path]) -> Iterator[Finding]:
    """Given data that a submission holds in another version than the exam's, which runs do not see."""
    for name, source in given.items():
        file = submission.file(name)
        if file is not None and not filecmp.cmp(file.absolute, source, shallow=False):
            yield Finding(
                message=f"{name} is not the file that the exam gives: the given one was used", where=name
            )


def _submitted(submission: Submission) -> dict[str, Path]:
    return {str(path): submission.root / path for path in submission.files}


def _named(name: str, patterns: Sequence[str]) -> bool:
    return any(
        name == pattern.rstrip("/")
        or name.startswith(f"{pattern.rstrip('/')}/")
        or fnmatchcase(name, pattern)
        for pattern in patterns
    )


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name} is not a path inside a workspace")
    return path


def _place(path: Path, content: bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copy(content, path)
        path.chmod(path.stat().st_mode | 0o600)


def _make_repository(target: Path, git: Path) -> None:
    """Made before anything of the candidate could speak to git: its own `.git` was left out."""
    for words in (
        ["init", "--quiet", "--template=", "--initial-branch=main"],
        ["config", "user.name", "candidate"],
        ["config", "user.email", "candidate@localhost"],
    ):
        done = process.run([git, *words], cwd=target)
        if done.returncode != 0:
            raise GraderFault("git does not make a repository", log_tail=done.output)
