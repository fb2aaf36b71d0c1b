"""Winnowing (Schleimer, Wilkerson and Aiken 2003): some of the hashes of all runs of tokens.

Two files that share `LENGTH + WINDOW - 1` tokens in a row share at least one fingerprint; what is shorter
than `LENGTH` is never found. Hashes are the same on every machine and in every process.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from grader.cohort.similarity.tokens import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Numbers = NDArray[np.int32]

LENGTH = {Kind.PROGRAM: 12, Kind.CONFIGURATION: 12, Kind.PROSE: 8}
"""Tokens in a hash."""
WINDOW = 4
"""Hashes of which one is kept."""
_BASE = 0x9E3779B97F4A7C15
"""An odd number, so that no token is multiplied away."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of one file: hashes and the lines, first and last, of the tokens behind each; in order."""

    hashes: Hashes
    first: Numbers
    last: Numbers


@lru_cache(maxsize=100_000)
def token_hash(token: str) -> int:
    """64 bits that are the same everywhere."""
    digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def all_hashes(tokens: Sequence[tuple[str, int]], kind: Kind, salt: str) -> Hashes:
    """The hash of every run of LENGTH tokens.

    Args:
        salt: of the language; equal words of two languages are not alike.
    """
    import numpy as np

    length = LENGTH[kind]
    count = len(tokens) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    values = np.array([token_hash(token) for token, _ in tokens], dtype=np.uint64)
    found = np.full(count, token_hash(salt), dtype=np.uint64)
    for place in range(length):  # modulo 2**64: numpy wraps around
        found = found * np.uint64(_BASE) + values[place : place + count]
    return _mixed(found)


def _mixed(values: Hashes) -> Hashes:
    """Spread what sums leave in the upper bits over all of them (the end of splitmix64)."""
    import numpy as np

    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    return values ^ (values >> np.uint64(31))


def winnow(tokens: Sequence[tuple[str, int]], kind: Kind, salt: str) -> Fingerprints:
    """The smallest hash of each window, the last where several are equally small; each place once."""
    import numpy as np

    hashes = all_hashes(tokens, kind, salt)
    if not len(hashes):
        nothing = np.empty(0, dtype=np.int32)
        return Fingerprints(hashes, nothing, nothing)
    if len(hashes) <= WINDOW:
        places = np.array([len(hashes) - 1 - int(np.argmin(hashes[::-1]))])
    else:
        windows = np.lib.stride_tricks.sliding_window_view(hashes, WINDOW)[:, ::-1]
        starts = np.arange(len(windows))
        places = np.unique(starts + WINDOW - 1 - windows.argmin(axis=1))
    lines = np.array([line for _, line in tokens], dtype=np.int32)
    return Fingerprints(hashes[places], lines[places], lines[places + LENGTH[kind] - 1])
