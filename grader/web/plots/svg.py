"""Elements of drawings, and the frame that they stand in.

Drawings have no style of their own: their classes are the stylesheet's matter, and without one they are drawn
in the colour of the text around them. Widths are shares, so that a drawing is as wide as the page is and its
letters stay as large as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from grader.report.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LETTER = 12
"""Pixels."""
INNER = 1000
"""Units of a curve's own width, however wide it is drawn."""


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """An element. Children that are no markup are text of anybody: cleaned and escaped.

    Args:
        attributes: `fill_opacity` is the attribute `fill-opacity`, `class_` the class; None is left out.
    """
    words = Markup("").join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), _number(value))
        for name, value in attributes.items()
        if value is not None
    )
    content = Markup("").join(
        child if isinstance(child, Markup) else one_line(child, longest=300) for child in children
    )
    return Markup("<{tag}{words}>{content}</{tag}>").format(
        tag=Markup(tag),  # noqa: S704  (a word of ours)
        words=words,
        content=content,
    )


def _number(value: object) -> object:
    """No more digits than can be seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def label(content: str, x: str | float, y: float, *, anchor: str = "start", class_: str = "") -> Markup:
    """A line of text."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_ or None, fill="currentColor")


def drawing(
    title: str, description: str, height: float, parts: Iterable[str], *, links: bool = False
) -> Markup:
    """A whole drawing with its name and what a person is told who cannot see it.

    Args:
        links: it has some, so it is a group and no picture.
    """
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *parts,
        class_="plot",
        role="group" if links else "img",
        aria_label=one_line(title) if links else None,
        width="100%",
        height=height,
        font_size=LETTER,
    )


def nothing(reason: str) -> Markup:
    """What stands where there is nothing to draw."""
    return element("p", reason, class_="no-plot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where in a drawing values are: shares of its width from left to right, pixels from top to bottom."""

    low: tuple[float, float]
    """The values at the left and at the bottom."""
    high: tuple[float, float]
    """Those at the right and at the top."""
    left: float = 9.0
    """Percent."""
    right: float = 95.0
    top: float = 10.0
    bottom: float = 160.0

    def share(self, value: float) -> float:
        """Percent of the drawing's width at which a value is."""
        return self.left + (self.right - self.left) * _part(value, self.low[0], self.high[0])

    def x(self, value: float) -> str:
        """The same as an attribute."""
        return f"{self.share(value):.2f}%"

    def width(self, low: float, high: float) -> str:
        """How wide it is from one value to another."""
        return f"{max(0.0, self.share(high) - self.share(low)):.2f}%"

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return self.bottom - (self.bottom - self.top) * _part(value, self.low[1], self.high[1])

    def across(self, value: float, class_: str = "grid") -> Markup:
        """A line from left to right."""
        y = self.y(value)
        return element("line", class_=class_, x1=f"{self.left}%", x2=f"{self.right}%", y1=y, y2=y, **_LINE)

    def down(self, value: float, class_: str = "grid") -> Markup:
        """A line from top to bottom."""
        x = self.x(value)
        return element("line", class_=class_, x1=x, x2=x, y1=self.top, y2=self.bottom, **_LINE)

    def scale_x(self, values: Iterable[float], unit: str = "") -> list[Markup]:
        """Numbers under the frame."""
        return [
            label(f"{shown(value)}{unit}", self.x(value), self.bottom + 16, anchor="middle", class_="tick")
            for value in values
        ]

    def scale_y(self, values: Iterable[float], unit: str = "") -> list[Markup]:
        """Lines across the frame with numbers at their left."""
        marks = []
        for value in values:
            text = label(
                f"{shown(value)}{unit}", f"{self.left - 1}%", self.y(value) + 4, anchor="end", class_="tick"
            )
            marks += [self.across(value), text]
        return marks

    def curve(self, points: Sequence[tuple[float, float]], class_: str = "curve") -> Markup:
        """A line through points."""
        tall = self.bottom - self.top
        corners = " ".join(
            f"{INNER * _part(x, self.low[0], self.high[0]):.1f},{self.y(y) - self.top:.1f}" for x, y in points
        )
        line = element(
            "polyline",
            class_=class_,
            points=corners,
            fill="none",
            stroke="currentColor",
            stroke_width=2,
            vector_effect="non-scaling-stroke",
        )
        return element(
            "svg",
            line,
            x=f"{self.left}%",
            y=self.top,
            width=f"{self.right - self.left}%",
            height=tall,
            viewBox=f"0 0 {INNER} {shown(tall)}",
            preserveAspectRatio="none",
            overflow="visible",
        )


_LINE: dict[str, object] = {"stroke": "currentColor", "stroke_opacity": 0.25}


def _part(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.0


def ticks(high: float, most: int = 5, low: float = 0.0) -> list[float]:
    """Round numbers from `low` to at least `high`, at most `most` steps of 1, 2 or 5."""
    span = max(high - low, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def shown(value: float) -> str:
    """A number without more digits than it needs."""
    return f"{value:.6g}"
