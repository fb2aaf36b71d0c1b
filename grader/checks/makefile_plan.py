"""What the recipes of a Makefile would run, as make itself hands them to its shell.

`make -n` alone would not tell: it also prints what `$(info …)` says, and really runs lines with a `+`. So a
recorder takes the place of the shell's flags: it writes down each line of a recipe instead of running it,
but for calls of make. It does run `$(shell …)`, whose output make reads from a pipe of its own (that of a
recipe goes where make's goes, or to a file until the recipe has ended).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks.shell import Command, commands

if TYPE_CHECKING:
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox import Run

MOST_CALLS = 5
"""How deep a recipe's own calls of make are followed."""
SECONDS = 10
"""Of computing, for what a Makefile runs while it is read; of waiting four times as much."""
_NEARLY = 0.9
"""The kernel counts by ticks, and may end a program a little early."""
_FOLDER = ".make-plan"
_TOOL = b"#!/bin/sh\nexit 0\n"
_START = 'PATH="$PATH:$PWD/{folder}" && exec make "$@"'
_RECORDER = """\
tools={root}/{folder}
if test ! -p /proc/self/fd/1 || test /proc/self/fd/1 -ef "/proc/$PPID/fd/1"; then
    printf '%s' "{mark}<$1>{mark}
"
    case " $1 " in
    *[!A-Za-z0-9_.-]make[!A-Za-z0-9_.-]*)
        if test "$MAKELEVEL" -le {most}; then (PATH=$tools:$PATH; eval "$1"); fi ;;
    esac
    exit 0
fi
PATH=${{PATH#"$tools:"}}
eval "$1"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a target would run."""

    commands: tuple[Command, ...] = ()
    printed: str = ""
    refused: str = ""
    """What make says where it cannot make the target at all."""


def files(tools: Sequence[str]) -> Mapping[str, bytes]:
    """What a cell has to have for `ask_make`: programs that do nothing, for recipes that look for them."""
    return {f"{_FOLDER}/{tool}": _TOOL for tool in tools}


def ask_make(cell: Cell, words: Sequence[str]) -> Plan:
    """What `make words…` would run, calls of make in the recipes followed."""
    folder = cell.workspace / _FOLDER
    folder.mkdir(exist_ok=True)
    for tool in folder.iterdir():
        tool.chmod(0o755)
    # Files that are included are made first, even so.
    dry = _make(cell, ["-n", *words])
    # Where one program of several is killed for its computing, make goes on as if nothing had been.
    if not dry.ok or dry.cpu_seconds >= _NEARLY * SECONDS:
        return Plan(refused=_why(dry))
    mark = secrets.token_hex(8)
    recorder = _RECORDER.format(root=cell.root, folder=_FOLDER, mark=mark, most=MOST_CALLS)
    (folder / "recorder").write_text(recorder, encoding="utf-8")
    flags = f".SHELLFLAGS={cell.root}/{_FOLDER}/recorder"
    recorded = _make(cell, ["-s", "-Onone", flags, *words])
    # A shell that is none (`SHELL = python3`) cannot run the recorder: then what make prints has to do.
    lines = re.findall(f"{mark}<(.*?)>{mark}\n", recorded.stdout, re.DOTALL) if recorded.ok else [dry.stdout]
    found = tuple(command for line in lines for command in commands(line))
    printed = "\n".join(line.strip() for line in lines).strip()
    # `make: 'test' is up to date.` tells why nothing runs.
    said = "\n".join(line for line in dry.stdout.splitlines() if line.startswith("make: "))
    return Plan(commands=found, printed=printed or said)


def _make(cell: Cell, words: Sequence[str]) -> Run:
    from grader.runtime.sandbox import Limits

    limits = Limits(cpu_seconds=SECONDS, wall_seconds=4 * SECONDS)
    return cell.run(["sh", "-c", _START.format(folder=_FOLDER), "make", *words], limits=limits)


def _why(run: Run) -> str:
    if run.ok:  # what used up the time was killed, and make went on
        return f"make took {SECONDS} s of computing for what the Makefile runs while it is read"
    said = run.stderr.strip().splitlines()[-1:] or [f"make {run.describe()}"]
    return said[0][:500]
