"""A submission on its way to another machine: one archive, the same each time for the same files.

Nothing is judged here: what is unpacked there goes through the same door as what was handed in here.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.runtime.temporary import scratch_directory
from grader.submission import git_revision
from grader.submission.copy_tree import FOLDER, is_junk
from grader.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 8 * 2**20
"""Of what travels with a task; a scheduler keeps it in memory."""
MAX_ENTRIES = 20_000
MAX_NAME = 200
"""Bytes of a file name, with room for a suffix."""
_ENVIRONMENT_MARK = "pyvenv.cfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What travels."""

    name: str = ""
    """The file's; empty: nothing is in it, and the source is read where it is."""
    content: bytes = b""


class TooLargeError(Exception):
    """It is not for travelling."""


def pack(source: str) -> Parcel:
    """A submission as one file.

    Returns:
        One that is empty where the submission is too large to travel.

    Raises:
        UsageError: there is no such submission, or it cannot be read.
    """
    path = Path(source)
    try:
        if path.is_dir():
            return Parcel(name=f"{_title(path.resolve().name)}.tar", content=_tar(path))
        if not path.exists() and (wanted := git_revision.revision(source)) is not None:
            with scratch_directory() as scratch:
                content = _bytes(git_revision.write_tar(wanted, scratch, Tools()))
            return Parcel(name=f"{_title(wanted.title)}.tar", content=content)
        if not path.is_file():
            raise UsageError(f"there is nothing at {source}")
        return Parcel(name=path.name, content=_bytes(path))
    except TooLargeError:
        return Parcel()
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from error


def unpack(parcel: Parcel, into: Path) -> str:
    """Write a parcel down; the source that it is to a grader."""
    path = into / _title(parcel.name)
    path.write_bytes(parcel.content)
    return str(path)


def _title(name: str) -> str:
    """A name that is one, on any machine."""
    known = PurePosixPath(name).name
    fits = known and known != ".." and "\0" not in known and len(os.fsencode(known)) <= MAX_NAME
    return known if fits else "submission"


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLargeError
    return content


def _tar(folder: Path) -> bytes:
    packed = io.BytesIO()
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for count, (member, content) in enumerate(_members(top, PurePosixPath())):
                if count >= MAX_ENTRIES or packed.tell() + len(content) > MAX_BYTES:
                    raise TooLargeError
                archive.addfile(member, io.BytesIO(content))
    finally:
        os.close(top)
    return packed.getvalue()


def _members(opened: int, place: PurePosixPath) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """What an open folder holds, by name, through no link; without what no grade looks at."""
    names = sorted(os.listdir(opened), key=os.fsencode)
    if _ENVIRONMENT_MARK in names and place.parts:
        return
    if len(names) > MAX_ENTRIES or len(place.parts) > MAX_ENTRIES // 200:
        raise TooLargeError
    for name in names:
        path = place / name
        if is_junk(path):
            continue
        mode = os.stat(name, dir_fd=opened, follow_symlinks=False).st_mode
        member = tarfile.TarInfo(str(path))
        member.mode = 0o755 if mode & stat.S_IXUSR else 0o644
        content = b""
        if stat.S_ISDIR(mode):
            member.type = tarfile.DIRTYPE
            inner = os.open(name, FOLDER, dir_fd=opened)
            try:
                yield member, b""
                yield from _members(inner, path)
            finally:
                os.close(inner)
            continue
        if stat.S_ISLNK(mode):
            member.type, member.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=opened)
        elif stat.S_ISREG(mode):
            content = _file(opened, name)
            member.size = len(content)
        else:
            member.type = tarfile.FIFOTYPE
        yield member, content


def _file(parent: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLargeError
    return content
