"""`grader doctor`: what this machine can decide."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from rich.table import Table

from grader.checks import ALL
from grader.error_handler import PASSED
from grader.errors import ToolMissing, UsageError
from grader.exam.bundled import RUBRICS
from grader.exam.loader import load_exam
from grader.report.console import console
from grader.runtime.sandbox.control_groups import Groups
from grader.runtime.sandbox.meter import DISK_TICK, TICK
from grader.tools import ENGINE, KNOWN, Tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from grader.exam.model import Exam

ISOLATION = "bwrap"
ENVIRONMENTS = "uv"
MEASURED = f"measured every {TICK} s"
DISK = f"measured every {DISK_TICK} s, and a limit for each file"


def doctor_command(directory: Path | None) -> int:
    """Print a row for each tool: found or not, what it is for, which criteria it decides.

    Then one for each isolation that can be had: what keeps a program from using up the machine.
    """
    exam = load_exam(directory or RUBRICS, ALL)
    tools = Tools()
    table = _table("Tool", "Version", "For", "Decides", "Without it")
    for name, tool in KNOWN.items():
        complaint = tools.lacks(name)
        table.add_row(
            f"[bold]{name}[/]",
            f"[red]{complaint}[/]" if complaint else f"[green]{tools.version(name) or 'found'}[/]",
            tool.purpose,
            ", ".join(abbreviated(exam, decides(exam, name))) or "—",
            without(exam, name),
        )
    out = console(sys.stdout)
    out.print(table)
    out.print()
    limits = _table("Isolation", "Memory", "Processes", "Disk")
    for isolation, (memory, processes, disk) in bounds(tools).items():
        limits.add_row(f"[bold]{isolation}[/]", memory, processes, disk)
    out.print(limits)
    missing = [name for name in KNOWN if tools.lacks(name)]
    out.print("Nothing is missing." if not missing else f"Missing: {', '.join(missing)}.")
    return PASSED


def isolation_command(isolation: str) -> int:
    """Say whether candidate code can be isolated in that way on this machine.

    Raises:
        UsageError: it cannot.
    """
    from grader.runtime.sandbox.open import open_sandbox
    from grader.runtime.temporary import scratch_directory

    with scratch_directory() as scratch:
        try:
            open_sandbox(isolation, scratch=scratch).close()
        except ToolMissing as missing:
            raise UsageError(f"--isolation {isolation} is not available here: {missing}") from missing
    console(sys.stdout).print(f"--isolation {isolation} is available here.")
    return PASSED


def bounds(tools: Tools) -> dict[str, tuple[str, str, str]]:
    """What bounds the memory, the processes and the disk of a run, by isolation; those that can be had."""
    found = {"none": (MEASURED, MEASURED, DISK)}
    if not tools.lacks(ENGINE):
        info = _engine_info(tools)
        counted = "control group of the engine"
        memory, processes = info.get("MemoryLimit"), info.get("PidsLimit")
        found["docker"] = (counted if memory else MEASURED, counted if processes else MEASURED, DISK)
    if not tools.lacks(ISOLATION):
        groups = Groups()
        groups.close()
        counted = f"control group, version {groups.kind[1:]}"
        found["bubblewrap"] = (
            (counted, counted, DISK)
            if groups.kind
            else (MEASURED, f"limit of its user namespace, {MEASURED}", DISK)
        )
    return dict(reversed(found.items()))


def _engine_info(tools: Tools) -> Mapping[str, Any]:
    """What an engine says of itself; nothing where it has just gone."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with contextlib.closing(tools.engine().client()) as client:
            info: Mapping[str, Any] = client.info()
    except (DockerException, RequestException):
        return {}
    return info


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def decides(exam: Exam, tool: str) -> list[str]:
    """Ids of the criteria that use a tool."""
    return list(dict.fromkeys(criterion for criterion, _ in _uses(exam, tool)))


def abbreviated(exam: Exam, criteria: list[str]) -> list[str]:
    """The same, a task of which every criterion is there as its id alone."""
    left = list(criteria)
    for task in exam.tasks:
        whole = [criterion.id for criterion in task.criteria]
        if len(whole) > 1 and set(whole) <= set(left):
            left[left.index(whole[0])] = task.id
            left = [name for name in left if name not in whole]
    return left


def without(exam: Exam, tool: str) -> str:
    """What a grade on a machine without the tool says of those criteria."""
    uses = list(_uses(exam, tool))
    if not uses:
        return "no effect on this exam"
    kinds = {falls_back for _, falls_back in uses}
    if kinds == {True}:
        return "decided statically instead"
    return "unverified" if kinds == {False} else "unverified, or decided statically"


def _uses(exam: Exam, tool: str) -> Iterator[tuple[str, bool]]:
    for task in exam.tasks:
        for criterion in task.criteria:
            for part in criterion.parts:
                check = ALL[part.check]
                if tool in check.tools or (check.needs_runtime and tool in (ISOLATION, ENVIRONMENTS)):
                    yield criterion.id, check.falls_back
