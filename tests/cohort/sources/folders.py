"""Downloads as platforms lay them out, and what was found in them as rows to compare."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from typing import TYPE_CHECKING, Any

from grader.cohort.sources.discover import discover

if TYPE_CHECKING:
    from pathlib import Path

    from grader.cohort.sources.model import Cohort


def packed(files: dict[str, str] | None = None) -> bytes:
    """A zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in (files or {"answer": "yes\n"}).items():
            archive.writestr(name, text)
    return content.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def look(source: Path, tmp_path: Path, **more: Any) -> Cohort:
    return discover(source, aside=tmp_path / "aside", **more)


def rows(cohort: Cohort) -> list[tuple[str, str, str]]:
    """Of each person key, source below the root, and why it cannot be read."""
    return [
        (person.key, os.path.relpath(found.source, cohort.root), found.unreadable)
        for found in cohort.found
        for person in found.people
    ]


def git(folder: Path, *words: str, at: str = "2026-01-01T00:00:00Z") -> str:
    """Run git as somebody whose clock says `at`."""
    folder.mkdir(parents=True, exist_ok=True)
    who = {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": at,
        "GIT_COMMITTER_DATE": at,
        **who,
    }
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *words],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def commit(folder: Path, at: str, content: str) -> str:
    """A commit made at a time; its id."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    (folder / "answer").write_text(content)
    git(folder, "add", ".", at=at)
    git(folder, "commit", "-qm", content, at=at)
    return git(folder, "rev-parse", "HEAD")
