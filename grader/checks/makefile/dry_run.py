"""What the recipes of a Makefile run, as make passes them to its shell.

Make runs as usual, observed by `runtime/inside/watch_make.py`: a Makefile cannot tell a grade from any other
run by its flags, shell or folder, so it cannot show other recipes then. Recipes really run, except for the
tools that they call, which do nothing and succeed. If a recipe still stops, because it checks for something
that this machine lacks, make is asked again without running any recipe.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from grader.errors import GraderFault
from grader.readers.shell.parser import SHELLS, Command, commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.model import Run

SECONDS = 10
"""Of computing, for what a Makefile runs; of waiting as much while recipes run, and twice as much after."""
_ASKING_SECONDS = 90
"""How long make is asked again, each time with one more program that a recipe lacks: machines may be busy."""
_NEARLY = 0.9
"""The kernel counts by ticks, and may end a program a little early."""
_STOPPED_BY_RECIPE = re.compile(r"\*\*\* \[.*\] \S+ ")
_LACKING = re.compile(
    r"(?:make(?:\[\d+\])?|\S*sh: (?:line )?\d+): "
    r"(\S+): (?:No such file or directory|Permission denied|(?:command )?not found)"
)
_UNSPLIT_SHELL = re.compile(
    r"^make(?:\[\d+\])?: /usr/bin/env (\w+): No such file or directory$", re.MULTILINE
)
"""Some versions of make cannot have `SHELL = /usr/bin/env bash` together with `.ONESHELL`, others can."""
_INLINE = re.compile(r"-[a-z]*c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a target runs."""

    lines: tuple[tuple[Command, ...], ...] = ()
    """The commands of each line, which has a shell of its own."""
    printed: str = ""
    refused: str = ""
    """Make's error if it cannot build the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    run: Run
    status: int | None = None
    lines: tuple[tuple[str, ...], ...] = field(default=())
    out: str = ""
    err: str = ""

    @property
    def ok(self) -> bool:
        # Where one program of several is killed for its computing, make goes on as if nothing had been.
        return self.run.ok and self.status == 0 and self.run.cpu_seconds < _NEARLY * SECONDS


def ask_make(cell: Cell, words: Sequence[str], tools: Sequence[str] = ()) -> Plan:
    """What `make words…` would run, calls of make in the recipes followed.

    Args:
        tools: programs that never run, and that seem to be installed.
    """
    missing: list[str] = []
    lines: dict[tuple[str, ...], None] = {}
    for dry in (False, True):
        deadline, computed = time.monotonic() + _ASKING_SECONDS, 0.0
        while True:
            seen = _watch(cell, words, tools, missing, dry=dry)
            lines |= dict.fromkeys(seen.lines)
            if (
                not seen.ok
                and (unsplit := _UNSPLIT_SHELL.search(seen.err))
                and (shell := f"SHELL={unsplit[1]}") not in words
            ):
                words = [shell, *words]
                continue
            computed += seen.run.cpu_seconds
            lacking = "" if seen.ok else _lacking(seen.err)
            spent = computed > SECONDS or time.monotonic() > deadline
            if not lacking or lacking in missing or spent:
                break
            missing.append(lacking)
        if seen.ok:
            break
    if not seen.ok and not (lines and _STOPPED_BY_RECIPE.search(_last(seen.err))):
        return Plan(refused=_why(seen))
    found = tuple(commands(shlex.join(line)) for line in lines)
    printed = "\n".join(map(_printed, lines)).strip()
    # `make: 'test' is up to date.` tells why nothing runs.
    said = "\n".join(line for line in seen.out.splitlines() if line.startswith("make: "))
    return Plan(lines=found, printed=printed or said)


def _watch(
    cell: Cell, words: Sequence[str], tools: Sequence[str], missing: Sequence[str], *, dry: bool
) -> _Watched:
    from grader.runtime.sandbox.limits import Limits

    limits = Limits(cpu_seconds=SECONDS, wall_seconds=4 * SECONDS)
    request = {
        "words": [*words],
        "tools": [*tools],
        "missing": [*missing],
        "dry": dry,
        "seconds": SECONDS * (1 + dry),
    }
    # As text, so that no file of the grader's is in sight.
    source = files("grader.runtime.inside").joinpath("watch_make.py").read_text(encoding="utf-8")
    run = cell.python("-ISc", source, json.dumps(request), limits=limits)
    if not run.ok:
        return _Watched(run=run)
    try:
        answer: Any = json.loads(run.stdout)
        status, lines, fault = answer["status"], answer["lines"], answer["fault"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _Watched(run=run)
    if fault:
        raise GraderFault(f"make cannot be watched: {fault}", log_tail=run.tail())
    return _Watched(
        run=run, status=status, lines=tuple(map(tuple, lines)), out=answer["out"], err=answer["err"]
    )


def _lacking(err: str) -> str:
    """The missing program that stopped a recipe, as make or its shell reports it."""
    found = [match[1] for line in err.splitlines()[-5:] if (match := _LACKING.fullmatch(line))]
    return next(reversed(found), "")


def _printed(line: Sequence[str]) -> str:
    """A line of a recipe as written in the Makefile, without the shell that make adds."""
    *before, last = line
    inline = before and _INLINE.fullmatch(before[-1])
    names = {word.rpartition("/")[2].rstrip("0123456789.") for word in before}
    return (last if inline and names & {*SHELLS, "python"} else shlex.join(line)).strip()


def _last(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "")


def _why(seen: _Watched) -> str:
    if seen.run.ok and (seen.status is None or seen.run.cpu_seconds >= _NEARLY * SECONDS):
        return f"make did not finish within {SECONDS} s of CPU time, although no tool ran"
    if not seen.run.ok:
        return f"make {seen.run.describe()}"
    return _last(seen.err)[:500] or f"make ended with status {seen.status}"
