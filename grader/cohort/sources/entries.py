"""Looking at what was handed in before anything of it is collected: names, kinds, sizes, first bytes.

No link is followed, nothing is read whole, and every count has an end.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.errors import UsageError
from grader.files import Budget, open_tree
from grader.submission import archives
from grader.submission.copy_tree import is_junk, readable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_ENTRIES = 100_000
"""Entries of a source: ten files for each candidate of the largest courses."""
MAX_INSIDE = 10_000
"""Entries of a submission that are looked at."""
MAX_WRAPPINGS = 3
MAX_HEAD = 512
MAX_FINGERPRINT = 64 * 2**20
"""Bytes of a file that is compared; no larger one is collected."""
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
"""What is older is no time: archives without times unpack to 1980, others to 1970."""

_LITTER = frozenset(["thumbs.db", "desktop.ini", "__macosx", ".ds_store", "ehthumbs.db", "$recycle.bin"])
_LITTER_STARTS = ("._", "~$", ".~lock.")
_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")
_FOREIGN = {".rar": "RAR", ".7z": "7z", ".tar.zst": "zstd", ".tzst": "zstd"}
_FOREIGN_HEADS = {b"Rar!": "RAR", b"7z\xbc\xaf\x27\x1c": "7z", b"\x28\xb5\x2f\xfd": "zstd"}
_DOCUMENTS = frozenset(
    [".txt", ".md", ".rst", ".pdf", ".html", ".htm", ".doc", ".docx", ".odt", ".rtf", ".png", ".jpg", ".jpeg"]
)
"""What people put beside the archive that is their work."""


class Kind(Enum):
    """What an entry is, with no link followed."""

    FOLDER = auto()
    FILE = auto()
    LINK = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Entry:
    """One name in a folder."""

    path: Path
    kind: Kind
    size: int = 0
    modified: datetime | None = None

    @property
    def name(self) -> str:
        """As the file system has it; it may be no text."""
        return self.path.name

    @cached_property
    def text(self) -> str:
        """The name as text: composed as most systems write it, and bytes that are no UTF-8 as escapes."""
        return unicodedata.normalize("NFC", readable(self.path.name))

    @cached_property
    def stem(self) -> str:
        """The same without what says that it is an archive."""
        suffix = archive_suffix(self.text)
        return self.text[: -len(suffix)] if suffix and self.kind is Kind.FILE else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What of an entry is the work."""

    path: Path
    submitted_at: datetime | None = None
    evidence: str = ""
    unreadable: str = ""
    retry: bool = False
    """Unreadable since whoever grades has no right to read it."""
    beside: tuple[str, ...] = ()
    """Documents that were handed in beside the archive that is the work."""
    within: tuple[str, ...] = ()
    """Archives among the files that are the work."""


def archive_suffix(name: str) -> str:
    """What ends the name of an archive, also of a kind that cannot be unpacked; empty for others."""
    lower = name.lower()
    found = next((end for end in (*_SUFFIXES, *_FOREIGN) if lower.endswith(end) and lower != end), "")
    return name[len(name) - len(found) :]


def is_litter(name: str) -> bool:
    """Whether a desktop left it behind."""
    return name.lower() in _LITTER or name.startswith(_LITTER_STARTS)


def entries(folder: Path, *, most: int = MAX_ENTRIES) -> tuple[Entry, ...]:
    """What a folder holds, in order of names, without what desktops leave behind.

    Raises:
        UsageError: it cannot be read, or holds more than `most`.
    """
    found: list[Entry] = []
    try:
        with os.scandir(folder) as listing:
            for each in listing:
                if is_litter(each.name):
                    continue
                if len(found) >= most:
                    raise UsageError(f"{readable(str(folder))} holds more than {most:,} entries")
                found.append(_entry(each))
    except OSError as error:
        raise UsageError(f"{readable(str(folder))} cannot be read: {error.strerror}") from error
    return tuple(sorted(found, key=lambda entry: entry.text))


def _entry(each: os.DirEntry[str]) -> Entry:
    try:
        return _described(Path(each.path), each.stat(follow_symlinks=False))
    except OSError:  # it went away
        return Entry(Path(each.path), Kind.OTHER)


def entry_at(path: Path) -> Entry:
    """What stands at a path that the user names, links followed: the trust is the user's."""
    try:
        return _described(path, path.stat())
    except OSError:
        return Entry(path, Kind.OTHER)


def _described(path: Path, status: os.stat_result) -> Entry:
    kinds = {stat.S_IFDIR: Kind.FOLDER, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}
    kind = kinds.get(stat.S_IFMT(status.st_mode), Kind.OTHER)
    return Entry(path, kind, status.st_size, as_time(status.st_mtime))


def as_time(seconds: float) -> datetime | None:
    """A time of a file or commit; None where it can be none."""
    try:
        time = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return time if time >= OLDEST else None


