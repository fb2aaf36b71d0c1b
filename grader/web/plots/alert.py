"""What an alert was shown, and what it should have made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.web.plots.svg import Frame, drawing, element, label, nothing, shown, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One way in which the watched thing behaves."""

    name: str
    points: Sequence[tuple[float, float]]
    """Minutes and levels, in order of time."""
    fires: bool
    """Whether the alert has to fire in the end."""


def alert(
    name: str, courses: Sequence[Course], *, threshold: float, unit: str = "", lasting: float = 0
) -> Markup:
    """The series of an alert's trials.

    Args:
        name: of the alert.
        threshold: the level from which on it is bad.
        unit: of levels.
        lasting: minutes for which it has to be bad before the alert may fire, from time 0 on.
    """
    corners = [point for course in courses for point in course.points]
    if not corners:
        return nothing("There is no series to show.")
    low, high = min(x for x, _ in corners), max(x for x, _ in corners)
    levels = [y for _, y in corners] + [threshold]
    scale = ticks(max(levels), 4, min(0.0, *levels))
    frame = Frame(low=(low, scale[0]), high=(high, scale[-1]), top=10, bottom=130)
    parts = frame.scale_y(scale)
    if 0 < lasting < high:
        parts.append(
            element(
                "rect",
                element("title", f"it has to last for {shown(lasting)} min"),
                class_="lasting",
                x=frame.x(0),
                y=frame.top,
                width=frame.width(0, lasting),
                height=frame.bottom - frame.top,
                fill="currentColor",
                fill_opacity=0.08,
            )
        )
    parts += [
        frame.across(threshold, "threshold"),
        label("threshold", f"{frame.left + 0.5}%", frame.y(threshold) - 4, class_="tick"),
        frame.across(scale[0], "axis"),
    ]
    parts += [
        frame.curve(course.points, "curve fires" if course.fires else "curve quiet") for course in courses
    ]
    parts += frame.scale_x([value for value in ticks(high, 5, low) if low <= value <= high], " min")
    told = []
    for number, course in enumerate(courses):
        said = f"{course.name}: has to {'fire' if course.fires else 'stay quiet'}"
        y = 162 + 16 * number
        class_ = "curve fires" if course.fires else "curve quiet"
        parts += [
            element(
                "line",
                class_=class_,
                x1=f"{frame.left}%",
                x2=f"{frame.left + 5}%",
                y1=y,
                y2=y,
                stroke="currentColor",
                stroke_width=2,
            ),
            label(said, f"{frame.left + 6}%", y + 4, class_="key"),
        ]
        told.append(said)
    told.append(f"threshold {shown(threshold)}{unit}")
    return drawing(f"Series for {name}", "; ".join(told), 174 + 16 * len(courses), parts)
