"""`grader cache`: what is kept between grades, and its removal."""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.table import Table

from grader.check import require_name
from grader.error_handler import PASSED
from grader.errors import UsageError
from grader.report.console import console
from grader.report.document import dump
from grader.report.safe import counted
from grader.runtime.cache import Entry, bytes_of, cache_directory, cache_limit, discard, entries
from grader.runtime.environment.uv import cache_directory as packages_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(slots=True)
class _Kind:
    """What there is of one kind."""

    entries: int = 0
    bytes: int = 0
    """On the disk, each file once however many links it has."""
    linked: int = 0
    """Those of them that other names hold as well, as those in uv's cache."""
    used: float = 0.0
    """Last use, in seconds since the epoch."""


def show_command(form: Literal["text", "json"] = "text") -> int:
    """Print what is cached."""
    root = cache_directory()
    kinds, limit = _measured(entries(root)), cache_limit()
    packages = packages_directory()
    apart = _are_apart(root, packages)
    if form == "json":
        told = {
            name: {"entries": kind.entries, "bytes": kind.bytes, "linked": kind.linked, "used": kind.used}
            for name, kind in kinds.items()
        }
        dump({"directory": str(root), "limit": limit, "kinds": told, "packages": str(packages)}, sys.stdout)
        return PASSED
    out = console(sys.stdout)
    if not kinds:
        out.print(f"{root}: nothing is cached", markup=False)
        return PASSED
    table = Table("kind", box=None, pad_edge=False)
    for title in ("entries", "size", "of it linked", "last used"):
        table.add_column(title, justify="right")
    for name, kind in kinds.items():
        cells = [str(kind.entries), size(kind.bytes), size(kind.linked), _ago(kind.used)]
        table.add_row(name, *cells)
    out.print(str(root), markup=False)
    out.print(table)
    total = sum(kind.bytes for kind in kinds.values())
    out.print(
        f"{size(total)} in all" + (f"; GRADER_CACHE_MAX allows {size(limit)}" if limit is not None else ""),
        markup=False,
    )
    if apart:
        out.print(
            f"uv's cache {packages} is on another file system: each environment has copies of all its"
            " packages. UV_CACHE_DIR on the same one lets them share.",
            markup=False,
        )
    elif any(kind.linked for kind in kinds.values()):
        out.print(
            f"What is linked is in uv's cache {packages} as well: it takes its place once, and is freed when"
            " `uv cache prune` or `uv cache clean` follows.",
            markup=False,
        )
    return PASSED


def prune_command(*, older_than: str = "", max_size: str = "", dry_run: bool = False) -> int:
    """Remove by age, by size, or both; the oldest use first.

    Raises:
        UsageError: neither is given, or one is no time or size.
    """
    if not older_than and not max_size:
        raise UsageError("say what to remove: --older-than 30d, --max-size 20G, or both")
    before = time.time() - _seconds(older_than) if older_than else 0.0
    try:
        limit = bytes_of(max_size) if max_size else None
    except ValueError as error:
        raise UsageError(f"--max-size: {error}") from None
    found = entries(cache_directory())
    total = sum(entry.bytes for entry in found)

    def is_due(entry: Entry, removed: int) -> bool:
        return entry.used < before or (limit is not None and total - removed > limit)

    return _remove(found, is_due, dry_run=dry_run)


def clear_command(kinds: Sequence[str] = (), *, dry_run: bool = False) -> int:
    """Remove everything of some kinds, or of all.

    Raises:
        UsageError: nothing of such a kind is cached.
    """
    found = entries(cache_directory())
    known = sorted({entry.kind for entry in found})
    for kind in kinds:
        try:
            require_name("kind", kind, known)
        except ValueError as error:
            raise UsageError(f"{error} (there are {', '.join(known) or 'none'})") from None
    chosen = [entry for entry in found if not kinds or entry.kind in kinds]
    return _remove(chosen, lambda _entry, _removed: True, dry_run=dry_run)


def _remove(found: Iterable[Entry], is_due: Callable[[Entry, int], bool], *, dry_run: bool) -> int:
    removed = number = busy = 0
    for entry in found:
        if not is_due(entry, removed):
            continue
        try:
            if not dry_run and not discard(entry.path):
                busy += 1
                continue
        except OSError as error:
            raise UsageError(f"{entry.path} cannot be removed: {error.strerror or error}") from error
        removed += entry.bytes
        number += 1
    out = console(sys.stdout)
    verb = "would remove" if dry_run else "removed"
    in_use = f"; {busy} in use stayed" if busy else ""
    out.print(f"{verb} {counted(number, 'entry', 'entries')}, {size(removed)}{in_use}", markup=False)
    return PASSED


def _measured(found: Iterable[Entry]) -> dict[str, _Kind]:
    kinds: dict[str, _Kind] = {}
    seen: set[tuple[int, int]] = set()
    for entry in found:
        kind = kinds.setdefault(entry.kind, _Kind())
        kind.entries += 1
        kind.used = max(kind.used, entry.used)
        for top, _, names in os.walk(entry.path):
            for name in names:
                status = os.lstat(os.path.join(top, name))  # noqa: PTH118  (tens of thousands)
                if status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                    kind.linked += status.st_blocks * 512
                kind.bytes += status.st_blocks * 512
    return dict(sorted(kinds.items()))


def _are_apart(root: Path, packages: Path) -> bool:
    try:
        return root.stat().st_dev != packages.stat().st_dev
    except OSError:
        return False


def _seconds(word: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([hdw])", word.strip(), re.ASCII)
    if found is None:
        raise UsageError(f"--older-than: {word!r} is no time, such as 12h, 30d or 8w")
    return int(found[1]) * SECONDS[found[2]]


def size(number: int) -> str:
    """`0 B`, `12 MiB`, `1.4 GiB`."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 2**power:
            value = number / 2**power
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{number} B"


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for word, length in (("day", SECONDS["d"]), ("hour", SECONDS["h"]), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), word, f'{word}s')} ago"
    return "just now"
