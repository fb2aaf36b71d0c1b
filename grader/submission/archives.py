"""Unpacking archives that somebody else packed: bounded while they unpack, and never outside their folder.

What comes out is still somebody else's tree (links among it): `copy_tree` copies from it as from any.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from grader.errors import UsageError
from grader.submission.copy_tree import CHUNK, Bounds, Refusals, in_junk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from grader.results import Finding

MAX_UNPACKED = 4 * 2**30
"""The most bytes that a compressed tar may come to while it is read, kept or not."""
MAX_HEADER = 2**20
"""The most bytes that a tar says of one member: names, attributes, where its holes are."""
MAX_DIRECTORY = 2**25
"""The most bytes of a zip's table of contents, which is read at once, into some twenty times as many."""
MAX_DICTIONARY = 2**28
"""The most memory for reading an xz file; `xz -9` asks for a quarter."""
MAX_MEMBERS = 500_000
MAX_SECONDS = 300

_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of the others `zipfile` unpacks all that it has read, however much that comes to."""
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,  # a compression method that zipfile does not know
    ValueError,  # numbers and names in headers
    ArithmeticError,
    LookupError,  # a header that is cut off
    RecursionError,  # headers of headers of headers
    MemoryError,
)


class Kind(Enum):
    """What a member of an archive is."""

    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    SAME = auto()  # a hard link: another member's content once more
    OTHER = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of an archive, of whichever format."""

    name: str
    kind: Kind
    open: Callable[[], IO[bytes] | None]
    target: str = ""
    executable: bool = False


def is_archive(path: Path) -> bool:
    """Whether the first bytes are those of a format that can be unpacked."""
    with path.open("rb") as file:
        return _is_known(file.read(262))


