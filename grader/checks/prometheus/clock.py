"""What time it is for an expression that is tried: promtool's tests begin in 1970, servers run today.

An expression that asks for the time (`time()`, `timestamp(…)`, `hour()` and the like) is given that of a
Wednesday's noon hour in one of the coming years, drawn anew for each grade: a rule that knows when it is
tested fires in no other week, and one that minds working hours is within them. Samples come at whole quarters
of a minute there no more than on a real server.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

FIRST = datetime(2027, 1, 6, 12, tzinfo=UTC)
MAX_WEEKS = 520
MAX_SECONDS = 600
"""After the hour: a test that lasts its longest stays in the afternoon."""
_TOKEN = re.compile(
    r"""(?P<text>"(?>(?:\\.|[^"\\])*)(?:"|\\?\Z)|'(?>(?:\\.|[^'\\])*)(?:'|\\?\Z)|`[^`]*+(?:`|\Z)|\#[^\n]*)"""
    r"|(?P<now>\btime\s*\(\s*\))"
    r"|\b(?P<calendar>minute|hour|day_of_week|day_of_month|day_of_year|days_in_month|month|year)\s*\(\s*\)"
    r"|\b(?P<stamp>timestamp)\s*\("
    r"|(?P<open>\()|(?P<close>\))",
    re.ASCII | re.IGNORECASE,
)


def draw_clock() -> float:
    """Draw a time in a Wednesday's noon hour, in seconds since 1970: between two whole ones."""
    noon = FIRST + timedelta(weeks=secrets.randbelow(MAX_WEEKS))
    return noon.timestamp() + secrets.randbelow(MAX_SECONDS) + (1 + secrets.randbelow(999)) / 1000


def set_clock(expr: str, clock: float) -> str:
    """The expression as it would be if the seconds since 1970 began with `clock`."""
    found: list[str] = []
    last = 0
    waiting: list[bool] = []
    """For each open bracket, whether it is that of a `timestamp`."""
    for token in _TOKEN.finditer(expr):
        found.append(expr[last : token.start()])
        last = token.end()
        word = token[0]
        if token["now"]:
            word = f"({word} + {clock})"
        elif token["calendar"]:
            word = f"{token['calendar']}(vector(time() + {clock}))"
        elif token["stamp"]:
            waiting.append(True)
            word = f"({word}"
        elif token["open"]:
            waiting.append(False)
        elif token["close"] and waiting and waiting.pop():
            word = f") + {clock})"
        found.append(word)
    return "".join((*found, expr[last:]))
