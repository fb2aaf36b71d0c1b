"""Drawings: valid markup with a name, numbers where they belong, and nothing that a policy forbids."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from grader.cohort.statistics import compute
from grader.cohort.statistics.model import Counts, Item
from grader.web import plots
from grader.web.plots.svg import Frame, element, ticks
from tests.cohort.statistics.sheets import random_cohort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.cohort.statistics import Statistics

HOSTILE = "<img src=x onerror=alert(1)>\"'&\u202e\x1b"


@pytest.fixture(scope="module")
def statistics() -> Statistics:
    return compute(random_cohort(60, missing=0.01), pass_mark=80)


def drawings(statistics: Statistics) -> Iterator[tuple[str, str]]:
    titles = {item.id: HOSTILE for item in (*statistics.tasks, *statistics.criteria)}
    course = plots.Course(name=HOSTILE, points=[(-5, 0), (0, 0), (0, 2), (20, 2)], fires=True)
    yield "totals", plots.totals(statistics.exam)
    yield "task_bars", plots.task_bars(statistics.tasks, titles)
    yield "item_map", plots.item_map(statistics.criteria, titles)
    yield (
        "linked item_map",
        plots.item_map(statistics.criteria, titles, link=lambda name: f"/criterion/{name}"),
    )
    yield "seconds_of_tasks", plots.seconds_of_tasks(statistics.tasks, titles)
    yield "seconds_of_candidates", plots.seconds_of_candidates([1.0, 2.5, 40.0])
    yield "pace", plots.pace([5.0, 9.0, 30.0], total=10, elapsed=31.0)
    yield "alert", plots.alert(HOSTILE, [course], threshold=1.0, unit=" a second", lasting=5)


def test_each_is_a_named_picture_without_style_script_or_id(statistics: Statistics) -> None:
    for name, drawn in drawings(statistics):
        svg = ElementTree.fromstring(drawn)
        assert svg.tag == "svg", name
        assert svg.get("role") == ("group" if name.startswith("linked") else "img"), name
        assert [child.tag for child in svg[:2]] == ["title", "desc"], name
        assert all(child.text for child in svg[:2]), name
        words = {word for each in svg.iter() for word in each.attrib}
        assert not words & {"style", "id"}, name
        assert not [word for word in words if word.startswith("on")], name
        assert {each.tag for each in svg.iter()} <= {
            *("svg", "title", "desc", "g", "a", "rect", "line", "circle", "text", "polyline")
        }, name
        assert not re.search("[\x00-\x09\x1b\u202e]|nan|inf%", drawn), name


def test_bars_of_the_distribution_are_as_high_as_their_counts(statistics: Statistics) -> None:
    svg = ElementTree.fromstring(plots.totals(statistics.exam))
    heights = [float(each.get("height", "")) for each in svg.iter("rect")]
    counts = [each.count for each in statistics.exam.histogram if each.count]
    per = heights[0] / counts[0]
    assert heights == pytest.approx([per * count for count in counts], abs=0.01)


def test_a_task_is_divided_as_its_candidates_are() -> None:
    counts = Counts(earned=5, partial=0, lost=3, blocked=1, missing=1)
    svg = ElementTree.fromstring(
        plots.task_bars([Item(id="1.1", task="1.1", possible=40, counts=counts, facility=0.5)])
    )
    bars = [
        (each.get("class", ""), float(each.get("width", "")[:-1]))
        for each in svg.iter("rect")
        if each.get("width", "").endswith("%")
    ]
    assert bars == [
        ("bar earned", 39.0),
        ("bar lost", 23.4),
        ("bar blocked", 7.8),
        ("bar missing", 7.8),
    ]


def test_what_is_not_known_is_said() -> None:
    few = compute(random_cohort(3), pass_mark=80)
    said = [
        plots.totals(few.exam),
        plots.item_map(few.criteria),
        plots.task_bars([]),
        plots.seconds_of_tasks([replace(each, seconds=None) for each in few.tasks]),
        plots.seconds_of_candidates([]),
        plots.pace([], total=0, elapsed=0),
        plots.alert("Late", [], threshold=1),
    ]
    assert [re.fullmatch(r'<p class="no-plot">[^<>]+\.</p>', each) is not None for each in said] == [True] * 7


@pytest.mark.parametrize(
    ("high", "most", "low", "found"),
    [
        (1.0, 5, 0.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (7, 4, 0, [0, 2, 4, 6, 8]),
        (1.0, 8, -0.3, [-0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1000, 5, 0, [0, 200, 400, 600, 800, 1000]),
    ],
)
def test_scales_are_of_round_numbers(high: float, most: int, low: float, found: list[float]) -> None:
    assert ticks(high, most, low) == pytest.approx(found)


def test_values_out_of_the_frame_stay_in_it() -> None:
    frame = Frame(low=(0, 0), high=(10, 10))
    assert (frame.x(-5), frame.x(25), frame.y(99)) == ("9.00%", "95.00%", frame.top)


def test_attributes_are_escaped() -> None:
    assert element("a", HOSTILE, href='"><script>') == (
        '<a href="&#34;&gt;&lt;script&gt;">&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;��</a>'
    )
