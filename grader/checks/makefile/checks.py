"""What the targets of a Makefile run, as observed when make runs in a cell."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.check import Deliverable, DeliverableIfAny, check
from grader.checks.makefile import dry_run, inputs, patterns, steps
from grader.checks.makefile.collected import Collection
from grader.context import source_file
from grader.results import Evidence, Finding, Outcome, failed, passed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.checks.makefile.dry_run import Plan
    from grader.context import Context
    from grader.documents import SourceFile

_USUAL = ("GNUmakefile", "makefile", "Makefile")
_PLACE = re.compile(r"([^\s:]+:\d+): \*\*\* (.*?)(?:\s+Stop\.)?")


@check("makefile.runs", reads=source_file, evidence=Evidence.RUNS, tools=("make",), needs_runtime=True)
def runs(
    context: Context,
    _: SourceFile,
    *,
    file: Deliverable,
    target: str,
    commands: tuple[str, ...],
    every: bool = False,
    idle: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    at: tuple[str, ...] = (),
    not_at: tuple[str, ...] = (),
    aims: tuple[str, ...] = (),
    values: tuple[str, ...] = (),
    hooks: DeliverableIfAny = "",
    tools: tuple[str, ...] = (),
) -> Outcome:
    """A Makefile target runs one of these commands or, with `every`, each of them.

    Args:
        target: the target, as in `make TARGET`.
        commands: a program and its subcommands, without options (`docker compose build`); a
            final `*` stands for any operand.
        every: whether all of the commands have to run instead of one.
        idle: options with which a command does nothing (`--version`).
        only: operands that alone make a command do nothing (`pip install pip`).
        at: names of which a command must have one where it has one of `not_at`.
        not_at: names of other targets: a command that has one of these does not count.
        aims: commands that say what later ones aim at (`kubectl config use-context`).
        values: options whose value is the next word.
        hooks: the deliverable that configures `pre-commit run`.
        tools: programs that a Makefile may look for and that need not be on this machine:
            they never run, and end well.
    """
    plan = plan_of(context, file, target, tools)
    if plan.refused:
        unreadable = _PLACE.fullmatch(plan.refused) is not None
        return failed(_refused(plan.refused, target), cause=plan.refused if unreadable else "")
    rule = patterns.Rule(idle=idle, only=only, at=at, not_at=not_at, aims=aims, values=values)
    run = tuple(steps.followed(context.submission, plan, hooks))
    there = inputs.paths_there(context.submission, _asked_for(context))
    tests = Collection(context)
    why = {
        pattern: rule.idle_because(run, pattern, context.submission, there, plan.printed, tests)
        for pattern in commands
    }
    missing = [pattern for pattern, reason in why.items() if reason != ""]
    if not missing or (len(missing) < len(commands) and not every):
        return passed()
    near = next(filter(None, why.values()), "")
    first = list({name.split()[0]: name for name in reversed(commands)}.values())[::-1]
    examples = commands if every else first[:3]
    return failed(
        Finding(
            message=near or f"`make {target}` runs {_nothing_of(missing, every=every)}",
            expected=(" and " if every else " or ").join(examples).replace(" *", ""),
            actual="; ".join(plan.printed.splitlines())[:500] or "it runs nothing",
            where=f"make {target}",
        )
    )


def _nothing_of(missing: Sequence[str], *, every: bool) -> str:
    return f"no {' and no '.join(missing)}" if every else "none of the expected commands"


def _asked_for(context: Context) -> Iterator[str]:
    """The paths of what the exam asks for."""
    for task in context.exam.tasks:
        for entry in task.deliverables:
            if entry.path:
                yield entry.path


def _refused(said: str, target: str) -> Finding:
    """Why make rejects the Makefile, or this target alone."""
    if found := _PLACE.fullmatch(said):
        return Finding(message="make cannot parse the Makefile", actual=found[2], where=found[1])
    if f"No rule to make target '{target}'" in said and "needed by" not in said:
        return Finding(message=f"the Makefile has no target `{target}`", where=f"make {target}")
    return Finding(message=f"make cannot build the target `{target}`", actual=said, where=f"make {target}")


def plan_of(context: Context, file: str, target: str, tools: Sequence[str] = ()) -> Plan:
    """Return what make runs for a target; make runs only once for each target.

    Raises:
        ToolMissing: there is no make, or nothing of the submission may run.
    """
    return context.memo.once(("makefile", file, target), lambda: _ask(context, file, target, tools))


def _ask(context: Context, file: str, target: str, tools: Sequence[str]) -> Plan:
    context.tools.require("make")
    runtime = context.require_runtime()
    name = _named(context, file)
    with runtime.cell() as cell:
        return dry_run.ask_make(cell, [*(("-f", name) if name else ()), target], tools)


def _named(context: Context, file: str) -> str:
    """The Makefile's name, empty if make finds it by itself."""
    source = context.deliverable(file)
    usual = (name for name in _USUAL if context.submission.file(PurePosixPath(name)) is not None)
    return "" if source.name == next(usual, "") else source.name


CHECKS = (runs,)
