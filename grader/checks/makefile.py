"""What the targets of a Makefile would run, as make itself says (`make -n`).

Even `make -n` executes what stands in `$(shell …)`, `include` and lines with `+`, so make runs in a cell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.checks import makefile_commands
from grader.checks.context import Context
from grader.checks.registry import check
from grader.checks.shell import Command, commands
from grader.results import Evidence, Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from grader.runtime.cell import Cell

MOST_CALLS = 5
"""How often a recipe's own calls of make are followed."""
_MAKE_SAYS = re.compile(r"^make(?:\[\d+\])?: .*$", re.MULTILINE)
_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a target would run."""

    commands: tuple[Command, ...] = ()
    printed: str = ""
    refused: str = ""
    """What make says where it cannot make the target at all."""


@check("makefile.runs", evidence=Evidence.RUNS, tools=("make",), needs_lab=True)
def runs(
    context: Context,
    *,
    file: str,
    target: str,
    commands: list[str],
    every: bool = False,
    idle: list[str] = [],  # noqa: B006
    only: list[str] = [],  # noqa: B006
    at: list[str] = [],  # noqa: B006
    not_at: list[str] = [],  # noqa: B006
    hooks: str = "",
) -> Outcome:
    """A Makefile target would run one of these commands, or with `every` each of them.

    A command is a program and the words that have to follow it, options aside (`docker compose build`).
    One with an `idle` option does nothing (`--version`), nor does one whose operands are `only` these
    (`pip install pip`), nor one that names something of `not_at` and nothing of `at`. `hooks` is the
    deliverable from which `pre-commit run` takes what it runs.
    """
    if context.submission.deliverable(file) is None:
        return failed(Finding(message="the Makefile is missing"))
    plan = dry_run(context, file, target)
    where = f"make {target}"
    expected = " and ".join(commands) if every else " or ".join(commands[:4])
    if plan.refused:
        message = f"make cannot make the target `{target}`"
        return failed(Finding(message=message, expected=expected, actual=plan.refused, where=where))
    found = makefile_commands.Rule(idle=idle, only=only, at=at, not_at=not_at)
    followed = tuple(makefile_commands.followed(context.submission, plan.commands, hooks))
    done = [pattern for pattern in commands if any(found.takes(command, pattern) for command in followed)]
    missing = [pattern for pattern in commands if pattern not in done]
    if done and not (every and missing):
        return passed()
    message = f"`{target}` does not run {' and '.join(missing) if every else 'what it should'}"
    actual = plan.printed[:500] or "it runs nothing"
    return failed(Finding(message=message, expected=expected, actual=actual, where=where))


def dry_run(context: Context, file: str, target: str) -> Plan:
    """What make would run for a target; asked once.

    Raises:
        ToolMissing: there is no make, or nothing of the submission may run.
    """
    return context.memo.once(("makefile", file, target), lambda: _dry_run(context, file, target))


def _dry_run(context: Context, file: str, target: str) -> Plan:
    context.tools.require("make")
    lab = context.require_lab()
    source = context.submission.deliverable(file)
    words = ("-f", source.name) if source is not None else ()
    with lab.cell(f"make-{target}") as cell:
        return ask_make(cell, [*words, target])


def ask_make(cell: Cell, words: Sequence[str]) -> Plan:
    """What `make -n words…` says, calls of make in the recipes followed."""
    from grader.runtime.sandbox import Limits

    limits = Limits(cpu_seconds=_SECONDS, wall_seconds=2 * _SECONDS)
    waiting, seen = [tuple(words)], set[tuple[str, ...]]()
    found: list[Command] = []
    printed: list[str] = []
    while waiting and len(seen) <= MOST_CALLS:
        call = waiting.pop(0)
        if call in seen:
            continue
        seen.add(call)
        run = cell.run(["make", "-n", *call], limits=limits)
        if not run.ok and len(seen) == 1:
            said = run.stderr.strip().splitlines()[-1:] or [f"make {run.describe()}"]
            return Plan(refused=said[0][:500])
        script = _MAKE_SAYS.sub("", run.stdout)
        printed.append(script.strip())
        planned = commands(script)
        found += planned
        waiting += [command.arguments for command in planned if command.program in ("make", "gmake")]
    return Plan(commands=tuple(found), printed="\n".join(filter(None, printed)))


CHECKS = (runs,)
