from __future__ import annotations

import io
import re
import threading
import time
from typing import TYPE_CHECKING

from grader.report.progress import Progress
from grader.results import Status
from tests.report.grades import part

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(progress: Progress, stream: io.StringIO) -> list[str]:
    """The plain lines without their clock, once there is a new one."""
    before = stream.getvalue()
    deadline = time.monotonic() + 20
    while stream.getvalue() == before and time.monotonic() < deadline:
        time.sleep(0.01)
    return [re.sub(r"\d+:\d\d", "0:00", line) for line in stream.getvalue().splitlines()]


def test_a_pipe_is_told_what_is_done_and_how_much_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with Progress(stream=stream, interval=0.05) as progress:
        timeline = progress.timeline
        assert told(progress, stream) == ["grader: 0:00  preparing"]
        timeline.expect({"1.1.a": 1, "1.1.b": 2, "4.1.c": 1})
        with timeline.step("preparing the environment") as say:
            say("environment: fetching 3 of 40 packages")
            progress.observe("1.1.a", part(Status.EARNED))
            progress.observe("1.1.b/x", part(Status.LOST))
            assert told(progress, stream)[-1] == (
                "grader: 0:00  1 of 3 criteria  ✔ 1  ✘ 1  environment: fetching 3 of 40 packages"
            )
        progress.observe("4.1.c", None)
        assert told(progress, stream)[-1] == "grader: 0:00  1 of 3 criteria  ✔ 1  ✘ 1  running 4.1.c"
    assert "\x1b" not in stream.getvalue()


def test_nothing_new_is_not_repeated_at_once() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, interval=0.02) as progress:
        told(progress, stream)
        time.sleep(0.3)
    assert len(stream.getvalue().splitlines()) == 1


def test_quiet_is_quiet_and_ends_its_thread() -> None:
    stream = io.StringIO()
    with Progress(stream=stream, interval=0.01, quiet=True):
        time.sleep(0.1)
    with Progress(stream=io.StringIO(), interval=60):
        pass
    assert stream.getvalue() == ""
    assert [thread.name for thread in threading.enumerate() if thread.name == "progress"] == []


def test_a_terminal_has_one_live_line_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    with Progress(stream=stream) as progress:
        progress.timeline.expect({"1.1.a": 1})
        with progress.timeline.step("environment: " + "x" * 100):
            time.sleep(0.4)
    assert "0 of 1 criteria" in stream.getvalue()
    assert "x" * 60 not in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2K")
