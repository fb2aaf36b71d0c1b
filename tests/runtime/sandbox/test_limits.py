"""What a process tree holds that no directory shows, seen from outside of it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from grader.runtime.sandbox.limits import Hidden, find_hidden, written_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 64 * 2**10
PRELUDE = f"""
    import array, mmap, os, socket, sys
    def fill(path):
        file = os.open(path, os.O_CREAT | os.O_RDWR)
        os.write(file, b"x" * {BLOCK})
        os.unlink(path)
        return file
"""


@contextmanager
def holder(code: str, folder: Path) -> Iterator[int]:
    """A process that holds something until it is let go."""
    source = textwrap.dedent(PRELUDE) + textwrap.dedent(code) + "\nprint(flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


HELD = {
    "nothing": ("", Hidden()),
    "a socket": ("ends = socket.socketpair()", Hidden()),
    "an open file": ("file = open('kept', 'wb')", Hidden()),
    "an open deleted file": ("file = fill('a')", Hidden(disk_bytes=BLOCK)),
    "an anonymous memory file": (
        f"file = os.memfd_create('a'); os.write(file, b'x' * {BLOCK})",
        Hidden(memory_bytes=BLOCK),
    ),
    "a descriptor on its way": (
        """
        one, other = socket.socketpair()
        file = fill("a")
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
        os.close(file)
        """,
        Hidden(out_of_sight=True),
    ),
    "a deleted file that is mapped": (
        """
        file = fill("a")
        held = mmap.mmap(file, 4096)
        os.closerange(3, 100)  # the map keeps a descriptor of its own
        """,
        Hidden(out_of_sight=True),
    ),
}


@pytest.mark.parametrize(("code", "hidden"), HELD.values(), ids=HELD)
def test_what_is_held_is_found(code: str, hidden: Hidden, tmp_path: Path) -> None:
    with holder(code, tmp_path) as pid:
        assert find_hidden([pid]) == hidden


def test_processes_that_are_gone_hold_nothing() -> None:
    assert find_hidden([2**22 + 1]) == Hidden()
    assert written_bytes([2**22 + 1]) == 0


def test_what_was_written_counts_that_of_children_who_have_ended(tmp_path: Path) -> None:
    code = f"""
        if os.fork() == 0:
            open("kept", "wb").write(b"x" * {BLOCK})
            os._exit(0)
        os.wait()
    """
    with holder(code, tmp_path) as pid:
        assert written_bytes([pid]) >= BLOCK
