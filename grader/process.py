"""The one door through which the grader runs trusted programs (git, promtool, make -n, uv).

Candidate code never runs here: that is `grader.runtime.sandbox`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderFault

MOST_OUTPUT = 2**20
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
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=clean_environment() | dict(env or {}),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise GraderFault(f"cannot start {words[0]}: {error.strerror}") from error
        timed_out = False
        _RUNNING.add(process)
        try:
            process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _RUNNING.discard(process)
            end_group(process)
        return Completed(
            argv=words,
            returncode=process.returncode,
            stdout=_head(out),
            stderr=_head(err),
            timed_out=timed_out,
        )


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


def _head(stream: object) -> str:
    stream.seek(0)  # type: ignore[attr-defined]
    data: bytes = stream.read(MOST_OUTPUT)  # type: ignore[attr-defined]
    return data.decode("utf-8", "replace")
