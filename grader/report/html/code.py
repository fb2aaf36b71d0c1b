"""Lines of files as markup: pieces around a place, and differences from the reference solution."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from grader.report.safe import clean
from grader.report.solution import difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pygments.lexer import Lexer

    from grader.results import Comparison, Place

MAX_LINES = 25
"""Lines of a piece of a file."""
MAX_LINE = 300
"""Characters of a line."""
MAX_DIFFERENCE = 400
"""Lines of a difference."""
LIGHT, DARK = "default", "github-dark"
"""Styles of Pygments whose colours can be read on the page's grounds."""
# Not Pygments' own search: it would choose among hundreds of lexers by a name that the candidate chose, and
# some of them take time beyond measure over a line made for that.
LEXERS = (
    ("*.py", "python"),
    ("*.pyi", "python"),
    ("*.ipynb", "json"),
    ("*.json", "json"),
    ("*.yaml", "yaml"),
    ("*.yml", "yaml"),
    ("*.dvc", "yaml"),
    ("dvc.lock", "yaml"),
    ("*.toml", "toml"),
    ("*.lock", "toml"),
    ("*.cfg", "ini"),
    ("*.ini", "ini"),
    ("config", "ini"),
    ("*.sh", "bash"),
    ("*.bash", "bash"),
    ("Dockerfile*", "docker"),
    ("*.Dockerfile", "docker"),
    ("*.dockerfile", "docker"),
    ("Containerfile*", "docker"),
    ("Makefile*", "make"),
    ("makefile*", "make"),
    ("GNUmakefile", "make"),
    ("*.mk", "make"),
    ("*justfile", "make"),
    ("*.md", "markdown"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a piece of a file."""

    number: int
    markup: Markup
    meant: bool
    """Whether it is the one of which a finding speaks."""


def code_lines(place: Place) -> list[Line]:
    """The lines around a place, highlighted as their file's name says."""
    lines = [clean(line.rstrip("\r").expandtabs(4)[:MAX_LINE]) for line in place.lines[:MAX_LINES]]
    return [
        Line(number, markup, number == place.line)
        for number, markup in enumerate(highlighted(place.path, lines), start=place.first)
    ]


def highlighted(path: str, lines: Sequence[str]) -> list[Markup]:
    """Lines that were cleaned and cut, each as markup that stands alone, coloured as the file's name says."""
    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True)
    marked = highlight("\n".join(lines), _lexer(path), formatter).split("\n")
    # Spans end with their line and begin anew on the next, so that each line stands alone.
    return [Markup(line) for line in marked[: len(lines)]]  # noqa: S704  (Pygments escapes what it marks)


def _lexer(path: str) -> Lexer:
    name = PurePosixPath(path).name
    found = next((lexer for pattern, lexer in LEXERS if fnmatchcase(name, pattern)), "text")
    return get_lexer_by_name(found, stripnl=False)


@dataclass(frozen=True, slots=True)
class DifferenceLine:
    """One line of a difference."""

    text: str
    kind: str
    """`added`, `removed`, `hunk`, or `kept`."""


KINDS = {"+": "added", "-": "removed", "@": "hunk"}


def difference_lines(comparison: Comparison) -> tuple[list[DifferenceLine], int]:
    """What turns a candidate's file into the reference's, without names, and how many lines are left out."""
    lines = [text.plain for text in difference(comparison)][2:]
    shown = [DifferenceLine(line, KINDS.get(line[:1], "kept")) for line in lines[:MAX_DIFFERENCE]]
    return shown, len(lines) - len(shown)


@cache
def code_rules() -> str:
    """The rules of the stylesheet that colour code."""
    light, dark = _rules(LIGHT), _rules(DARK)
    return "\n".join((*light, "@media screen and (prefers-color-scheme: dark) {", *dark, "}"))


def _rules(style: str) -> list[str]:
    formatter: Any = HtmlFormatter(style=style)
    rules: list[str] = formatter.get_token_style_defs(".code")
    return rules
