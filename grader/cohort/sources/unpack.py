"""The one file that a platform hands out, unpacked aside; what candidates packed stays packed."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path

from grader.cohort.sources.entries import archive_suffix
from grader.errors import GraderFault, UsageError
from grader.submission import archives
from grader.submission.copy_tree import Bounds

BOUNDS = Bounds(
    files=archives.MAX_MEMBERS,
    folders=archives.MAX_MEMBERS,
    total_bytes=archives.MAX_UNPACKED,
    file_bytes=archives.MAX_UNPACKED,  # what is too large is told of its candidate, not lost here
    depth=60,
    path_length=2000,
)
"""What a course may come to: more is refused as a whole, so that no candidate is lost in silence."""


def unpacked(source: Path, aside: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder into which an archive was unpacked, now or in a run before, and what was left out.

    Raises:
        UsageError: it is no archive, broken, or too large.
        GraderFault: it cannot be written.
    """
    try:
        if not archives.is_archive(source):
            raise UsageError(f"{source} is no folder, archive (.zip, .tar, .tar.gz) or roster")
        status = source.stat()
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error
    what = f"{source.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
    place = aside / "unpacked" / hashlib.sha256(os.fsencode(what)).hexdigest()[:32]
    suffix = archive_suffix(source.name)
    name = source.name[: -len(suffix)] if suffix else source.name
    notes = place / "remarks.json"
    if not notes.exists():
        _unpack(source, place, name or "download")
    return place / (name or "download"), tuple(json.loads(notes.read_text("utf-8")))


def _unpack(source: Path, place: Path, name: str) -> None:
    new = place.with_name(f"new-{secrets.token_hex(8)}")
    try:
        new.mkdir(parents=True)
        left_out = archives.extract(source, new / name, BOUNDS)
        remarks = [f"{source.name}: {each.message} ({each.detail or each.where})" for each in left_out]
        (new / "remarks.json").write_text(json.dumps(remarks), "utf-8")
        new.rename(place)
    except UsageError as error:
        raise UsageError(f"{error}: unpack it yourself, and give its folder") from error
    except OSError as error:
        raise GraderFault(f"cannot unpack {source} to {place.parent}: {error.strerror}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
