"""Files where a user wants them: whole or not at all, and equal marks give equal bytes."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.report.formats import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""A zip has no time before it."""
_REGULAR = 0o100644 << 16


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, over one that is there.

    Raises:
        UsageError: it cannot be written.
    """
    with whole_file(path) as file:
        file.write(data)


def write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write an archive of files, without times and owners, in their order.

    Raises:
        UsageError: it cannot be written.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = _REGULAR
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)


def write_folder(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Make a folder of files, whose names are relative and may have folders.

    Raises:
        UsageError: it cannot be made, or there is something in it already: what is left there from an earlier
            export would be taken for marks.
    """
    try:
        path.mkdir(exist_ok=True)
        if next(path.iterdir(), None) is not None:
            raise UsageError(f"{path} is not empty: name a new folder, or a file that ends with .zip")
        for name, data in files:
            file = path / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or path}: {error.strerror}") from error
