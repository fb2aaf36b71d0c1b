from __future__ import annotations

import io
import re
from collections import Counter

import pytest

from grader.report.formats import FORMATS, Settings
from grader.report.github import command
from grader.report.losses import losses, place_of, points_lost, points_open
from grader.report.safe import points
from grader.score import add
from tests.report.grades import a_grade
from tests.report.runner import Command, commands
from tests.report.samples import ORDINARY, SAMPLES, sample, written

LEVELS = {"lost": "error", "partial": "warning", "unverified": "notice", "error": "notice"}


@pytest.mark.parametrize("name", SAMPLES)
def test_limits_are_kept_and_nothing_else_is_obeyed(name: str) -> None:
    found = commands(written("github", name))
    assert len(written("github", name).splitlines()) == len(found)
    levels = Counter(each.name for each in found)
    assert set(levels) <= {"error", "warning", "notice"}
    assert max(levels.values()) <= 10
    assert all(each.data.strip() for each in found)
    assert {key for each in found for key in each.properties} <= {"file", "line", "title"}
    assert not [each for each in found if re.search(r"^\s*::|##\[", each.data, re.MULTILINE)]


@pytest.mark.parametrize("name", [*ORDINARY, "crowded"])
def test_the_dearest_losses_come_back_with_points_status_and_place(name: str) -> None:
    grade = sample(name)
    (first, *rest) = commands(written("github", name))
    assert first.data.startswith(f"{points(grade.score.earned)} / {points(grade.score.possible)} points")
    shown = [each for each in rest if "title" in each.properties]
    told = [
        (each.name, each.properties["title"], each.properties.get("file"), each.properties.get("line"))
        for each in shown
    ]
    expected, without = [], []
    room = {"error": 10, "warning": 10, "notice": 8}
    for row in losses(grade):
        level = LEVELS.get(row.status, "")
        if not room.get(level):
            without.append(row)
            continue
        room[level] -= 1
        place = place_of(row, grade)
        title = f"{row.id}: {row.title} ({points(row.earned)} of {points(row.points)}, {row.status})"
        line = str(place.line) if place and place.line else None
        expected.append((level, title, place.path if place else None, line))
    assert told == expected
    last = [each.data for each in rest if "title" not in each.properties]
    assert len(last) == bool(without)
    if without:
        lost, still_open = add(map(points_lost, without)), add(map(points_open, without))
        numbers = [each for each in (len(without), lost, still_open) if each]
        assert [float(each.replace(",", "")) for each in re.findall(r"\d[\d,.]*", last[0])] == numbers


def test_a_whole_report() -> None:
    shown = "�[31mred�[0m <script>alert(1)</script> [bold]x[/bold]"
    found = commands(written("github", "small"))
    reason = f"src/a.py:3: wrong {shown}\n  expected: x\n  found: {shown}\n  one\n  two\nhint: think of it"
    place = {"file": "src/a.py", "line": "3"}
    assert found == [
        Command(
            "notice",
            {"title": "An exam"},
            "3 / 8 points, passed (pass mark 3); between 3 and 5 once 2 of 7 criteria are decided",
        ),
        Command("error", {**place, "title": "1.1.b: title of 1.1.b (0 of 1, lost)"}, reason),
        Command(
            "warning",
            {**place, "title": "1.1.c: title of 1.1.c (1 of 2, partial)"},
            f"part y (1 point): lost\n{reason}",
        ),
        Command("notice", {"title": "1.1.e: title of 1.1.e (0 of 1, unverified)"}, "no tool here"),
        Command("notice", {"title": "1.1.f: title of 1.1.f (0 of 1, error)"}, "the grader failed\n  tail"),
        Command("notice", {}, "and 1 more criterion: 1 point lost"),
    ]


@pytest.mark.parametrize(
    "text", ["a", "%", "%0A", "%250A", "a\nb", "a\r\nb", "a:b,c=d::e", "::error::x", "##[x]"]
)
def test_what_is_escaped_comes_back(text: str) -> None:
    (found,) = commands(command("error", text, title=text.replace("::", ": :")))
    assert found.properties == {"title": text.replace("::", ": :")}
    assert found.data.replace("\N{REPLACEMENT CHARACTER}", "\r") == text.replace(
        "::error", ": :error"
    ).replace("##[", "# #[")


def test_an_ascii_log_has_the_same_commands() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    FORMATS["github"].write(a_grade(), stream, Settings())
    stream.seek(0)
    names = [each.name for each in commands(stream.read())]
    assert names == [each.name for each in commands(written("github", "small"))]
