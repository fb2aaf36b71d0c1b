"""What is built once and used by many grades: environments, wheels, seeds.

An entry's key is the digest of all that it is made from, and its marker says so in full. An entry is looked
for, locked, looked for again, built aside, sealed, marked, and only then moved into place, so that a
half-built one never passes for a finished one, whatever ended its builder. Its seal is compared before every
use: one that was changed since is thrown away and built anew.

Whoever uses an entry holds a shared lock until it is released, and the time of its marker is that of its last
use. What nobody uses is removed, the oldest use first, where there is no room for what is to be built.

Nobody but its owner may write to the directory. Programs of candidates never can: what they see of it is
read-only (without isolation they are the user, and there is nothing that they cannot do).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from grader.errors import GraderFault, UsageError
from grader.runtime.temporary import remove_tree

MARKER = ".complete"
VARIABLE = "GRADER_CACHE_DIR"
MAX_VARIABLE = "GRADER_CACHE_MAX"
"""Bytes that all entries may have together, as `20G`; what they share with uv's cache is not counted."""
MIN_FREE = 500 * 2**20
"""Bytes on the disk below which nothing is built."""
UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_BYTECODE = "__pycache__"
_SITE_PACKAGES = "lib/python*/site-packages"

Seal = Callable[[Path], Mapping[str, str]]
"""What tells an entry from one that was changed."""


def cache_directory() -> Path:
    """`GRADER_CACHE_DIR`, or `grader` in the user's cache directory."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grader"


def bytes_of(word: str) -> int:
    """A size as people write it: `500M`, `20G`, `1.5TiB`; units are powers of 1024.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(
        r"(\d{1,15}(?:\.\d{1,3})?)\s*([KMGT]?)(?:i?B)?", word.strip(), re.IGNORECASE | re.ASCII
    )
    if found is None:
        raise ValueError(f"{word!r} is no size, such as 500M or 20G")
    return int(float(found[1]) * 2 ** UNITS[found[2].upper()])


