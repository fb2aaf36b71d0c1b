"""Copying a tree that somebody else made: bounded, and never led astray by links or special files.

Every step goes from an open directory to a name in it without following links, so that a tree that changes
under the copy can at worst change what is copied, never where it is read or written.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 2**20
MAX_NAMED = 20
"""The most paths that one remark lists."""

JUNK = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        "__MACOSX",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".ipynb_checkpoints",
        ".tox",
        ".nox",
        ".DS_Store",
    ]
)
_JUNK_INSIDE = {"cache": ".dvc", "tmp": ".dvc"}
_ENVIRONMENT_MARK = "pyvenv.cfg"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a submission is kept. Honest ones come nowhere near."""

    files: int = 20_000
    folders: int = 20_000
    total_bytes: int = 512 * 2**20
    file_bytes: int = 64 * 2**20
    depth: int = 40
    path_length: int = 1000
    names: int = 500_000
    """How many names are looked at, whatever becomes of them."""


@dataclass(slots=True)
class Refusals:
    """What was left out and why; many of a kind make one remark."""

    _paths: dict[str, list[str]] = field(default_factory=dict)
    """Of each reason the first, as many as are named."""
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, path: str, *, times: int = 1) -> None:
        """Note that `path` was left out, or that it stands for so many that were."""
        self._counts[reason] += times
        named = self._paths.setdefault(reason, [])
        if len(named) < MAX_NAMED:
            named.append(path)

    def findings(self) -> tuple[Finding, ...]:
        """One remark for each reason, in order of first occurrence."""
        return tuple(
            self._finding(reason, paths, self._counts[reason]) for reason, paths in self._paths.items()
        )

    def _finding(self, reason: str, paths: list[str], count: int) -> Finding:
        shown = [readable(path) for path in paths]
        more = [f"and {count - len(paths):,} more"] if count > len(paths) else []
        several = f" ({count:,} of them)" if count > 1 else ""
        detail = "\n".join(shown + more) if count > 1 else ""
        return Finding(message=f"left out: {reason}{several}", where=shown[0], detail=detail)


