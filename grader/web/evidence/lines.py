"""A candidate's file with the lines that are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from grader.report.html.code import MAX_LINE, highlighted
from grader.report.safe import clean, counted
from grader.web.evidence.files import Gone
from grader.web.evidence.pictures import is_picture, picture
from grader.web.evidence.template import render

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from grader.web.evidence.files import Files

MAX_BYTES = 8 * 2**20
"""Of a file that is read."""
MAX_LINES = 500
"""Lines that are shown of one."""
MAX_HIDDEN = 2**20
"""Characters in which names are looked for."""
MAX_SHOWN = 60_000
"""Characters of it in all."""


def file_view(
    files: Files | Gone,
    path: str,
    meant: Collection[int] = (),
    *,
    hide: Callable[[str], str] = lambda text: text,
) -> Markup:
    """A file of a submission: text with its lines' numbers, a picture as we draw it, or why there is neither.

    A long file is cut to what stands around the first line that is meant. Each line's element has the id
    `L12`, so that there is one such view on a page.

    Args:
        hide: takes names out of a text, where they are not to be seen.
    """
    content = files if isinstance(files, Gone) else files.read(path, MAX_BYTES)
    if isinstance(content, Gone):
        return render("gone", reason=content.reason)
    if is_picture(path):
        return picture(content, path)
    if b"\0" in content[:8192]:
        return render("gone", reason=f"It is no text: {len(content):,} bytes.")
    text = content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    first = max(0, min(meant, default=1) - 1 - MAX_LINES // 2) if len(lines) > MAX_LINES else 0
    shown, left = [], MAX_SHOWN
    for line in hide("\n".join(lines[first : first + MAX_LINES])[:MAX_HIDDEN]).split("\n"):
        shown.append(
            clean(line[: MAX_LINE + 1].expandtabs(4)[:MAX_LINE]) + ("…" if len(line) > MAX_LINE else "")
        )
        left -= len(shown[-1])
        if left < 0:
            break
    rows = [
        (number, markup, number in meant)
        for number, markup in enumerate(highlighted(path, shown), start=first + 1)
    ]
    return render(
        "file",
        path=path,
        rows=rows,
        before=first,
        after=len(lines) - first - len(rows),
        whole=counted(len(lines), "line", "lines"),
    )