def cache_limit() -> int | None:
    """`GRADER_CACHE_MAX` in bytes.

    Raises:
        UsageError: it is no size.
    """
    if not (word := os.environ.get(MAX_VARIABLE, "")):
        return None
    try:
        return bytes_of(word)
    except ValueError as error:
        raise UsageError(f"{MAX_VARIABLE}: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in a cache, finished or not."""

    kind: str
    path: Path
    used: float
    """When it was used last, in seconds since the epoch."""
    bytes: int
    """That it had for itself when it was built: what it shares by hard links is not among them."""


def entries(root: Path) -> list[Entry]:
    """What is in a cache, the oldest use first."""
    found = []
    for path in root.glob("*/*"):
        if path.is_dir() and not path.name.startswith(".") and not path.is_symlink():
            used, own = 0.0, 0
            with contextlib.suppress(OSError, ValueError, TypeError):
                used = (path / MARKER).stat().st_mtime
                marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
                own = int(marker["bytes"]) if "bytes" in marker else _own_bytes(path)
            found.append(Entry(kind=path.parent.name, path=path, used=used, bytes=own))
    return sorted(found, key=lambda entry: (entry.used, entry.path))


def discard(entry: Path) -> bool:
    """Remove an entry, and what killed builders of it left; False where somebody builds or uses it.

    Raises:
        OSError: it cannot be removed.
    """
    with contextlib.ExitStack() as stack:
        for lock in (_lock_of(entry), _use_of(entry)):
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        for leftover in entry.parent.glob(f".{entry.name}-*"):
            _discard(leftover)
        _discard(entry)
        if entry.exists():
            raise OSError(f"{entry} cannot be removed")
    return True


def contents(entry: Path) -> dict[str, str]:
    """Every file and its digest: for entries that are small."""
    return {os.fspath(path.relative_to(entry)): _digest(path) for path in _below(entry)}


def outline(entry: Path) -> dict[str, str]:
    """What is in the folders of a virtual environment that decide what Python runs, and how old it is.

    An environment has tens of thousands of files: reading them all would take longer than some grades.
    """
    found: dict[str, str] = {}
    for folder in (entry, *entry.glob("*"), *entry.glob("*/bin"), *entry.glob(f"*/{_SITE_PACKAGES}")):
        if folder.is_dir():
            with os.scandir(folder) as entries:
                listed = [each for each in entries if each.name not in (MARKER, _BYTECODE)]
            found.update({os.fspath(Path(each).relative_to(entry)): _signature(each) for each in listed})
    return found


class Cache:
    """Directories by kind and by what they are made from. Threads and graders may share one."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory()
        self._lock = Lock()
        self._remarks: list[str] = []
        self._held: dict[Path, int] = {}

    def share(self) -> Cache:
        """The same for somebody who releases what is used on its own."""
        return Cache(self.root)

    def release(self) -> None:
        """Say that none of the entries is used any more."""
        with self._lock:
            held, self._held = self._held, {}
        for handle in held.values():
            os.close(handle)

    def open(self) -> None:
        """Make the directory, unless it is there.

        Raises:
            UsageError: it cannot be written to, which every criterion would say; or others may write to it,
                so that what it holds could be anything.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise UsageError(
                f"the cache directory {self.root} cannot be written: {error.strerror}; "
                f"name another in {VARIABLE}"
            ) from error
        cache_limit()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = self.root.stat()
            if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise UsageError(
                    f"the cache directory {self.root} can be written by others: "
                    f"make it yours alone (chmod 700), or name another in {VARIABLE}"
                )

    def take_remarks(self) -> list[str]:
        """What happened to entries since this was last asked."""
        with self._lock:
            remarks, self._remarks = self._remarks, []
        return remarks

    def find(self, kind: str, inputs: Mapping[str, Any], seal: Seal = contents) -> Path | None:
        """The finished entry, if it is there and as it was built; in use until it is released."""
        entry = self.root / kind / _key(inputs)
        if not (entry / MARKER).exists():
            return None
        self._hold(entry)
        if _is_sound(entry, inputs, seal):
            with contextlib.suppress(OSError):  # a cache that is a part of an image cannot be written
                os.utime(entry / MARKER)
            return entry
        self._let_go(entry)
        return None

    def get(
        self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None], seal: Seal = contents
    ) -> Path:
        """The entry, built by `build(directory)` where it is missing or was changed. Write to no part of it.

        Args:
            inputs: all that decides what `build` makes, as JSON.

        Raises:
            GraderFault: the disk refuses it, or there is no room.
        """
        if found := self.find(kind, inputs, seal):
            return found
        with self._locked(kind, _key(inputs)):
            if found := self.find(kind, inputs, seal):
                return found
            if (self.root / kind / _key(inputs) / MARKER).exists():
                with self._lock:
                    self._remarks.append(f"an entry of the {kind} cache had been changed: it was built anew")
            self._make_room(self.root / kind / _key(inputs))
            try:
                built = self._build(kind, inputs, build, seal)
                self._hold(built)
                return built
            except OSError as error:
                raise GraderFault(f"an entry of the {kind} cache cannot be built: {error}") from error

    def _build(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None], seal: Seal) -> Path:
        entry = self.root / kind / _key(inputs)
        for leftover in entry.parent.glob(f".{entry.name}-*"):  # nobody else builds it: we hold its lock
            _discard(leftover)
        aside = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
        try:
            build(aside)
            _make_readonly(aside, files=seal is contents)
            aside.chmod(0o755)
            marker = aside / MARKER
            own = _own_bytes(aside)
            marker.write_text(
                json.dumps({"inputs": inputs, "seal": seal(aside), "bytes": own}), encoding="utf-8"
            )
            marker.chmod(0o444)
            _discard(entry)
            aside.rename(entry)
            entry.chmod(0o555)
        finally:
            _discard(aside)
        return entry

    def _make_room(self, entry: Path) -> None:
        """Remove what was not used for longest, until there is room to build another one."""
        limit = cache_limit()

        def lacks() -> str:
            if (free := shutil.disk_usage(self.root).free) < MIN_FREE:
                return f"only {free >> 20} MiB are free on its disk"
            if limit is not None and total > limit:
                return f"it has {total >> 20} MiB that are in use, and {MAX_VARIABLE} allows {limit >> 20}"
            return ""

        known = (
            entries(self.root) if limit is not None or shutil.disk_usage(self.root).free < MIN_FREE else []
        )
        total = sum(each.bytes for each in known)
        for oldest in known:
            if not lacks():
                return
            with contextlib.suppress(OSError):
                if oldest.path != entry and discard(oldest.path):
                    total -= oldest.bytes
        if complaint := lacks():
            raise GraderFault(
                f"there is no room in the cache {self.root}: {complaint}; `grader cache` shows what it has"
            )

    def _hold(self, entry: Path) -> None:
        with self._lock:
            if entry in self._held:
                return
        try:
            handle = os.open(_use_of(entry), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # where nothing can be written, nothing can be removed
        fcntl.flock(handle, fcntl.LOCK_SH)  # waits for whoever is removing it
        with self._lock:
            if self._held.setdefault(entry, handle) == handle:
                return
        os.close(handle)

    def _let_go(self, entry: Path) -> None:
        with self._lock:
            handle = self._held.pop(entry, None)
        if handle is not None:
            os.close(handle)

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        folder = self.root / kind
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = _lock_of(folder / key).open("w")
        except OSError as error:
            raise GraderFault(f"the cache directory {folder} cannot be written: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _key(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def _lock_of(entry: Path) -> Path:
    """Locked by whoever builds or removes an entry."""
    return entry.with_name(f".{entry.name}.lock")


def _use_of(entry: Path) -> Path:
    """Locked by all who use it, together."""
    return entry.with_name(f".{entry.name}.use")


def _own_bytes(entry: Path) -> int:
    found = 0
    for path in _below(entry):
        with contextlib.suppress(OSError):
            status = path.lstat()
            found += status.st_blocks * 512 if status.st_nlink == 1 else 0
    return found


def _is_sound(entry: Path, inputs: Mapping[str, Any], seal: Seal) -> bool:
    try:
        marked = json.loads((entry / MARKER).read_text(encoding="utf-8"))
        marked.pop("bytes", None)
        expected = {"inputs": json.loads(json.dumps(inputs)), "seal": seal(entry)}
    except (OSError, ValueError, RecursionError, AttributeError):
        return False
    return bool(marked == expected)


def _below(entry: Path) -> Iterator[Path]:
    """Whatever is no folder, but for the marker."""
    for top, directories, names in os.walk(entry):
        links = [name for name in directories if Path(top, name).is_symlink()]
        yield from (path for name in (*names, *links) if (path := Path(top, name)) != entry / MARKER)


def _digest(path: Path) -> str:
    """A link's is where it leads: what it leads to is none of the entry's."""
    if path.is_symlink():
        return f"-> {path.readlink()}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _signature(entry: os.DirEntry[str]) -> str:
    """Nothing that a copy of the cache, as in the layer of an image, would change."""
    if entry.is_symlink():
        return f"-> {Path(entry).readlink()}"
    if entry.is_dir():
        return "directory"
    status = entry.stat(follow_symlinks=False)
    return f"{status.st_size} {int(status.st_mtime)}"


def _make_readonly(entry: Path, *, files: bool) -> None:
    """Folders, so that nothing is added or replaced; files too unless they may be shared with uv's cache."""
    for top, directories, names in os.walk(entry, topdown=False):
        for name in names if files else ():
            path = Path(top, name)
            if not path.is_symlink():
                path.chmod(0o555 if os.access(path, os.X_OK) else 0o444)
        for name in directories:
            path = Path(top, name)
            if not path.is_symlink():
                path.chmod(0o555)


def _discard(entry: Path) -> None:
    """Take the marker first: an entry whose removal is interrupted must not look finished."""
    with contextlib.suppress(OSError):
        entry.chmod(0o700)
        (entry / MARKER).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        remove_tree(entry)
