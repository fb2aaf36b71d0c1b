"""What is built once and used by many grades: environments, wheels, seeds.

An entry is looked for, locked, looked for again, built aside, checked, marked, and only then moved into
place, so that a half-built one never passes for a finished one, whatever ended its builder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from grader.errors import GraderFault

MARKER = ".complete"
VARIABLE = "GRADER_CACHE_DIR"


def cache_directory() -> Path:
    """`GRADER_CACHE_DIR`, or `grader` in the user's cache directory."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grader"


def _no_complaint(_: Path) -> bool:
    return True


class Cache:
    """Directories by kind and key. Several threads and several graders may share one."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory()

    def find(self, kind: str, key: str, healthy: Callable[[Path], bool] = _no_complaint) -> Path | None:
        """The finished entry, if it is there and passes its check."""
        entry = self.root / kind / key
        return entry if (entry / MARKER).is_file() and healthy(entry) else None

    def get(
        self,
        kind: str,
        key: str,
        build: Callable[[Path], None],
        healthy: Callable[[Path], bool] = _no_complaint,
    ) -> Path:
        """The entry, built by `build(directory)` where it is missing or does not pass `healthy`.

        Raises:
            GraderFault: it fails its check as soon as it is built, or the disk refuses it.
        """
        if found := self.find(kind, key, healthy):
            return found
        with self._locked(kind, key):
            if found := self.find(kind, key, healthy):
                return found
            try:
                return self._build(kind, key, build, healthy)
            except OSError as error:
                raise GraderFault(f"an entry of the {kind} cache cannot be built: {error}") from error

    def remove(self, kind: str, key: str) -> None:
        """Forget an entry."""
        _discard(self.root / kind / key)

    def _build(
        self, kind: str, key: str, build: Callable[[Path], None], healthy: Callable[[Path], bool]
    ) -> Path:
        entry = self.root / kind / key
        for leftover in entry.parent.glob(f".{key}-*"):  # nobody else builds this key: we hold its lock
            shutil.rmtree(leftover, ignore_errors=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=entry.parent))
        aside.chmod(0o755)
        try:
            build(aside)
            if not healthy(aside):
                raise GraderFault(f"a {kind} entry of the cache does not work though it was just built")
            (aside / MARKER).touch()
            _discard(entry)
            aside.rename(entry)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return entry

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        folder = self.root / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / f".{key}.lock").open("w")
        except OSError as error:
            raise GraderFault(f"the cache directory {folder} cannot be written: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _discard(entry: Path) -> None:
    """Take the marker first: an entry whose removal is interrupted must not look finished."""
    (entry / MARKER).unlink(missing_ok=True)
    shutil.rmtree(entry, ignore_errors=True)
