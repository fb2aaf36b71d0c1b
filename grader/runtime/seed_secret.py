"""The secret of a machine, without which nobody can predict the data that a seed gives.

Seeds and the code that draws from them are public; whoever ran them at home would know the names of the runs,
their metrics and the rows to predict. The secret stays with the cache, whose seeds derive from it, so that
the same submission is graded on the same data each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from grader.runtime.cache import cache_directory

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "GRADER_SEED_SECRET"
"""Takes the secret's place: for machines that have to draw the same."""
FILE = "seed-secret"


def effective_seed(seed: int) -> int:
    """What is drawn from: a number of 63 bits that the public seed and the secret decide together."""
    secret = os.environ.get(VARIABLE) or _kept(cache_directory())
    digest = hashlib.blake2b(str(seed).encode(), key=hashlib.sha256(secret.encode()).digest()).digest()
    return int.from_bytes(digest[:8]) >> 1


def _kept(directory: Path) -> str:
    """The directory's secret, made by the first to ask."""
    path = directory / FILE
    # A cache that cannot be written keeps no seeds either: then one for this grade alone will do.
    secret = secrets.token_hex(32)
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            aside = directory / f".{FILE}-{secrets.token_hex(8)}"
            aside.touch(mode=0o600, exist_ok=False)
            try:
                aside.write_text(secret, encoding="ascii")
                with contextlib.suppress(FileExistsError):  # somebody else was first, and his is the one
                    path.hardlink_to(aside)
            finally:
                aside.unlink()
        secret = path.read_text(encoding="ascii", errors="replace").strip() or secret
    return secret
