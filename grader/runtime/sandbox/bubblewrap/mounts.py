"""The file system that a bubblewrap sandbox shows, as words of its command line.

A `Path` among the words is a source on the host, anything else is for bubblewrap as it stands: where root
starts bubblewrap as another user, sources are put where that user can reach them (`inside/lower.py`).
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from grader.runtime.sandbox import paths
from grader.runtime.sandbox.model import HOME
from grader.runtime.sandbox.paths import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Words = list[str | Path]

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SETTINGS = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "ca-certificates.conf",
    "fonts",
    "localtime",
    "mime.types",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "ssl/certs",  # not all of ssl: its private keys are none of a candidate's business
    "ssl/openssl.cnf",
)
OWN_SETTINGS = ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf")
IN_MEMORY = ("/tmp", HOME, "/dev/shm")  # noqa: S108
MODES = ("1777", "0700", "1777")
INSIDE = "/grader/inside"
STAGE = "/tmp"  # noqa: S108  (as in `inside/lower.py`)


@cache
def system() -> tuple[str | Path, ...]:
    """The system's programs, libraries and settings, read-only, with the links that the system has."""
    words: Words = ["--dir", "/etc", "--dir", "/home"]
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", os.fspath(path.readlink()), os.fspath(path)]
        elif path.is_dir():
            words += ["--ro-bind", os.fspath(path), os.fspath(path)]
    for name in SETTINGS:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name in OWN_SETTINGS:
        words += ["--ro-bind", paths.INSIDE / "etc" / name, f"/etc/{name}"]
    cores = "/sys/devices/system/cpu"
    words += ["--ro-bind-try", cores, cores, "--proc", "/proc", "--dev", "/dev"]
    words += ["--dir", "/var", "--symlink", "../tmp", "/var/tmp", "--dir", "/run"]  # noqa: S108
    words += ["--ro-bind", paths.INSIDE, INSIDE]
    if not PREFIX.is_relative_to("/usr"):
        words += ["--ro-bind", PREFIX, os.fspath(PREFIX)]
    return tuple(words)


def in_memory(size: int) -> Words:
    """Private places to write, in memory, of a limited size."""
    words: Words = []
    for path, mode in zip(IN_MEMORY, MODES, strict=True):
        words += ["--perms", mode, "--size", str(size), "--tmpfs", path]
    return words


def covers(hidden: Iterable[Path], shown: Iterable[Path]) -> Words:
    """Empty directories over what must not be seen, where something that is shown would show it."""
    tops = [Path("/usr"), PREFIX, *shown]
    words: Words = []
    for path in hidden:
        real = path.resolve()
        if any(real.is_relative_to(top) for top in tops):
            words += ["--perms", "0555", "--tmpfs", os.fspath(real), "--remount-ro", os.fspath(real)]
    return words


def closed(*places: str) -> Words:
    """What bubblewrap made itself and left writable."""
    return [word for place in (*places, "/dev", "/") for word in ("--remount-ro", place)]


def stage(words: Sequence[str | Path]) -> tuple[list[str], list[str]]:
    """The sources among the words, and the words with each source where `inside/lower.py` puts it."""
    sources = list(dict.fromkeys(os.fspath(word) for word in words if isinstance(word, Path)))
    places = {source: f"{STAGE}/{number}" for number, source in enumerate(sources)}
    return sources, [places[os.fspath(word)] if isinstance(word, Path) else word for word in words]


def plain(words: Sequence[str | Path]) -> list[str]:
    """The words with each source where it is."""
    return [os.fspath(word) for word in words]
