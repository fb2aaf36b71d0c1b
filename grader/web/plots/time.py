"""Where the time goes: of tasks, of candidates, and of a batch while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.report.safe import counted
from grader.web.plots.svg import Frame, drawing, element, label, nothing, ticks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from grader.cohort.statistics.model import Item

ROW = 24
MAX_CORNERS = 400
"""Of a curve; more could not be told apart."""


def seconds_of_tasks(items: Sequence[Item], titles: Mapping[str, str] | None = None) -> Markup:
    """The median of the seconds that each task took."""
    drawn = [(item, item.seconds) for item in items if item.seconds is not None]
    if not drawn:
        return nothing("No times were measured.")
    scale = ticks(max(seconds for _, seconds in drawn) or 1.0)
    height = ROW * len(drawn) + 24
    frame = Frame(low=(0, 0), high=(scale[-1], 1), left=10, right=88, top=0, bottom=height - 24)
    parts = [*(frame.down(value) for value in scale), *frame.scale_x(scale, " s")]
    for number, (item, seconds) in enumerate(drawn):
        top = number * ROW
        parts += [
            label(item.id, "0%", top + 16, class_="name"),
            element(
                "rect",
                element("title", f"{item.id} {(titles or {}).get(item.id, '')}: {seconds:.1f} s"),
                class_="bar",
                x=frame.x(0),
                y=top + 4,
                width=frame.width(0, seconds),
                height=ROW - 8,
                fill="currentColor",
                fill_opacity=0.6,
            ),
            label(f"{seconds:.1f} s", "100%", top + 16, anchor="end", class_="value"),
        ]
    told = "; ".join(f"{item.id}: {seconds:.1f} s" for item, seconds in drawn)
    return drawing("Time for each task, median", told[:4000], height, parts)


def seconds_of_candidates(seconds: Sequence[float]) -> Markup:
    """How the seconds of whole grades are spread."""
    if not seconds:
        return nothing("No times were measured.")
    edges = ticks(max(seconds) or 1.0, 15)
    step = edges[1]
    counts = [0] * (len(edges) - 1)
    for each in seconds:
        counts[min(len(counts) - 1, int(max(0.0, each) / step))] += 1
    scale = [value for value in ticks(max(counts), 4) if value == int(value)]
    frame = Frame(low=(0, 0), high=(edges[-1], scale[-1]), bottom=130)
    parts = frame.scale_y(scale)
    for low, count in zip(edges, counts, strict=False):
        if count:
            top = frame.y(count)
            parts.append(
                element(
                    "rect",
                    element("title", f"{low:g} to {low + step:g} s: {count}"),
                    class_="bar",
                    x=f"{frame.share(low) + 0.15:.2f}%",
                    y=top,
                    width=f"{max(0.1, frame.share(low + step) - frame.share(low) - 0.3):.2f}%",
                    height=frame.bottom - top,
                    fill="currentColor",
                    fill_opacity=0.6,
                )
            )
    parts += [
        frame.across(0, "axis"),
        *frame.scale_x([each for each in ticks(edges[-1]) if each <= edges[-1]], " s"),
    ]
    told = "; ".join(
        f"{low:g} to {low + step:g} s: {count}" for low, count in zip(edges, counts, strict=False) if count
    )
    return drawing("Time for each candidate", told, 154, parts)


def pace(done: Sequence[float], *, total: int, elapsed: float) -> Markup:
    """How many submissions of a batch were done at which time.

    Args:
        done: for each that is done, the seconds from the batch's start.
        total: how many there are.
        elapsed: seconds since the start, so far.
    """
    if not total or elapsed <= 0:
        return nothing("The batch has not begun yet.")
    times = sorted(min(max(0.0, each), elapsed) for each in done)
    unit, of_unit = ("min", 60.0) if elapsed >= 120 else ("s", 1.0)
    scale_x, scale_y = ticks(elapsed / of_unit), [each for each in ticks(total, 4) if each == int(each)]
    frame = Frame(low=(0, 0), high=(scale_x[-1], scale_y[-1]), bottom=130)
    step = max(1, len(times) // MAX_CORNERS)
    corners = [(0.0, 0.0)]
    for number in range(step - 1, len(times), step):
        at = times[number] / of_unit
        corners += [(at, corners[-1][1]), (at, float(number + 1))]
    corners += [(elapsed / of_unit, float(len(times)))]
    parts = [
        *frame.scale_y(scale_y),
        frame.across(0, "axis"),
        frame.across(total, "whole"),
        frame.curve(corners),
        *frame.scale_x(scale_x, f" {unit}"),
    ]
    of_all = counted(total, "submission", "submissions")
    told = f"{len(times)} of {of_all} done after {elapsed / of_unit:.1f} {unit}"
    return drawing("Pace of the batch", told, 154, parts)
