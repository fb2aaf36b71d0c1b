"""Jupyter notebooks as Python programs: cells one after another, magics done or dropped, displays printed.

Pure text: what candidates' environments have of Jupyter does not matter, and most have nothing.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CELLS = 500
MAX_CHARACTERS = 100_000
"""Of one cell that is looked at for magics and displays; a longer one stays as it is."""
MAX_LINE = 2_000
"""Characters of a line that may be a magic."""
Parse = Callable[[str], ast.Module]
PRELUDE = """\
import os as _os
import runpy as _runpy
import subprocess as _subprocess

_os.environ.setdefault("MPLBACKEND", "Agg")


def _show(*values, **_):
    for value in values:
        if value is None:
            continue
        whole = getattr(value, "to_string", None)
        print(whole() if callable(whole) and len(value) < 1000 else repr(value))


display = _show


def _shell(command, shows=True):
    done = _subprocess.run(["bash", "-c", command], stdout=_subprocess.PIPE, text=True)
    if shows:
        print(done.stdout, end="")
    return done.stdout.splitlines()


"""
"""What the program of a notebook needs; it stands in front of it."""
_MAGIC = re.compile(r"^(\s*)(?:([\w., ]+)=\s*)?([%!])(?!=)\s*(.*)$")
_CELL_MAGIC = re.compile(r"^\s*%%(\w+)[ \t]*(.*)")
_HELP = re.compile(r"^\s*(?:\?{1,2}[\w.]+|[\w.]+\?{1,2})\s*$")
_INSTALLERS = re.compile(
    r"\s*(?:\w+=\S+\s+)*(?:sudo\s+)?(?:python\d?\s+-m\s+)?(?:pip\d?|conda|mamba|apt(?:-get)?|uv|poetry)\b"
)
_SHELLS = frozenset({"bash", "sh", "script", "shell"})
_PYTHON = frozenset({"time", "timeit", "capture", "prun", "python", "python3"})
_TIMED = frozenset({"time", "timeit", "prun"})


def program(data: Any, parse: Parse = ast.parse) -> str:
    """The program of a notebook, given as plain data; empty where it has no Python in it.

    Args:
        parse: what reads a cell as Python; raises what `ast.parse` does.
    """
    cells = data.get("cells") if isinstance(data, dict) else None
    sources = (_source(cell) for cell in (cells if isinstance(cells, list) else [])[:MAX_CELLS])
    return "\n\n".join(filter(None, (_cell(source, parse) for source in sources if source.strip())))


def _source(cell: Any) -> str:
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return ""
    said = cell.get("source")
    return "".join(line for line in (said if isinstance(said, list) else [said]) if isinstance(line, str))


def _cell(source: str, parse: Parse) -> str:
    if len(source) > MAX_CHARACTERS:
        return source
    lines = source.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), 0)
    if found := _CELL_MAGIC.match(lines[first]):
        body = "\n".join(lines[first + 1 :])
        if found[1] in _SHELLS:
            kept = "\n".join(line for line in body.splitlines() if not _INSTALLERS.match(line))
            return f"_shell({kept!r})"
        if found[1] == "writefile":
            return f"open({found[2].strip()!r}, 'w').write({body!r})"
        if found[1] not in _PYTHON:
            return ""
        source = body
    if _tree(source, parse) is None:
        source = "\n".join(_lines(source, parse))
    return _displayed(source, parse)


def _tree(source: str, parse: Parse) -> ast.Module | None:
    try:
        return parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _lines(source: str, parse: Parse) -> Iterator[str]:
    """Lines in which magics are Python."""
    for line in (
        re.sub(r"\\\n[ \t]*(?=[^\n]*)", " ", source).split("\n") if "!" in source else source.split("\n")
    ):
        if len(line) > MAX_LINE:
            yield line
        elif _HELP.match(line):
            yield ""
        elif found := _MAGIC.match(line):
            indent, name, sign, said = found[1], found[2], found[3], found[4]
            value = _shelled(said, shows=not name) if sign == "!" else _magic(said, parse)
            yield f"{indent}{name.strip()} = {value}" if name else f"{indent}{value}"
        else:
            yield line


def _shelled(command: str, *, shows: bool = True) -> str:
    """What stands for a shell command: what an assignment takes of it is not shown."""
    command = command.lstrip("!")
    return "None" if _INSTALLERS.match(command) else f"_shell({command!r}, {shows})"


def _magic(said: str, parse: Parse) -> str:
    name, _, rest = said.partition(" ")
    rest = rest.strip()
    do = _MAGICS.get(name)
    if name in _TIMED:
        return rest if rest and _tree(rest, parse) is not None else "None"
    return do(rest) if do is not None and rest else "None"


def _environment(rest: str) -> str:
    name, _, value = rest.replace("=", " ", 1).partition(" ")
    return f"_os.environ.__setitem__({name.strip()!r}, {value.strip()!r})"


def _runs(rest: str) -> str:
    try:
        words = shlex.split(rest)
    except ValueError:
        return "None"
    path = next((word for word in words if word.endswith(".py")), "")
    return f"globals().update(_runpy.run_path({path!r}, run_name='__main__'))" if path else "None"


_MAGICS: dict[str, Callable[[str], str]] = {
    "cd": lambda rest: f"_os.chdir({rest!r})",
    "env": _environment,
    "set_env": _environment,
    "run": _runs,
    "sx": _shelled,
    "system": _shelled,
}


def _displayed(source: str, parse: Parse) -> str:
    """The cell with its last expression, which a notebook shows, printed."""
    tree = _tree(source, parse)
    if tree is None or not tree.body or source.rstrip().endswith(";"):
        return source
    last = tree.body[-1]
    if not isinstance(last, ast.Expr) or last.col_offset:
        return source
    try:
        shown = f"_show({ast.unparse(last.value)})"
    except (RecursionError, ValueError):
        return source
    return "\n".join([*source.split("\n")[: last.lineno - 1], shown])
