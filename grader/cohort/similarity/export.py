"""Folders as JPlag and Dolos want them: what is compared here, a folder for each submission."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from typing import TYPE_CHECKING

from grader.cohort.similarity.reading import MAX_ENTRIES, MAX_FILES
from grader.cohort.similarity.tokens import language_of, max_bytes
from grader.errors import UsageError
from grader.files import Budget, open_tree
from grader.report.spreadsheet import FORMULA
from grader.submission.copy_tree import JUNK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from grader.cohort.similarity.model import Work
    from grader.files import Tree

SUBMISSIONS, BASE, TABLE = "submissions", "base", "info.csv"
MAX_NAME = 80


def export_tree(works: Iterable[Work], target: Path, *, subtract: Sequence[Path] = ()) -> int:
    """Lay out `submissions/NAME/…`, `base/…` (JPlag's base code) and `info.csv` (Dolos's labels).

    Args:
        target: an empty folder, or one that does not exist yet.
        subtract: what comes with the exam; becomes `base`.

    Returns:
        How many files of submissions were written.

    Raises:
        UsageError: the target is not empty, or cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        taken = any(target.iterdir())
    except OSError as error:
        raise UsageError(f"cannot write to {target}: {error.strerror}; name a folder that is new") from error
    if taken:
        raise UsageError(f"{target} is not empty, so nothing was written; name a folder that is new")
    tree = open_tree(target)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["filename", "label", "full_name"])
    names: set[str] = set()
    written = 0
    for work in sorted(works, key=lambda work: work.name):
        name = _folder_name(work.name, names)
        for path in _copy(open_tree(work.folder), tree, f"{SUBMISSIONS}/{name}"):
            rows.writerow([_cell(f"{SUBMISSIONS}/{name}/{path}"), _cell(name), _cell(work.name)])
            written += 1
    for place, given in enumerate(subtract):
        if open_tree(given).is_folder(""):
            _copy(open_tree(given), tree, f"{BASE}/{place}")
        elif (content := open_tree(given.parent).read(given.name, max_bytes(given.name))) is not None:
            _write(tree, f"{BASE}/{place}/{given.name}", content)
    _write(tree, TABLE, table.getvalue().encode("utf-8", "replace"))
    return written


def _copy(source: Tree, target: Tree, folder: str) -> list[str]:
    found: list[str] = []
    for entry in source.walk(budget=Budget(entries=MAX_ENTRIES), skip=JUNK):
        if len(found) >= MAX_FILES:
            break
        if language_of(entry.path) is None:
            continue
        content = source.read(entry.path, max_bytes(entry.path))
        if content is not None:
            _write(target, f"{folder}/{entry.path}", content)
            found.append(entry.path)
    return found


def _write(tree: Tree, path: str, content: bytes) -> None:
    if not tree.write(path, content):
        raise UsageError(f"cannot write {path} in the target folder; is the disk full?")


def _folder_name(name: str, taken: set[str]) -> str:
    """A name for a folder that no file system and no shell minds, and nobody else has."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", plain).strip("-")[:MAX_NAME] or "submission"
    found, number = plain, 2
    while found.lower() in taken:
        found, number = f"{plain}-{number}", number + 1
    taken.add(found.lower())
    return found


def _cell(text: str) -> str:
    """A spreadsheet takes a text that begins like this for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
