"""Templates, and what they may call: each text goes through `grader.report.safe` and is escaped."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import FunctionLoader

from grader import __version__
from grader.cohort.points import shown
from grader.report.html import page
from grader.report.safe import one_line

if TYPE_CHECKING:
    from jinja2 import Environment

NO_MARK = "\N{EN DASH}"


class Links:
    """Where pages are, seen from one of them."""

    def __call__(self, page: str, name: str = "") -> str:
        """The address of a page, or of something that a form asks for."""
        return f"/{page}{'/' if name else ''}{quote(name, safe='')}"


@cache
def environment() -> Environment:
    """The environment of all pages."""
    made = page.environment(FunctionLoader(_read))
    made.filters.update(twentieths=_twentieths, minute=_minute, word=word)
    made.globals.update(version=__version__, NO_MARK=NO_MARK)
    return made


def render(name: str, **values: Any) -> str:
    """A page."""
    return environment().get_template(f"{name}.html.jinja").render(**values)


def static(name: str) -> bytes:
    """A file that pages refer to."""
    return (files("grader.web") / "static" / name).read_bytes()


@cache
def stylesheet() -> bytes:
    """The rules of all pages: the report's, and what they have more."""
    rooms = ("grader.web.plots", "grader.web.evidence")
    more = [(files(room) / "style.css").read_text(encoding="utf-8") for room in rooms]
    return "\n".join((page.style(), *more, static("page.css").decode())).encode()


def _read(name: str) -> str | None:
    own = files("grader.web") / "templates" / name
    return own.read_text(encoding="utf-8") if own.is_file() else page.read_part(name)


def _twentieths(value: int | None) -> str:
    return NO_MARK if value is None else shown(value)


def _minute(at: str | None) -> str:
    return one_line((at or "")[:16].replace("T", " "))


def word(text: object) -> str:
    """A name of ours as a class or an anchor; what is none, is left out."""
    plain = str(text)
    return plain if plain.replace("-", "").replace(".", "").replace("_", "").isalnum() else ""
