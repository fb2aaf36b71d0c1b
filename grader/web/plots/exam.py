"""How the marks of a cohort are spread, and what its tasks and criteria are good for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.cohort.points import TWENTIETHS
from grader.report.safe import counted, one_line, points
from grader.web.plots.svg import Frame, drawing, element, label, nothing, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from markupsafe import Markup

    from grader.cohort.statistics.model import Counts, ExamStatistics, Item

ROW = 24
"""Pixels of a task's bar and its distance to the next."""
WEAK = 0.2
"""Correlation below which an item has little to do with the rest."""
OUTCOMES = ("earned", "partial", "lost", "blocked", "missing")
OPACITIES = {"earned": 0.85, "partial": 0.55, "lost": 0.3, "blocked": 0.15, "missing": 0.05}
"""Without a stylesheet, the better the darker."""
LETTER_SHARE = 1.2
"""Percent of the width that a letter takes, where labels are kept from covering each other."""


def totals(exam: ExamStatistics) -> Markup:
    """The distribution of totals, in percent of full marks, with the pass mark."""
    if not exam.histogram or not exam.possible:
        return nothing("Too few candidates are decided in full for a distribution.")
    most = max(each.count for each in exam.histogram)
    scale = [value for value in ticks(most, 4) if value == int(value)]
    low, high = exam.histogram[0].low, exam.histogram[-1].high
    frame = Frame(low=(low, 0), high=(high, scale[-1]), top=22, bottom=172)
    mark = 100 * exam.pass_mark / exam.possible
    parts = frame.scale_y(scale)
    for each in exam.histogram:
        if not each.count:
            continue
        top = frame.y(each.count)
        between = f"{each.low:.0f} to {each.high:.0f} %"
        parts.append(
            element(
                "rect",
                element("title", f"{between}: {counted(each.count, 'candidate', 'candidates')}"),
                class_="bar" if each.low >= mark else "bar below",
                x=f"{frame.share(each.low) + 0.15:.2f}%",
                y=top,
                width=f"{frame.share(each.high) - frame.share(each.low) - 0.3:.2f}%",
                height=frame.bottom - top,
                fill="currentColor",
                fill_opacity=0.75 if each.low >= mark else 0.4,
            )
        )
    parts += [frame.across(0, "axis"), *frame.scale_x(ticks(high, 5, low), " %")]
    if low <= mark <= high:
        anchor = "end" if frame.share(mark) > 60 else "start"
        at = f"{frame.share(mark) + (-0.7 if anchor == 'end' else 0.7):.2f}%"
        told = f"pass mark {points(exam.pass_mark / TWENTIETHS)}"
        parts += [frame.down(mark, "pass"), label(told, at, 14, anchor=anchor, class_="pass")]
    spread = "; ".join(
        f"{each.low:.0f} to {each.high:.0f} %: {each.count}" for each in exam.histogram if each.count
    )
    passed = f"{exam.passed} of {exam.complete} passed"
    return drawing(
        "Distribution of totals", f"{passed}. Candidates by percent of full marks: {spread}.", 196, parts
    )


def task_bars(items: Sequence[Item], titles: Mapping[str, str] | None = None) -> Markup:
    """A bar for each task: the candidates by outcome, and the task's facility as a mark.

    Args:
        titles: of tasks, by id.
    """
    drawn = [item for item in items if _all(item.counts)]
    if not drawn:
        return nothing("Nothing is graded yet.")
    height = ROW * (len(drawn) + 1) + 28
    frame = Frame(low=(0, 0), high=(100, 1), left=10, right=88, top=ROW, bottom=height - 28)
    parts = [*_legend(), *(frame.down(value) for value in (0, 25, 50, 75, 100))]
    told = []
    for number, item in enumerate(drawn):
        row, said = _task(item, (number + 1) * ROW, frame, (titles or {}).get(item.id, ""))
        parts += row
        told.append(said)
    parts += frame.scale_x((0, 25, 50, 75, 100), " %")
    return drawing("Outcomes of each task", "; ".join(told)[:4000], height, parts)


def _legend() -> Iterator[Markup]:
    for number, outcome in enumerate(OUTCOMES):
        yield element(
            "rect",
            class_=f"bar {outcome}",
            x=f"{20 * number}%",
            y=4,
            width=9,
            height=9,
            fill="currentColor",
            fill_opacity=OPACITIES[outcome],
        )
        yield element("text", outcome, class_="tick", x=f"{20 * number}%", dx=13, y=13, fill="currentColor")


