"""Where the files of a submission are, as long as they are there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.files import Budget, open_tree
from grader.report.safe import one_line
from grader.runtime.temporary import scratch_directory
from grader.submission import archives, git_revision
from grader.submission.copy_tree import JUNK, Bounds
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.files import Tree

MAX_LOOKED_AT = 5000
"""Entries among which a file is searched whose folder is not the one that was handed in."""
MAX_UNPACKED = Bounds(files=5000, folders=5000, total_bytes=64 * 2**20, file_bytes=8 * 2**20)
"""Of an archive, for a page: more than is ever shown of it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Why something cannot be shown, as a sentence for the instructor."""

    reason: str


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one submission."""

    _tree: Tree

    def read(self, path: str, limit: int) -> bytes | Gone:
        """A file by its path in the submission.

        Args:
            limit: bytes; a larger one is not read.
        """
        place = self._place(path)
        if place is None:
            return Gone(f"{one_line(path, longest=120)} is not among the submission's files any more.")
        content = self._tree.read(place, limit)
        if content is None:
            return Gone(f"{one_line(path, longest=120)} has more than {limit:,} bytes.")
        return content

    def _place(self, path: str) -> str | None:
        """People pack the folder itself: the answers are below the one that was handed in."""
        if self._tree.is_file(path):
            return path
        budget = Budget(entries=MAX_LOOKED_AT)
        found = (
            each.path for each in self._tree.walk(budget=budget, skip=JUNK) if each.path.endswith(f"/{path}")
        )
        return min(found, key=lambda place: (place.count("/"), place), default=None)


@contextlib.contextmanager
def open_files(source: str) -> Iterator[Files | Gone]:
    """The files of a submission for a while: a folder as it is, an archive or a local revision unpacked.

    Nothing is fetched from a network.

    Args:
        source: as the gradebook has it.
    """
    path = Path(source)
    try:
        if source and path.is_dir():
            yield Files(open_tree(path))
            return
        packed = bool(source) and path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        packed = False
    wanted = None if packed or not source else git_revision.revision(source)
    if not packed and wanted is None:
        yield Gone("The submission's files are gone: they are no longer where they were graded.")
        return
    if wanted is not None and git_revision.is_remote(wanted):
        yield Gone("The submission is in a git repository elsewhere, which is not fetched for this page.")
        return
    with scratch_directory() as scratch:
        yield _unpacked(path if packed else None, wanted, scratch)


def _unpacked(path: Path | None, wanted: git_revision.Revision | None, scratch: Path) -> Files | Gone:
    try:
        if path is None and wanted is not None:
            path = git_revision.write_tar(wanted, scratch, Tools())
        if path is None or not archives.is_archive(path):
            return Gone("The submission is neither a folder nor an archive any more.")
        archives.extract(path, scratch / "tree", MAX_UNPACKED)
    except (UsageError, OSError) as error:
        return Gone(f"The submission cannot be unpacked: {one_line(str(error))}.")
    return Files(open_tree(scratch / "tree"))
