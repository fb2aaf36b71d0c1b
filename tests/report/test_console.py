from __future__ import annotations

import io

import pytest

from grader.report.console import Colour, console, has_colour, speaks_unicode, tolerate


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("colour", "variables", "terminal", "pipe"),
    [
        ("auto", {}, True, False),
        ("auto", {"NO_COLOR": "1"}, False, False),
        ("auto", {"NO_COLOR": ""}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, True, True),
        ("auto", {"FORCE_COLOR": "0"}, False, False),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("always", {"NO_COLOR": "1"}, True, True),
        ("never", {"FORCE_COLOR": "1"}, False, False),
    ],
)
def test_who_gets_colours(
    monkeypatch: pytest.MonkeyPatch,
    colour: Colour,
    variables: dict[str, str],
    terminal: bool,
    pipe: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = []
    for stream in (Terminal(), io.StringIO()):
        console(stream, colour).print("text", style="bold red")
        found.append("31" in stream.getvalue())
        assert has_colour(stream, colour) is found[-1]
    assert found == [terminal, pipe]


def test_a_pipe_has_the_width_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = []
    for columns in ("60", "", "0", "x", "7"):
        monkeypatch.setenv("COLUMNS", columns)
        widths.append(console(io.StringIO()).width)
    assert widths == [60, 110, 110, 110, 40]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("utf-8", "✔ ◐ ✘ ⊘ · … é ─"), ("ascii", "+ ~ x - - . . -"), ("latin-1", "+ ~ x - · . é -")],
)
def test_what_an_encoding_lacks_has_a_stand_in_of_the_same_width(encoding: str, text: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    tolerate([stream])
    stream.write("✔ ◐ ✘ ⊘ · … é ─")
    stream.flush()
    assert raw.getvalue().decode(encoding) == text
    assert speaks_unicode(stream) is (encoding == "utf-8")


def test_whoever_stops_reading_is_no_verdict() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        console(Gone()).print("text")
