"""A small bubblewrap for the grader's own helpers that meet hostile input: the tracking server, wheel builds.

Candidate code runs in `grader.runtime.sandbox`, which limits and observes; this only walls off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grader
from grader.runtime.helpers.container import Contained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Wall = Path | Contained
"""What keeps a helper to itself."""
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("/etc/ld.so.cache", "/etc/mime.types", "/etc/localtime")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "TZ": "UTC"}  # noqa: S108


def jailed(
    argv: Sequence[str | Path],
    *,
    bwrap: Wall | None,
    readable: Sequence[Path] = (),
    writable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """The words that run `argv` without network, seeing the system and `readable`, writing to `writable`.

    Args:
        bwrap: bubblewrap, or an engine for containers; None runs it in the open, which is what
            `--isolation none` asks for.
        hidden: directories under `readable` that are empty inside.
    """
    variables = ENVIRONMENT | dict(env or {})
    words = [str(word) for word in argv]
    if bwrap is None:
        return ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items()), *words]
    if isinstance(bwrap, Contained):
        return bwrap.command(words, readable=readable, writable=writable, hidden=hidden, env=variables)
    flags = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in variables.items():
        flags += ["--setenv", name, value]
    flags += [*_system(), "--proc", "/proc", "--remount-ro", "/proc"]
    flags += ["--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108
    for path in readable:
        flags += ["--ro-bind", str(path), str(path)]
    for path in hidden:
        flags += ["--tmpfs", str(path)]
    for path in writable:
        flags += ["--bind", str(path), str(path)]
    return [str(bwrap), *flags, "--remount-ro", "/", "--chdir", "/", "--", *words]


def interpreter_paths() -> tuple[list[Path], list[Path]]:
    """What the grader's own Python needs to be readable, and what of it must stay hidden.

    The grader's package holds rubrics and reference solution where it is installed as a wheel.
    """
    readable = list(dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix))))
    package = Path(grader.__file__).parent
    return readable, [package] if any(package.is_relative_to(path) for path in readable) else []


def _system() -> Iterator[str]:
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), name)  # noqa: PTH115
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in _SETTINGS:
        yield from ("--ro-bind-try", name, name)