def skipped(entry: Entry) -> str:
    """Why an entry cannot hold a submission, as a remark; empty where it can."""
    if entry.kind is Kind.LINK:
        return f"{entry.text} is skipped: it is a symbolic link, which is not followed"
    if entry.kind is Kind.OTHER:
        return f"{entry.text} is skipped: it is neither a file nor a folder"
    return ""


def is_packed(entry: Entry) -> bool:
    """Whether a file is an archive, or is called one."""
    if entry.kind is not Kind.FILE:
        return False
    return bool(archive_suffix(entry.text)) or _is_archive(entry.path)


def _is_archive(path: Path) -> bool:
    try:
        return archives.is_archive(path)
    except OSError:
        return False


def works(entry: Entry) -> tuple[Work, ...]:
    """The works of an entry: a folder, the archive that it is or that is all there is in it, or several."""
    if entry.kind is Kind.FOLDER:
        return _inside(entry)
    return (_packed(entry),)


def _packed(entry: Entry, *, beside: tuple[str, ...] = ()) -> Work:
    return Work(
        path=entry.path,
        beside=beside,
        submitted_at=entry.modified,
        evidence="file time" if entry.modified else "",
        unreadable=_why_not_unpacked(entry),
        retry=not os.access(entry.path, os.R_OK),
    )


def _why_not_unpacked(entry: Entry) -> str:
    if not entry.size:
        return f"{entry.text} is empty"
    try:
        with entry.path.open("rb") as file:
            head = file.read(MAX_HEAD)
    except OSError as error:
        return f"{entry.text} cannot be read: {error.strerror}"
    foreign = next((kind for start, kind in _FOREIGN_HEADS.items() if head.startswith(start)), "")
    if foreign:
        return f"{entry.text} is a {foreign} archive: hand in .zip, .tar or .tar.gz"
    return "" if _is_archive(entry.path) else f"{entry.text} is no archive (.zip, .tar, .tar.gz)"


def _inside(entry: Entry) -> tuple[Work, ...]:
    try:
        held = _unwrapped(entry.path)
    except UsageError as error:
        if not os.access(entry.path, os.R_OK | os.X_OK):
            why = "the folder cannot be read: Permission denied"
            return (Work(path=entry.path, unreadable=why, retry=True),)
        return (Work(path=entry.path, unreadable=str(error)),)
    if packed := works_of(held):
        return packed
    newest, any_file = _newest(entry.path)
    if not any_file:
        return (Work(path=entry.path, unreadable="the folder is empty" if not held else _no_file(held)),)
    return (
        Work(
            path=entry.path,
            submitted_at=newest,
            evidence="newest file time" if newest else "",
            within=tuple(each.text for each in held if is_packed(each)),
        ),
    )


def works_of(held: Sequence[Entry]) -> tuple[Work, ...]:
    """The archives among some entries, if all else is documents; several are several works."""
    packed = [each for each in held if is_packed(each)]
    beside = tuple(each.text for each in held if each not in packed)
    if not packed or not all(_is_document(each) for each in held if each not in packed):
        return ()
    return tuple(_packed(each, beside=beside) for each in packed)


def _no_file(held: Iterable[Entry]) -> str:
    if all(each.kind is Kind.LINK for each in held):
        return "the folder holds nothing but symbolic links"
    return "the folder holds no file"


def _unwrapped(folder: Path) -> tuple[Entry, ...]:
    """What a folder holds, or the only folder in it."""
    for _ in range(MAX_WRAPPINGS):
        held = tuple(
            each for each in entries(folder, most=MAX_INSIDE) if not is_junk(PurePosixPath(each.name))
        )
        if len(held) != 1 or held[0].kind is not Kind.FOLDER:
            return held
        folder = held[0].path
    return held


def _is_document(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and Path(entry.text.lower()).suffix in _DOCUMENTS


def _newest(folder: Path) -> tuple[datetime | None, bool]:
    """When the newest file was changed, and whether there is any."""
    newest, any_file = 0, False
    skip = (".git", ".venv", "node_modules", "__MACOSX", "__pycache__")
    for found in open_tree(folder).walk(budget=Budget(entries=MAX_INSIDE), skip=skip):
        if not is_litter(PurePosixPath(found.path).name):
            any_file = True
            newest = max(newest, found.modified)
    return as_time(newest / 1e9), any_file


def fingerprint(entry: Entry) -> str:
    """What two entries have alike that hold the same; of a folder its files, of a link nothing."""
    whole = hashlib.sha256()
    if entry.kind is Kind.FILE:
        tree, paths = open_tree(entry.path.parent), [entry.path.name]
    elif entry.kind is Kind.FOLDER:
        tree = open_tree(entry.path)
        paths = [found.path for found in tree.walk(budget=Budget(entries=MAX_INSIDE))]
    else:
        return str(entry.path)
    for path in paths:
        whole.update(path.encode("utf-8", "surrogateescape") if entry.kind is Kind.FOLDER else b"")
        descriptor = tree.open(path)
        if descriptor is None:
            continue
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FINGERPRINT:
                return f"{entry.path}"  # too large to be compared: it is taken for different
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
