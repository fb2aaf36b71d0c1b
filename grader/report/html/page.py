"""The page, made of its template, its stylesheet and a grade."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, TextIO

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from grader import __version__
from grader.report.console import speaks_unicode
from grader.report.html import code, view
from grader.report.losses import points_lost, points_open
from grader.report.previous import changes, comparability, signed
from grader.report.reasons import verdict
from grader.report.safe import counted, counted_points, one_line, points, safe
from grader.report.text import STATIC, STYLES
from grader.results import Status
from grader.score import add

if TYPE_CHECKING:
    from jinja2 import BaseLoader

    from grader.report.formats import Settings
    from grader.results import Grade, Place

MAX_TEXT = 2000
"""Characters of a text that is not cut otherwise."""
MAX_DETAIL = 6000
"""Characters of what a program printed."""
SHORT_DETAIL = 6
"""Lines of it that are shown at once; more are folded."""
MEANINGS = {
    Status.EARNED: "all points earned",
    Status.PARTIAL: "some of the points earned, the others lost",
    Status.LOST: "no points: the reason is told above",
    Status.BLOCKED: "no points: something that it needs was lost first",
    Status.UNVERIFIED: "not decided: what it takes was missing here; nothing is lost",
    Status.ERROR: "not decided: the grader failed, not the submission; nothing is lost",
}
_CODE = re.compile(r"`([^`\n]+)`")


def write_html(grade: Grade, stream: TextIO, settings: Settings) -> None:
    """One file that needs nothing else. Equal grades give equal pages."""
    previous = settings.previous
    text = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            grade=grade,
            view=view.view(grade),
            verdict=verdict(grade),
            previous=previous,
            changes=changes(previous, grade) if previous else [],
            comparability=comparability(previous, grade) if previous else "",
            style=Markup(style()),  # noqa: S704  (our own file)
            policy=_policy(),
        )
    )
    # A stream of another encoding has every character all the same.
    stream.write(text if speaks_unicode(stream) else text.encode("ascii", "xmlcharrefreplace").decode())


@cache
def _environment() -> Environment:
    return environment(FunctionLoader(read_part))


def environment(loader: BaseLoader) -> Environment:
    """What templates need that show what candidates wrote: each text is cleaned and escaped on its way."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=loader,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        line=_line, prose=prose, points=points, signed=signed, detail=_detail, location=_location
    )
    environment.globals.update(
        MEANINGS=MEANINGS,
        STATIC=STATIC,
        SHORT_DETAIL=SHORT_DETAIL,
        Status=Status,
        STYLES=STYLES,
        add=add,
        code_lines=code.code_lines,
        counted=counted,
        counted_points=counted_points,
        difference_lines=code.difference_lines,
        limits=view,
        points_lost=points_lost,
        points_open=points_open,
        version=__version__,
    )
    return environment


def read_part(name: str) -> str:
    """A template or the stylesheet of the report."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """The rules of the report, with those that colour code."""
    return f"\n{read_part('style.css')}\n{code.code_rules()}\n"


@cache
def _policy() -> str:
    """Nothing is loaded, nothing runs, and no style but the page's own counts."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _shown(value: object) -> object:
    """The door of every text that the template shows: what is no markup of ours is cleaned, then escaped."""
    return (
        safe(value, longest=MAX_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value
    )


def _line(text: str, longest: int = 600) -> str:
    return one_line(text, longest=longest)


def prose(text: str) -> Markup:
    """A text in which `words between backticks` are code."""
    pieces = _CODE.split(safe(text.strip(), longest=MAX_TEXT))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece)
        for number, piece in enumerate(pieces)
    )


def _location(place: Place) -> str:
    return f"{place.path}:{place.line}" if place.line else place.path


def _detail(text: str) -> Markup:
    """What a program printed, longer than other texts."""
    return escape(safe(text, longest=MAX_DETAIL).rstrip())
