"""Files where a user wants them: whole or not at all, and equal marks give equal bytes."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""A zip has no time before it."""
_REGULAR = 0o100644 << 16


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, over one that is there.

    Raises:
        UsageError: it cannot be written.
    """
    _write(path, lambda file: file.write(data))


def write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write an archive of files, without times and owners, in their order.

    Raises:
        UsageError: it cannot be written.
    """

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files:
                entry = zipfile.ZipInfo(name, _EARLIEST)
                entry.external_attr = _REGULAR
                archive.writestr(entry, data, zipfile.ZIP_DEFLATED)

    _write(path, fill)


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


def _write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    name = ""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        with os.fdopen(handle, "wb") as file:
            fill(file)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        raise
