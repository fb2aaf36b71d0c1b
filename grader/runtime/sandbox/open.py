"""Choosing a sandbox by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from grader.runtime.sandbox.protocol import Sandbox


def open_sandbox(isolation: str, *, scratch: Path, hidden: tuple[Path, ...] = ()) -> Sandbox:
    """The sandbox of that name.

    Args:
        scratch: a private directory for what it needs itself.
        hidden: directories that no program may see, even where they lie in a shared one.

    Raises:
        ToolMissing: this machine cannot isolate in that way.
    """
    if isolation == "none":
        from grader.runtime.sandbox.direct import Direct

        return Direct(scratch)
    if isolation == "bubblewrap":
        from grader.runtime.sandbox.bubblewrap.sandbox import Bubblewrap

        return Bubblewrap(scratch, hidden=hidden)
    if isolation == "docker":
        from grader.runtime.sandbox.docker.sandbox import Containers

        return Containers(scratch, hidden=hidden)
    raise ValueError(f"no isolation {isolation!r}")
