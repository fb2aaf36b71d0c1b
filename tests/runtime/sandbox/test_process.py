"""What is made of hostile words about a run, and of trouble of our own while one is watched."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from grader.errors import GraderFault
from grader.runtime.sandbox import launch
from grader.runtime.sandbox import process as process_module
from grader.runtime.sandbox.group_memory import GroupMemory
from grader.runtime.sandbox.meter import Meter
from grader.runtime.sandbox.model import Ended, Job, Run
from grader.runtime.sandbox.output import Capture
from grader.runtime.sandbox.process import MAX_ERROR, MAX_STATUS, Process, ProcessHandles
from tests.runtime.sandbox.isolation import QUICK

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

GOOD = b'{"started": 2}\n{"ended": 3, "cpu_seconds": 1.5}\n'
LONG = 60
"""Seconds that the program would take if nothing ended it."""


@contextmanager
def watched(
    workspace: Path, status: bytes, *, seconds: float = 0, group: GroupMemory | None = None
) -> Iterator[tuple[Process, subprocess.Popen[bytes]]]:
    """A program whose process 1 said so much, and then ends."""
    with ExitStack() as undo:
        told, tells = os.pipe()
        undo.callback(os.close, told)
        popen = launch.spawn(["/bin/sleep", str(seconds)], b"", pass_fds=())
        started = ProcessHandles(
            **launch.watched(popen),
            status=told,
            sockets={},
            kill=lambda _: popen.kill(),
            cleanup=undo.pop_all().close,
            group=group,
        )
        process = Process(Job(argv=("x",), workspace=workspace, env={}, limits=QUICK), started)
        with os.fdopen(tells, "wb") as stream:
            stream.write(status)
        yield process, popen


def run_saying(workspace: Path, status: bytes) -> Run:
    with watched(workspace, status) as (process, _):
        run = process.wait(LONG)
    assert run is not None
    return run


@pytest.mark.parametrize(
    "nonsense",
    {
        "a number beyond floats": b'{"cpu_seconds": 1' + b"0" * 400 + b"}\n",
        "a number of too many digits": b'{"cpu_seconds": 1' + b"0" * 5000 + b"}\n",
        "no number": b'{"cpu_seconds": NaN}\n',
        "infinite": b'{"cpu_seconds": Infinity}\n{"cpu_seconds": 1e400}\n',
        "negative": b'{"cpu_seconds": -1, "started": -1, "ended": -65}\n',
        "too large": b'{"cpu_seconds": 1e10, "started": 2147483649, "ended": 256}\n',
        "of other types": b'{"cpu_seconds": "1", "started": true, "ended": 3.0, "error": 7}\n',
        "nothing at all": b'{"cpu_seconds": null, "started": null, "ended": [], "error": ""}\n',
        "a long complaint": b'{"error": "' + b"x" * (MAX_ERROR + 1) + b'"}\n',
        "no text": b"\xff\xfe{}\0\n",
        "no object": b'["ended"]\n7\n"ended"\nnull\n',
        "deep": b"[" * 20_000 + b"\n",
        "other names": b'{"why": "exited", "_run": 1, "ok": true}\n',
    }.items(),
    ids=lambda item: item[0],
)
def test_what_makes_no_sense_was_never_said(nonsense: tuple[str, bytes], tmp_path: Path) -> None:
    run = run_saying(tmp_path, nonsense[1] + GOOD)
    assert (run.ended, run.returncode, run.cpu_seconds, run.error) == (Ended.EXITED, 3, 1.5, "")


def test_the_first_word_holds(tmp_path: Path) -> None:
    run = run_saying(tmp_path, GOOD + b'{"ended": 0, "cpu_seconds": 0, "error": "x"}\n{"ended": -9}\n')
    assert (run.ended, run.returncode, run.cpu_seconds) == (Ended.EXITED, 3, 1.5)


@pytest.mark.parametrize("line", [b"{}\n", b"x"], ids=["lines", "one line"])
def test_who_says_too_much_is_not_heard(line: bytes, tmp_path: Path) -> None:
    run = run_saying(tmp_path, line * (MAX_STATUS // len(line)) + GOOD)
    assert (run.ended, run.returncode) == (
        Ended.SIGNALLED,
        -9,
    )  # as of a process 1 that is gone without a word


def test_trouble_while_watching_is_the_graders_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Failing(Meter):
        def exceeded(self, *_: object, **__: object) -> None:
            raise ZeroDivisionError

    # Not on the class itself: servers of other tests are being watched meanwhile.
    monkeypatch.setattr(process_module, "Meter", Failing)
    long = watched(tmp_path, b'{"started": 2}\n', seconds=LONG)
    with long as (process, popen), pytest.raises(GraderFault, match="could not be watched") as fault:
        process.wait(LONG)
    assert (fault.value.log_tail, popen.returncode, process.over) == ("ZeroDivisionError()", -9, True)


def test_a_group_that_cannot_be_read_keeps_nothing_running(tmp_path: Path) -> None:
    class Failing(GroupMemory):
        def has_killed(self) -> bool:
            raise ZeroDivisionError

    group = Failing(tmp_path, unified=True)
    long = watched(tmp_path, b'{"started": 2}\n', seconds=LONG, group=group)
    with long as (process, popen), pytest.raises(GraderFault):
        process.wait(LONG)
    assert popen.returncode == -9


def test_trouble_with_what_it_wrote_is_the_graders_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Failing(Capture):
        def text(self) -> str:
            raise ZeroDivisionError

    monkeypatch.setattr(process_module, "Capture", Failing)
    with watched(tmp_path, GOOD) as (process, _), pytest.raises(GraderFault):
        process.wait(LONG)
