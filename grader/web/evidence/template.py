"""The pieces of markup that evidence is made of."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from grader.report.html.code import code_lines
from grader.report.html.page import prose
from grader.report.safe import counted, one_line, points, safe

MAX_TEXT = 2000
MAX_DETAIL = 8000
"""Characters of what a program printed."""
SHORT_DETAIL = 8
"""Lines of it that are shown at once; more are folded."""


def render(macro: str, **values: object) -> Markup:
    """A piece by its macro's name."""
    made: str = getattr(_module(), macro)(**values)
    return Markup(made)  # noqa: S704  (of our template, which escapes)


@cache
def _module() -> object:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_read),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(line=lambda text: one_line(text, longest=600), prose=prose, points=points)
    environment.globals.update(code_lines=code_lines, counted=counted, tail=_tail, SHORT_DETAIL=SHORT_DETAIL)
    return environment.get_template("pieces.html.jinja").module


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _shown(value: object) -> object:
    """What is no markup of ours is cleaned, then escaped."""
    return (
        safe(value, longest=MAX_TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value
    )


def _tail(text: str) -> list[str]:
    """The lines of what a program printed."""
    return safe(text, longest=MAX_DETAIL).rstrip().split("\n") if text.strip() else []
