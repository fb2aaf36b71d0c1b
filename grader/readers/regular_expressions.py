"""Regular expressions matched by RE2, in time that grows with the text and no faster.

A candidate wrote them, or an author wrote them for texts of candidates. RE2 is what Prometheus takes (its own
is Go's), so nothing is lost on lookaheads, backreferences and the like: where they matter, the whole
expression is invalid.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import re2


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern takes a whole text; one that RE2 refuses takes none."""
    compiled = _compiled(pattern)
    try:
        return isinstance(compiled, re2._Regexp) and compiled.fullmatch(text) is not None
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


def find(pattern: str, text: str, most: int = 1) -> tuple[int, ...]:
    """Where the first matches of a valid pattern begin in a text."""
    compiled = _compiled(pattern)
    if not isinstance(compiled, re2._Regexp):
        raise ValueError(compiled)
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return tuple(found.start() for found in itertools.islice(compiled.finditer(plain), most))


def problem(pattern: str) -> str:
    """Why RE2 refuses a pattern; empty if it does not."""
    compiled = _compiled(pattern)
    return compiled if isinstance(compiled, str) else ""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re2._Regexp | str:
    options = re2.Options()
    options.log_errors = False  # it would write them to standard error
    options.never_capture = True
    options.max_mem = 2**20
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        said = error.args[0] if error.args else ""
        return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) or "invalid"
