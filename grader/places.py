"""The lines of a submission that findings speak of, for reports that show them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from grader.results import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grader.results import Finding
    from grader.submission.model import Submission

CONTEXT = 3
"""Lines that are shown before and after the one that is meant."""
MAX_LINE = 300
"""Characters of a line that is shown."""
MAX_PLACES = 500
MAX_PLACES_OF_A_FINDING = 10
_PLACE = re.compile(r"(?P<path>[^:]+?)(?::(?P<line>[0-9]{1,7}))?")


def places_of(findings: Iterable[Finding], submission: Submission) -> dict[str, tuple[Place, ...]]:
    """`Finding.where` -> the places in files that it names, for each that names any.

    Places beyond `MAX_PLACES` are left out, and so is what is no text: a finding stands without them too.
    """
    found: dict[str, tuple[Place, ...]] = {}
    for where in dict.fromkeys(finding.where for finding in findings):
        if places := _places(where, submission):
            found[where] = places
        if len(found) >= MAX_PLACES:
            break
    return found


def _places(where: str, submission: Submission) -> tuple[Place, ...]:
    """`a.yaml:3, b.yaml:7` are two; `python src/train.py` is the file that it runs."""
    pieces = where.split(", ")[:MAX_PLACES_OF_A_FINDING]
    found = [_place(piece.strip(), submission) for piece in (where, *pieces)]
    known = tuple(dict.fromkeys(place for place in found if place is not None))
    return known or tuple(Place(path=word) for word in where.split()[1:] if submission.file(word) is not None)


def _place(text: str, submission: Submission) -> Place | None:
    if submission.file(text) is not None:
        return Place(path=text)
    match = _PLACE.fullmatch(text)
    file = submission.file(match["path"]) if match else None
    if match is None or file is None:
        return None
    content = file.text
    if match["line"] is None or not isinstance(content, str):
        return Place(path=file.name)
    lines = content.split("\n")
    number = int(match["line"])
    if not 1 <= number <= len(lines):
        return Place(path=file.name)
    first = max(1, number - CONTEXT)
    shown = lines[first - 1 : number + CONTEXT]
    return Place(path=file.name, line=number, first=first, lines=tuple(line[:MAX_LINE] for line in shown))
