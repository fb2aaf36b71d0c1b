"""Regular expressions that a candidate wrote: matched by RE2, in time that grows with the text and no faster.

RE2 is what Prometheus takes (its own is Go's), so nothing is lost on lookaheads, backreferences and the like:
where they matter, the whole expression is invalid.
"""

from __future__ import annotations

from functools import lru_cache

import re2


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern takes a whole text; one that RE2 refuses takes none."""
    compiled = _compiled(pattern)
    try:
        return compiled is not None and compiled.fullmatch(text) is not None
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re2._Regexp | None:
    options = re2.Options()
    options.log_errors = False  # it would write them to standard error
    options.never_capture = True
    options.max_mem = 2**20
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        return None