def _task(item: Item, top: float, frame: Frame, title: str) -> tuple[list[Markup], str]:
    whole = _all(item.counts)
    counts = {name: getattr(item.counts, name) for name in OUTCOMES}
    said = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    facility = "" if item.facility is None else f"{item.facility:.0%}"
    name = f"{item.id} {title}".strip()
    parts = [label(item.id, "0%", top + 16, class_="name")]
    done = 0.0
    for outcome, count in counts.items():
        if not count:
            continue
        share = 100 * count / whole
        parts.append(
            element(
                "rect",
                element("title", f"{name}: {outcome} {count} of {whole}"),
                class_=f"bar {outcome}",
                x=frame.x(done),
                y=top + 4,
                width=frame.width(done, done + share),
                height=ROW - 8,
                fill="currentColor",
                fill_opacity=OPACITIES[outcome],
            )
        )
        done += share
    if item.facility is not None:
        x = frame.x(100 * item.facility)
        parts.append(
            element(
                "line",
                class_="facility",
                x1=x,
                x2=x,
                y1=top + 1,
                y2=top + ROW - 1,
                stroke="currentColor",
                stroke_width=2,
            )
        )
        parts.append(label(facility, "100%", top + 16, anchor="end", class_="value"))
    return parts, f"{one_line(name, longest=80)}: {said}" + (f", facility {facility}" if facility else "")


def _all(counts: Counts) -> int:
    return counts.decided + counts.missing


def item_map(
    items: Sequence[Item],
    titles: Mapping[str, str] | None = None,
    *,
    link: Callable[[str], str] | None = None,
) -> Markup:
    """Each item by its facility and its correlation with the rest; those that are flagged have their names.

    Args:
        titles: of items, by id.
        link: where an item's page is, by its id.
    """
    drawn = [item for item in items if item.facility is not None and item.correlation is not None]
    if not drawn:
        return nothing("Too few candidates are decided for a map of facility and discrimination.")
    low = min(0.0, *(item.correlation or 0.0 for item in drawn), 0.0)
    scale = ticks(1.0, 7, low)
    frame = Frame(low=(0, scale[0]), high=(100, scale[-1]), top=10, bottom=270)
    parts = frame.scale_y(scale)
    parts += [frame.across(0, "axis"), frame.across(WEAK, "weak"), *frame.scale_x((0, 25, 50, 75, 100), " %")]
    parts.append(label("facility", "95%", 304, anchor="end", class_="tick"))
    parts.append(label("correlation with the rest", "0%", 304, class_="tick"))
    taken: list[tuple[float, float, float]] = []
    # The flagged ones last, so that nothing lies on them.
    for item in sorted(drawn, key=lambda item: bool(item.flags)):
        parts += _item(item, frame, (titles or {}).get(item.id, ""), link, taken)
    told = "; ".join(_told(item) for item in drawn if item.flags)
    among = counted(len(drawn), "item", "items")
    return drawing(
        "Facility and discrimination",
        f"{among}; those that are flagged: {told or 'none'}"[:4000],
        310,
        parts,
        links=link is not None,
    )


def _told(item: Item) -> str:
    return f"{item.id}: facility {item.facility or 0:.0%}, correlation {item.correlation or 0:.2f}"


def _item(
    item: Item,
    frame: Frame,
    title: str,
    link: Callable[[str], str] | None,
    taken: list[tuple[float, float, float]],
) -> list[Markup]:
    x, y = frame.share(100 * (item.facility or 0)), frame.y(item.correlation or 0)
    flagged = bool(item.flags)
    dot = element(
        "circle",
        element("title", f"{_told(item)} {title}"),
        class_="item flagged" if flagged else "item",
        cx=f"{x:.2f}%",
        cy=y,
        r=3.5 + min(4.0, item.possible / TWENTIETHS),
        fill="currentColor",
        fill_opacity=0.8 if flagged else 0.35,
        stroke="currentColor",
    )
    parts = [dot]
    if flagged:
        wide = LETTER_SHARE * len(item.id) + 1.5
        left = x + 1.2 if x + wide < frame.right else x - wide
        if not any(abs(y - other) < 11 and left < end and begin < left + wide for begin, end, other in taken):
            taken.append((left, left + wide, y))
            anchor, at = ("start", x + 1.2) if left > x else ("end", x - 1.2)
            parts.append(label(item.id, f"{at:.2f}%", y + 4, anchor=anchor, class_="name"))
    if link is None:
        return parts
    return [element("a", *parts, href=link(item.id), aria_label=one_line(f"{_told(item)} {title}"))]
