"""What is built once and used by many grades: environments, wheels, seeds.

An entry's key is the digest of all that it is made from, and its marker says so in full. An entry is looked
for, locked, looked for again, built aside, sealed, marked, and only then moved into place, so that a
half-built one never passes for a finished one, whatever ended its builder. Its seal is compared before every
use: one that was changed since is thrown away and built anew.

Nobody but its owner may write to the directory. Programs of candidates never can: what they see of it is
read-only (without isolation they are the user, and there is nothing that they cannot do).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from grader.errors import GraderFault, UsageError
from grader.runtime.temporary import remove_tree

MARKER = ".complete"
VARIABLE = "GRADER_CACHE_DIR"
_BYTECODE = "__pycache__"
_SITE_PACKAGES = "lib/python*/site-packages"

Seal = Callable[[Path], Mapping[str, str]]
"""What tells an entry from one that was changed."""


def cache_directory() -> Path:
    """`GRADER_CACHE_DIR`, or `grader` in the user's cache directory."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grader"


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
        """The finished entry, if it is there and as it was built."""
        entry = self.root / kind / _key(inputs)
        return entry if _is_sound(entry, inputs, seal) else None

    def get(
        self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], None], seal: Seal = contents
    ) -> Path:
        """The entry, built by `build(directory)` where it is missing or was changed. Write to no part of it.

        Args:
            inputs: all that decides what `build` makes, as JSON.

        Raises:
            GraderFault: the disk refuses it.
        """
        if found := self.find(kind, inputs, seal):
            return found
        with self._locked(kind, _key(inputs)):
            if found := self.find(kind, inputs, seal):
                return found
            if (self.root / kind / _key(inputs) / MARKER).exists():
                with self._lock:
                    self._remarks.append(f"an entry of the {kind} cache had been changed: it was built anew")
            try:
                return self._build(kind, inputs, build, seal)
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
            marker.write_text(json.dumps({"inputs": inputs, "seal": seal(aside)}), encoding="utf-8")
            marker.chmod(0o444)
            _discard(entry)
            aside.rename(entry)
            entry.chmod(0o555)
        finally:
            _discard(aside)
        return entry

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        folder = self.root / kind
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            lock = (folder / f".{key}.lock").open("w")
        except OSError as error:
            raise GraderFault(f"the cache directory {folder} cannot be written: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _key(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


def _is_sound(entry: Path, inputs: Mapping[str, Any], seal: Seal) -> bool:
    try:
        marked = json.loads((entry / MARKER).read_text(encoding="utf-8"))
        expected = {"inputs": json.loads(json.dumps(inputs)), "seal": seal(entry)}
    except (OSError, ValueError, RecursionError):
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
