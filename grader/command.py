"""The only way in which the grader runs trusted programs (git, promtool, make -n, uv).

Candidate code never runs here: that is `grader.runtime.sandbox`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from grader.errors import GraderFault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_OUTPUT = 2**20
MAX_READ = 2**16
_RUNNING: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended, and what it said."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def output(self) -> str:
        """Both streams, for a finding's detail."""
        return "\n".join(filter(None, (self.stdout.strip(), self.stderr.strip())))


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 30,
) -> Completed:
    """Run argv words (never a shell string) in a process group of its own, output capped.

    Args:
        env: added to a small clean environment; the grader's own variables are not passed on.
        timeout: wall seconds; then the whole group is killed and `timed_out` is set.

    Raises:
        GraderFault: the program could not be started at all.
    """
    words = tuple(os.fspath(word) for word in argv)
    environment = clean_environment() | dict(env or {})
    if shutil.which(words[0], path=environment.get("PATH")) is None:
        raise GraderFault(f"cannot start {words[0]}: {os.strerror(errno.ENOENT)}")
    try:
        process = subprocess.Popen(
            (*_dying_with_us(), *words),
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise GraderFault(f"cannot start {words[0]}: {error.strerror}") from error
    _RUNNING.add(process)
    try:
        with process:
            try:
                stdout, stderr, timed_out = _talk(process, stdin.encode(), time.monotonic() + timeout)
            finally:
                end_group(process)
    finally:
        _RUNNING.discard(process)
    return Completed(
        argv=words,
        returncode=process.returncode,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        timed_out=timed_out,
    )


@cache
def _dying_with_us() -> tuple[str, ...]:
    """Words that have a program end with the thread that waits for it, also where the grader is killed."""
    found = shutil.which("setpriv")
    return (found, "--pdeathsig", "KILL", "--") if found else ()


def _talk(process: subprocess.Popen[bytes], text: bytes, deadline: float) -> tuple[bytes, bytes, bool]:
    """Give a program its input and take its output until it ends; whether the time ran out first.

    What a program says of a candidate's text may be gigabytes: all is read, and only the beginning kept. A
    process that it left behind may keep the streams open, so that its own end is what counts.
    """
    assert process.stdin is not None  # noqa: S101
    source = process.stdin.fileno()
    streams = [stream.fileno() for stream in (process.stdout, process.stderr) if stream is not None]
    kept = {stream: bytearray() for stream in streams}
    rest = memoryview(text)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for number in (ended, *streams):
                selector.register(number, selectors.EVENT_READ)
            selector.register(source, selectors.EVENT_WRITE)
            for number in (source, *streams):
                os.set_blocking(number, False)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                for number in ready.intersection(streams):
                    if not _keep(number, kept[number]):
                        selector.unregister(number)
                if ended in ready:
                    break
                if source in ready and not (rest := _write(source, rest)):
                    selector.unregister(source)
                    process.stdin.close()
    finally:
        os.close(ended)
    for number, data in kept.items():
        while len(data) < MAX_OUTPUT and _keep(number, data):
            continue
    stdout, stderr = map(bytes, kept.values())
    return stdout, stderr, left <= 0


def _keep(stream: int, kept: bytearray) -> bool:
    """Read what is there; whether there was anything."""
    try:
        data = os.read(stream, MAX_READ)
    except BlockingIOError:
        return False
    kept += data[: max(0, MAX_OUTPUT - len(kept))]
    return bool(data)


def _write(stream: int, rest: memoryview) -> memoryview:
    """Write once; what is left, which is nothing where nobody reads."""
    try:
        return rest[os.write(stream, rest[:MAX_READ]) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def end_all() -> None:
    """Kill whatever runs at the moment, for an interrupt: other threads wait for it, and must not go on."""
    for process in tuple(_RUNNING):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """The variables that trusted programs need and no others."""
    keep = ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME")
    return {name: os.environ[name] for name in keep if name in os.environ} | {"LANG": "C.UTF-8", "TZ": "UTC"}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a process group and reap its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