def readable(path: str) -> str:
    """A path with what is no UTF-8 written as escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_junk(path: PurePosixPath) -> bool:
    """Whether the last name of a path is what tools leave behind and no answer is made of."""
    return path.name in JUNK or _JUNK_INSIDE.get(path.name) == path.parent.name


def in_junk(path: PurePosixPath) -> bool:
    """Whether any name on the way is."""
    return is_junk(path) or any(is_junk(parent) for parent in path.parents)


def copy_tree(
    source: int, into: Path, bounds: Bounds, *, first: frozenset[str] = frozenset()
) -> tuple[Finding, ...]:
    """Copy a folder to a new one, and say what was left out.

    Args:
        source: a descriptor, so that nothing can be put in the folder's place; the caller closes it.
        first: names of top folders whose files are copied before others, should the bounds not admit all.

    Raises:
        OSError: the copy cannot be written.
    """
    copier = _Copier(into, bounds, first)
    into.mkdir(mode=0o755)
    copier.folder(source, PurePosixPath())
    copier.link()
    return copier.refusals.findings()


class _Copier:
    def __init__(self, into: Path, bounds: Bounds, first: frozenset[str]) -> None:
        self._into = into
        self._bounds = bounds
        self._first = first
        self._files = 0
        self._folders = 0
        self._bytes = 0
        self._names = 0
        self._links: dict[PurePosixPath, str] = {}
        self.refusals = Refusals()

    def folder(self, opened: int, place: PurePosixPath) -> None:
        """Copy what an open folder holds: its files, then its folders."""
        bounds = self._bounds
        try:
            with os.scandir(opened) as entries:
                names = sorted(entry.name for entry in islice(entries, bounds.names - self._names))
                more = next(entries, None) is not None
        except PermissionError:
            return self.refusals.add("it cannot be read", str(place))
        if _ENVIRONMENT_MARK in names and place.parts:
            return None
        self._names += len(names)
        if more:
            self.refusals.add(f"more than {bounds.names:,} names", str(place))
        folders = [name for name in names if self._entry(opened, name, place / name)]
        if not place.parts:
            folders.sort(key=lambda name: name not in self._first)
        for name in folders:
            self._descend(opened, name, place / name)
        return None

    def _entry(self, parent: int, name: str, place: PurePosixPath) -> bool:
        """Copy what is no folder; whether it is one, to be looked into."""
        if is_junk(place) or self._refused(place):
            return False
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                return True
            if stat.S_ISLNK(mode):
                if len(self._links) < self._bounds.files:
                    self._links[place] = os.readlink(name, dir_fd=parent)
                else:
                    self.refusals.add(f"more than {self._bounds.files:,} links", str(place))
            elif stat.S_ISREG(mode):
                self._file(parent, name, place)
            else:
                self.refusals.add("it is neither a file nor a folder", str(place))
        except FileNotFoundError:
            self.refusals.add("it was removed while it was being copied", str(place))
        except PermissionError:
            self.refusals.add("it cannot be read", str(place))
        return False

    def _refused(self, place: PurePosixPath) -> bool:
        """Names that cannot be handled; the reason is noted."""
        text = str(place)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.refusals.add("its name is not in UTF-8", text)
            return True
        if len(text) > self._bounds.path_length:
            self.refusals.add(f"its path is longer than {self._bounds.path_length:,} characters", text)
            return True
        return False

    def _file(self, parent: int, name: str, place: PurePosixPath) -> None:
        # Without O_NONBLOCK, a fifo put in the file's place would hang the open.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                self.refusals.add("it is neither a file nor a folder", str(place))
            elif self._fits(status.st_size, place):
                self._write(opened, place, executable=bool(status.st_mode & stat.S_IXUSR))
        finally:
            os.close(opened)

    def _fits(self, size: int, place: PurePosixPath) -> bool:
        bounds = self._bounds
        if size > bounds.file_bytes:
            self.refusals.add(f"it is larger than {_megabytes(bounds.file_bytes)}", str(place))
        elif self._files >= bounds.files:
            self.refusals.add(f"more than {bounds.files:,} files", str(place))
        elif self._bytes + size > bounds.total_bytes:
            self.refusals.add(f"more than {_megabytes(bounds.total_bytes)} in all", str(place))
        else:
            return True
        return False

    def _write(self, opened: int, place: PurePosixPath, *, executable: bool) -> None:
        target = self._into / place
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        written = os.open(target, flags, 0o755 if executable else 0o644)
        size = 0
        with os.fdopen(written, "wb") as copy:
            while chunk := os.read(opened, CHUNK):
                size += len(chunk)
                if size > self._bounds.file_bytes:  # it grows while it is read
                    break
                copy.write(chunk)
        if size > self._bounds.file_bytes:
            target.unlink()
            self._fits(size, place)
            return
        self._files += 1
        self._bytes += size

    def _descend(self, parent: int, name: str, place: PurePosixPath) -> None:
        if len(place.parts) > self._bounds.depth:
            return self.refusals.add(f"it is more than {self._bounds.depth} folders deep", str(place))
        if self._folders >= self._bounds.folders:
            return self.refusals.add(f"more than {self._bounds.folders:,} folders", str(place))
        try:
            opened = os.open(name, FOLDER, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            return self.refusals.add("it was removed while it was being copied", str(place))
        except PermissionError:
            return self.refusals.add("it cannot be read", str(place))
        try:
            if os.path.samestat(os.fstat(opened), self._into.stat()):
                return None  # the copy is being made inside what is copied
            self._folders += 1
            (self._into / place).mkdir(mode=0o755)
            return self.folder(opened, place)
        finally:
            os.close(opened)

    def link(self) -> None:
        """Make the links anew, now that nothing is written any more, and keep those that stay inside."""
        root = self._into.resolve()
        for place, target in self._links.items():
            if target.startswith("/"):
                self.refusals.add("it is a link to an absolute path", str(place))
            elif (self._into / place.parent).is_dir():
                (self._into / place).symlink_to(target)
        kept = [place for place in self._links if os.path.lexists(self._into / place)]
        # Taking one link away can break another that leads through it: go on until all hold.
        while bad := [place for place in kept if not _stays(root / place, root)]:
            for place in bad:
                (self._into / place).unlink()
                self.refusals.add("it is a link that leads nowhere inside the submission", str(place))
            gone = frozenset(bad)
            kept = [place for place in kept if place not in gone]
        self._repeated(kept)

    def _repeated(self, links: list[PurePosixPath]) -> None:
        """Take away links to folders with which the copy would seem to hold many times what it holds."""
        left = self._bounds.files
        for place in links:
            path = self._into / place
            if path.is_dir():
                size = _entries(path, left) if left else 1
                left = max(0, left - size)
                if not left:
                    path.unlink()
                    self.refusals.add(f"links repeat more than {self._bounds.files:,} files", str(place))


def _stays(link: Path, root: Path) -> bool:
    try:
        # The kernel's own answer: it gives up after forty links, and needs no look at each step.
        opened = os.open(link, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        target = Path(f"/proc/self/fd/{opened}").readlink()
    finally:
        os.close(opened)
    # A link to a folder above itself makes an endless tree of whatever follows links.
    return target.is_relative_to(root) and not link.parent.is_relative_to(target)


def _entries(folder: Path, most: int) -> int:
    """How much is in a folder, counted no further than that."""
    count, waiting = 1, [folder]
    while waiting and count < most:
        for entry in islice(os.scandir(waiting.pop()), most):
            count += 1
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
    return count


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.0f} MB" if size >= 2**20 else f"{size:,} bytes"


def listing(root: Path) -> Iterator[PurePosixPath]:
    """Every file of a copy, links to files among them, and once what stands under links to folders."""
    for place in _walk(root, PurePosixPath()):
        path = root / place
        if path.is_symlink() and path.is_dir():
            yield from (inner for inner in _walk(path, place) if not (root / inner).is_dir())
        elif path.is_file():
            yield place


def _walk(folder: Path, place: PurePosixPath) -> Iterator[PurePosixPath]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, place / entry.name)
        else:
            yield place / entry.name
