"""What a warm interpreter is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Preload:
    """What is to be imported ahead, and with what."""

    python: Path
    env: Mapping[str, str]
    """As most runs will have it."""
    readable: Sequence[Path]
    shown: Sequence[Path] = ()
    """Directories of the grader that jobs may bind somewhere."""
    modules: Sequence[str] = ()
    """Imported in order, where they can be."""
    programs: Sequence[str] = ()
    """Modules besides the submission's own that may be run with `-m`."""
