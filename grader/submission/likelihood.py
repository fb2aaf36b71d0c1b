"""In which order a submission's files are searched where not all can be: the likeliest comes first.

A submission may come with thousands of tracked runs, caches and notes beside the few files that matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePosixPath

    from grader.documents import SourceFile

_MADE_BY_TOOLS = frozenset(
    [
        *("mlruns", "mlartifacts", "wandb", "outputs", "multirun", "lightning_logs", "runs", "artifacts"),
        *("__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist", "htmlcov"),
    ]
)
"""Folders with tracked runs, installed packages and other things that a program left there."""
_PROGRAMS = frozenset({".py", ".sh", ".bash", ".zsh", ".mk", ".ipynb"})
_NOTES = frozenset({".md", ".markdown", ".txt", ".rst", ".adoc"})


def by_likelihood(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files, the likeliest first: programs and what is near the root; notes and tools' folders last."""
    return sorted(files, key=lambda file: _unlikelihood(file.path))


def _unlikelihood(path: PurePosixPath) -> tuple[bool, int, int, str]:
    inside = path.parts[:-1]
    made = any(part in _MADE_BY_TOOLS or (part.startswith(".") and part != ".github") for part in inside)
    suffix = path.suffix.lower()
    kind = 0 if suffix in _PROGRAMS or not suffix or not inside else 2 if suffix in _NOTES else 1
    return made, kind, len(path.parts), str(path)
