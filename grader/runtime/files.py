"""Looking into a directory that a hostile program filled: never through a link, never without a bound."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
HASHED = 2**20
"""Up to this size a file is compared by its content, above by size and time."""
DEEPEST = 100
MOST_FILES = 200_000


def open_inside(root: Path, path: str | PurePosixPath) -> int | None:
    """A descriptor of the regular file at `path` under `root`; None for anything else, also on the way."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        return None
    try:
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # locked by what ran there
        return None
    try:
        for part in parts[:-1]:
            inner = os.open(part, FLAGS | os.O_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        file = os.open(parts[-1], FLAGS, dir_fd=directory)
    except (OSError, ValueError):  # missing, a link, locked; or no possible name
        return None
    finally:
        os.close(directory)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def read_inside(root: Path, path: str | PurePosixPath, limit: int) -> bytes | None:
    """The content of a regular file under `root`; None where there is none, or more than `limit` bytes."""
    file = open_inside(root, path)
    if file is None:
        return None
    with os.fdopen(file, "rb") as stream, contextlib.suppress(OSError):
        data = stream.read(limit + 1)
        return data if len(data) <= limit else None
    return None


def snapshot(root: Path) -> dict[str, str]:
    """Every regular file under `root` by its path, with what tells one content from another."""
    return dict(_signatures(root))


def _signatures(root: Path) -> Iterator[tuple[str, str]]:
    for path in regular_files(root):
        file = open_inside(root, path)
        if file is None:
            continue
        with os.fdopen(file, "rb") as stream, contextlib.suppress(OSError):
            status = os.fstat(stream.fileno())
            content = str(status.st_mtime_ns)
            if status.st_size <= HASHED:
                content = hashlib.sha256(stream.read(HASHED + 1)).hexdigest()
            yield path, f"{status.st_size}:{content}"


def regular_files(root: Path) -> Iterator[str]:
    """Paths of the regular files under `root`, sorted within each directory; links are not followed."""
    waiting, count = [""], 0
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(root / directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            count += 1
            path = f"{directory}/{entry.name}" if directory else entry.name
            if entry.is_file(follow_symlinks=False):
                yield path
            elif entry.is_dir(follow_symlinks=False) and path.count("/") < DEEPEST:
                waiting.append(path)
            if count > MOST_FILES:
                return


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Files that are new or different, in order."""
    return tuple(sorted(path for path, content in after.items() if before.get(path) != content))