def _is_known(head: bytes) -> bool:
    return head.startswith((*_ZIP, b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")) or head[257:] == b"ustar"


def extract(archive: Path, into: Path, bounds: Bounds) -> tuple[Finding, ...]:
    """Unpack into a new folder, and say what was left out.

    Raises:
        UsageError: it is no archive, is broken or encrypted, or unpacks to more than anyone hands in.
    """
    into.mkdir(mode=0o755)
    unpacker = _Unpacker(into, bounds)
    try:
        with ExitStack() as stack:
            packed = stack.enter_context(_Packed(archive))
            head = packed.read(8)
            packed.seek(0)
            members = _zip(packed, stack) if head.startswith(_ZIP) else _tar(packed, head, stack)
            for number, member in enumerate(members):
                if number >= MAX_MEMBERS:
                    raise UsageError(f"{archive.name} has more than {MAX_MEMBERS:,} entries")
                unpacker.take(member)
    except _BROKEN as error:
        raise UsageError(f"{archive.name} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the machine's, not the archive's
            raise
        raise UsageError(f"{archive.name} cannot be unpacked: {error}") from error
    unpacker.link()
    return unpacker.refusals.findings()


class _Packed(io.FileIO):
    """The archive itself: what reads it for ever ends here, and so does what reads it whole."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.title = path.name
        self._deadline = time.monotonic() + MAX_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._deadline:
            raise UsageError(f"{self.title} does not unpack within {MAX_SECONDS} s")
        whole = size is None or size < 0  # as the last bytes of a zip are read
        content = super().read(CHUNK + 1 if whole else min(size or 0, MAX_DIRECTORY + 1)) or b""
        if len(content) > (CHUNK if whole else MAX_DIRECTORY):
            raise UsageError(f"{self.title} has too long a table of contents")
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET and not 0 <= offset < 2**63:
            raise zipfile.BadZipFile("its table of contents points out of it")
        return super().seek(offset, whence)


def _zip(packed: _Packed, stack: ExitStack) -> Iterator[Member]:
    archive = stack.enter_context(zipfile.ZipFile(packed))
    if any(entry.flag_bits & 1 for entry in archive.infolist()):
        raise UsageError(f"{packed.title} is encrypted: hand it in without a password")
    if any(entry.compress_type not in _ZIP_METHODS for entry in archive.infolist()):
        raise UsageError(f"{packed.title} is compressed in an unusual way: hand in an ordinary zip (deflate)")
    for entry in archive.infolist():
        mode = entry.external_attr >> 16
        name = entry.filename.replace("\\", "/")  # some Windows programs write their own separator
        kind = Kind.FOLDER if name.endswith("/") else Kind.LINK if stat.S_ISLNK(mode) else Kind.FILE
        target = ""
        if kind is Kind.LINK:
            with archive.open(entry) as content:
                target = os.fsdecode(content.read(4096))
        yield Member(
            name=name,
            kind=kind,
            open=lambda entry=entry: archive.open(entry),  # type: ignore[misc]
            target=target,
            executable=bool(mode & stat.S_IXUSR),
        )


def _tar(packed: _Packed, head: bytes, stack: ExitStack) -> Iterator[Member]:
    raw = _decompressed(packed, head)
    stack.callback(raw.close)
    stream = _Metered(raw)
    stream.read_header()
    archive = stack.enter_context(tarfile.TarFile(fileobj=stream))
    while (entry := archive.next()) is not None:
        stream.read_content()
        archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header for later; there is no later
        kind = Kind.OTHER
        if entry.isreg():
            kind = Kind.FILE
        elif entry.isdir():
            kind = Kind.FOLDER
        elif entry.issym():
            kind = Kind.LINK
        elif entry.islnk():
            kind = Kind.SAME
        yield Member(
            name=entry.name,
            kind=kind,
            open=lambda entry=entry: archive.extractfile(entry),  # type: ignore[misc]
            target=entry.linkname,
            executable=bool(entry.mode & stat.S_IXUSR),
        )
        stream.read_header()


def _decompressed(packed: _Packed, head: bytes) -> IO[bytes] | gzip.GzipFile | _Xz | _Packed:
    if head.startswith(b"\x1f\x8b"):
        return gzip.open(packed)
    if head.startswith(b"BZh"):
        return bz2.open(packed)
    if head.startswith(b"\xfd7zXZ\x00"):
        return _Xz(packed)
    return packed


class _Xz(io.RawIOBase):
    """An xz file as `lzma.open` reads it, which knows no bound on the memory that a stream asks for."""

    def __init__(self, packed: _Packed) -> None:
        self._packed = packed
        self._stream = self._next_stream()

    def _next_stream(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_DICTIONARY)

    def read(self, size: int = -1, /) -> bytes:
        while True:
            if self._stream.eof:
                rest = (self._stream.unused_data or self._packed.read(CHUNK)).lstrip(b"\0")
                if not rest:
                    return b""
                self._stream = self._next_stream()
                content = self._stream.decompress(rest, size)
            elif self._stream.needs_input:
                more = self._packed.read(CHUNK)
                if not more:
                    raise EOFError("it is truncated")
                content = self._stream.decompress(more, size)
            else:
                content = self._stream.decompress(b"", size)
            if content:
                return content


class _Metered(io.RawIOBase):
    """A stream that is read forward only, and not without end; least of all where a header is read."""

    def __init__(self, raw: IO[bytes] | gzip.GzipFile | _Xz | _Packed) -> None:
        self._raw = raw
        self._position = 0
        self._header: int | None = None

    def read_header(self) -> None:
        """Until further notice, a header is read."""
        self._header = MAX_HEADER

    def read_content(self) -> None:
        """Until further notice, a member's content is read."""
        self._header = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._position:
            raise tarfile.ReadError("its headers point backwards")
        while self._position < offset:
            if not self._take(min(CHUNK, offset - self._position)):
                break
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self._header is not None:
            self._header -= max(size, 0)
        if size < 0 or size > CHUNK or (self._header or 0) < 0:
            raise UsageError("a header in the archive is too long")
        pieces = []
        while size > 0 and (piece := self._take(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _take(self, size: int) -> bytes:
        content = self._raw.read(size)
        self._position += len(content)
        if self._position > MAX_UNPACKED:
            raise UsageError(f"the archive unpacks to more than {MAX_UNPACKED >> 30} GB")
        return content


class _Unpacker:
    """Writes members under a folder in which, until the end, there is no link to be led astray by."""

    def __init__(self, into: Path, bounds: Bounds) -> None:
        self._into = into
        self._bounds = bounds
        self._left = bounds.total_bytes
        self._unpacked = 0
        self._files = 0
        self._folders = 0
        self._links: dict[PurePosixPath, str] = {}
        self.refusals = Refusals()

    def take(self, member: Member) -> None:
        """Write one member, or note why not."""
        place = PurePosixPath(member.name)
        if place.is_absolute() or ".." in place.parts or "\0" in member.name:
            return self.refusals.add("its path points outside the archive", member.name)
        if not place.parts or in_junk(place):
            return None
        if len(member.name) > self._bounds.path_length or len(place.parts) > self._bounds.depth + 1:
            return self.refusals.add("its path is too long", member.name[:80])
        if member.kind is Kind.LINK:
            if len(self._links) >= self._bounds.files:
                return self.refusals.add("the archive has too many links", member.name)
            self._links[place] = member.target[: self._bounds.path_length + 1]
            return None
        with self._refusing(member.name):
            self._write(member, place)
        return None

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        """Whatever the file system has against a name is a remark."""
        try:
            yield
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            self.refusals.add("it is both a file and a folder", name)
        except (OSError, UnicodeEncodeError) as error:
            if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
                raise
            self.refusals.add("its name cannot be a file's", name)

    def _write(self, member: Member, place: PurePosixPath) -> None:
        target = self._into / place
        if member.kind is Kind.OTHER:
            return self.refusals.add("it is neither a file nor a folder", member.name)
        if self._folders > MAX_MEMBERS or self._files >= self._bounds.files:
            return self.refusals.add("the archive has too many entries", member.name)
        folder = target if member.kind is Kind.FOLDER else target.parent
        if not folder.is_dir():
            self._folders += len(place.parts)
            folder.mkdir(parents=True, exist_ok=True)
        if member.kind is Kind.SAME:
            return self._again(member, target)
        if member.kind is Kind.FILE:
            return self._content(member, target)
        return None

    def _again(self, member: Member, target: Path) -> None:
        first = PurePosixPath(member.target)
        source = self._into / first
        if first.is_absolute() or ".." in first.parts or not source.is_file() or target.exists():
            return self.refusals.add("it repeats a file that is not in the archive", member.name)
        if source.stat().st_size > self._left:
            return self._too_much(member.name)
        shutil.copy(source, target)
        self._left -= source.stat().st_size
        self._files += 1
        return None

    def _content(self, member: Member, target: Path) -> None:
        target.unlink(missing_ok=True)  # of two members with one name the last counts
        most = min(self._bounds.file_bytes, self._left)
        size = 0
        content = member.open()
        if content is None:
            return self.refusals.add("it is neither a file nor a folder", member.name)
        with content, target.open("xb") as file:
            while size <= most and (chunk := content.read(CHUNK)):
                size += len(chunk)
                file.write(chunk)
        self._unpacked += size
        if self._unpacked > MAX_UNPACKED:
            raise UsageError(f"the archive unpacks to more than {MAX_UNPACKED >> 30} GB")
        if size > most:
            target.unlink()
            return self._too_much(member.name)
        target.chmod(0o755 if member.executable else 0o644)
        self._left -= size
        self._files += 1
        return None

    def _too_much(self, name: str) -> None:
        if self._left < self._bounds.file_bytes:
            self.refusals.add(f"more than {self._bounds.total_bytes >> 20} MB in all", name)
        else:
            self.refusals.add(f"it is larger than {self._bounds.file_bytes >> 20} MB", name)

    def link(self) -> None:
        """Make the links, now that nothing is written any more."""
        for place, target in self._links.items():
            above = [self._into / parent for parent in place.parents]
            # Nothing is made in a folder that is itself a link: it could be anywhere.
            if any(os.path.lexists(path) and (path.is_symlink() or not path.is_dir()) for path in above):
                self.refusals.add("it stands under a link or a file", str(place))
            elif not 0 < len(target) <= self._bounds.path_length or "\0" in target:
                self.refusals.add("it is a link that leads nowhere", str(place))
            elif not os.path.lexists(self._into / place):
                with self._refusing(str(place)):
                    above[0].mkdir(parents=True, exist_ok=True)
                    (self._into / place).symlink_to(target)
