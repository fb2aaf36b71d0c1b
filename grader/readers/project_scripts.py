"""Commands that a project installs: `[project.scripts]` of `pyproject.toml`, and Poetry's table of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from grader.documents import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.documents import SourceFile

MAX_CHARACTERS = 500
"""The longest reference that is read."""
_TABLES = (("project",), ("tool", "poetry"))
"""Where `scripts` stands, the first that has a name before the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectScript:
    """A command, and the function that it calls."""

    module: str
    function: str
    where: str
    """`pyproject.toml:7`"""


def project_scripts(file: SourceFile | None) -> dict[str, ProjectScript]:
    """Command -> what it calls; what no installer would take for a command is left out."""
    if file is None or isinstance(file.toml, Problem) or not isinstance(file.text, str):
        return {}
    lines = file.text.splitlines()
    found: dict[str, ProjectScript] = {}
    for name, reference in _references(file.toml):
        if entry := _read_reference(name, reference):
            line = next((number for number, text in enumerate(lines, start=1) if reference in text), 1)
            script = ProjectScript(module=entry[0], function=entry[1], where=file.where(line))
            found.setdefault(name, script)
    return found


def _references(data: Any) -> Iterator[tuple[str, str]]:
    for path in _TABLES:
        table = data
        for key in (*path, "scripts"):
            table = table.get(key) if isinstance(table, dict) else None
        for name, reference in table.items() if isinstance(table, dict) else ():
            if isinstance(reference, str) and len(reference) <= MAX_CHARACTERS:
                yield name, reference


def _read_reference(name: str, reference: str) -> tuple[str, str] | None:
    """Module and function of `tools.run:main`."""
    entry = EntryPoint(name, reference, "console_scripts")
    try:
        module, function = entry.module, entry.attr
    except (AttributeError, ValueError):  # how it refuses differs between versions of Python
        return None
    return (module, function) if module and function else None
