from __future__ import annotations

import re
import time
from importlib.resources import files

import html5lib
import pytest
from pygments.lexers import get_lexer_by_name
from pygments.styles import get_style_by_name

from grader.report.html.code import (
    DARK,
    LEXERS,
    LIGHT,
    MAX_DIFFERENCE,
    MAX_LINE,
    MAX_LINES,
    code_lines,
    difference_lines,
)
from grader.results import Comparison, Place
from tests.report.html.pages import DANGERS

NAMES = sorted({pattern.replace("*", "x") for pattern, _ in LEXERS} | {"notes.txt", "x.unknown", "x"})


def test_a_line_is_marked_up_as_its_file_says() -> None:
    place = Place(path="src/a.py", line=8, first=7, lines=("import os\r", "x = '<b>'"))
    assert [(line.number, str(line.markup), line.meant) for line in code_lines(place)] == [
        (7, '<span class="kn">import</span><span class="w"> </span><span class="nn">os</span>', False),
        (
            8,
            '<span class="n">x</span> <span class="o">=</span> <span class="s1">\'&lt;b&gt;\'</span>',
            True,
        ),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_lines_stay_lines_whatever_is_in_them(name: str) -> None:
    lines = ("", "'''", *(text.replace("\n", " ") for text in DANGERS), "", "")[:MAX_LINES]
    shown = code_lines(Place(path=f"a/{name}", line=1, first=1, lines=lines))
    assert len(shown) == len(lines)
    for line in shown:
        tree = html5lib.parseFragment(str(line.markup), namespaceHTMLElements=False)
        assert {element.tag for element in tree.iter()} <= {"DOCUMENT_FRAGMENT", "span"}
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", line.markup)


def test_what_is_too_much_is_left_out() -> None:
    shown = code_lines(Place(path="a.txt", line=1, first=1, lines=("x" * 2_000_000,) * 1000))
    assert [len(line.markup) for line in shown] == [MAX_LINE] * MAX_LINES


SPINNING = (
    "(",
    "[",
    "{",
    "\\",
    '"',
    "'",
    "`",
    "<",
    "$(",
    "${",
    "a=",
    "- ",
    " ",
    "\t",
    "#",
    "|",
    "&x ",
    "*x ",
    "a.",
)


@pytest.mark.parametrize("lexer", sorted({lexer for _, lexer in LEXERS}))
def test_no_lexer_takes_long_over_a_line_made_for_it(lexer: str) -> None:
    pattern = next(pattern for pattern, name in LEXERS if name == lexer)
    start = time.process_time()
    for text in SPINNING:
        line = (text * MAX_LINE)[:MAX_LINE]
        code_lines(Place(path=pattern.replace("*", "x"), line=1, first=1, lines=(line,) * MAX_LINES))
    assert time.process_time() - start < 10


def test_every_lexer_exists() -> None:
    assert [get_lexer_by_name(name).aliases for _, name in LEXERS]


def luminance(colour: str) -> float:
    """As WCAG defines it, of `rrggbb`."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ground(name: str, number: int) -> str:
    """A colour of the stylesheet: the first of a name is for light, the second for dark."""
    css = files("grader.report.html").joinpath("style.css").read_text()
    value = re.findall(rf"--{name}: #([0-9a-f]+);", css)[number]
    return "".join(each * 2 for each in value) if len(value) == 3 else value


@pytest.mark.parametrize("place", ["raised", "meant"])
@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_code_can_be_read_on_its_ground(number: int, place: str) -> None:
    style = get_style_by_name((LIGHT, DARK)[number])
    behind = ground(place, number)
    faint = {
        str(token) for token, rules in style if rules["color"] and contrast(rules["color"], behind) < 4.5
    }
    assert faint - {"Token.Text.Whitespace"} == set()


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("place", ["ground", "raised"])
@pytest.mark.parametrize("name", ["text", "soft", "link", "good", "bad", "partial", "open", "fault"])
def test_words_can_be_read_on_their_ground(name: str, place: str, number: int) -> None:
    assert contrast(ground(name, number), ground(place, number)) >= 4.5


def compared(text: str, reference: str) -> Comparison:
    return Comparison(
        task="1", deliverable="a", path="a.py", text=text, reference_path="a.py", reference_text=reference
    )


def test_a_difference_says_what_each_line_is() -> None:
    lines, left_out = difference_lines(compared("a\nb\n", "a\nc\n"))
    assert [(line.kind, line.text) for line in lines] == [
        ("hunk", "@@ -1,2 +1,2 @@"),
        ("kept", " a"),
        ("removed", "-b"),
        ("added", "+c"),
    ]
    assert left_out == 0


def test_a_long_difference_says_how_much_is_left_out() -> None:
    lines, left_out = difference_lines(compared("", "x\n" * 1000))
    assert (len(lines), left_out) == (MAX_DIFFERENCE, 1001 - MAX_DIFFERENCE)
