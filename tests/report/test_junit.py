from __future__ import annotations

import io

import pytest
from lxml import etree

from grader.report.formats import FORMATS, Settings
from grader.report.losses import place_of
from grader.results import Status
from tests.report.grades import a_grade
from tests.report.samples import SAMPLES, SCHEMAS, dearness, sample, written

SCHEMA = etree.XMLSchema(file=str(SCHEMAS / "junit-10.xsd"))
OUTCOMES = {
    Status.EARNED: "",
    Status.PARTIAL: "failure",
    Status.LOST: "failure",
    Status.BLOCKED: "skipped",
    Status.UNVERIFIED: "skipped",
    Status.ERROR: "error",
}


def parsed(name: str) -> etree._Element:
    return etree.fromstring(written("junit", name).encode(), etree.XMLParser(huge_tree=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schema_is_kept(name: str) -> None:
    SCHEMA.assertValid(parsed(name))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_criterion_is_there_with_its_outcome(name: str) -> None:
    grade = sample(name)
    found = [
        (
            case.get("name").split(":")[0],
            next((child.tag for child in case), ""),
            next((c.get("type") for c in case), ""),
        )
        for case in parsed(name).iter("testcase")
    ]
    expected = [
        (
            row.id,
            OUTCOMES[row.status],
            row.status if OUTCOMES[row.status] else "",
        )
        for row in grade.criteria
    ]
    if "hostile" in name:  # an id may end anywhere
        assert sorted(kind for _, *kind in found) == sorted(kind for _, *kind in expected)
    else:
        assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_counts_are_those_of_the_cases(name: str) -> None:
    root = parsed(name)
    for element in (root, *root.iter("testsuite")):
        told = {name: int(element.get(name)) for name in ("tests", "failures", "errors")}
        counted = {
            "tests": len(list(element.iter("testcase"))),
            "failures": len(list(element.iter("failure"))),
            "errors": len(list(element.iter("error"))),
        }
        assert told == counted
    assert sum(int(suite.get("skipped")) for suite in root) == len(list(root.iter("skipped")))


@pytest.mark.parametrize("name", ["small", "reference", "empty", "all-lost", "undecided", "mixed"])
def test_points_and_places_come_back(name: str) -> None:
    grade = sample(name)
    told = {each.get("name"): each.get("value") for each in parsed(name).iter("property")}
    for row in grade.criteria:
        assert float(told.pop(f"{row.id}.points")) == row.points
        assert float(told.pop(f"{row.id}.earned")) == row.earned
        place = place_of(row, grade) if row.status is not Status.EARNED else None
        assert told.pop(f"{row.id}.place", None) == (
            place and f"{place.path}:{place.line}".removesuffix(":None")
        )
    assert told == {}


@pytest.mark.parametrize("name", ["small", "all-lost", "mixed", "crowded"])
def test_the_dearest_loss_comes_first(name: str) -> None:
    rows = {row.id: row for row in sample(name).criteria}
    suites = [
        [rows[case.get("name").split(":")[0]] for case in suite.iter("testcase")]
        for suite in parsed(name).iter("testsuite")
    ]
    assert descends([dearness(*suite) for suite in suites])
    assert all(descends([dearness(row) for row in suite]) for suite in suites)


def descends(values: list[tuple[float, float]]) -> bool:
    return values == sorted(values, reverse=True)


def test_a_whole_report() -> None:
    case = next(case for case in parsed("small").iter("testcase") if case.get("name").startswith("1.1.c"))
    (failure,) = case
    shown = "�[31mred�[0m <script>alert(1)</script> [bold]x[/bold]"
    assert dict(case.attrib) == {"name": "1.1.c: title of 1.1.c", "classname": "Task 1.1", "time": "0.25"}
    assert dict(failure.attrib) == {
        "type": "partial",
        "message": f"1 of 2 points, partial: src/a.py:3: wrong {shown} (expected x, found {shown})",
    }
    assert failure.text.split("\n") == [
        "part y (1 point): lost",
        f"src/a.py:3: wrong {shown}",
        "  expected: x",
        f"  found: {shown}",
        "  one",
        "  two",
        "hint: think of it",
    ]


def test_a_stream_of_another_encoding_gets_the_same_document() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    FORMATS["junit"].write(a_grade(), stream, Settings())
    stream.flush()
    data = stream.buffer.getvalue()
    assert etree.tostring(etree.fromstring(data)) == etree.tostring(parsed("small"))
