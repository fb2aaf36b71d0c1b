"""A script that does its work when it is started, or only has functions for it that nothing calls."""

from __future__ import annotations

import ast
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from grader.checks.scripts.call import PYTHON, Called, Script, call, script_of
from grader.readers.python.subcommands import Subcommand, subcommands
from grader.readers.python.tracebacks import last_traceback
from grader.runtime.sandbox.model import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from grader.documents import SourceFile
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.limits import Limits
    from grader.submission.model import Submission

MAX_FUNCTIONS = 4
MAX_COMMANDS = 4
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a script printed, and what its functions returned."""

    called: Called
    returned: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    """Those that the grader called, since starting the script did not."""


def answer(
    cell: Cell,
    submission: Submission,
    file: SourceFile,
    *,
    deliverable: str,
    wanted: Iterable[str],
    enough: Callable[[Called], bool],
    arguments: Mapping[str, str],
    limits: Limits,
    unwanted: Iterable[str] = (),
) -> Answered:
    """Start the script; where that is not enough, call the functions in it that do what is wanted.

    Of a program with several commands, those that come to one of the `wanted` calls are tried first, and
    those that come to an `unwanted` one last.
    """
    what = _script(submission, file, deliverable)
    functions = uncalled(file, frozenset(wanted), what.neighbours)
    called = None
    if what.command or what.start or not functions or acts(file):
        called = call(cell, what, arguments=arguments, limits=limits, enough=enough)
        for command in () if enough(called) else _commands(file, what, called, wanted, unwanted):
            attempt = call(cell, command, limits=limits)
            if enough(attempt):
                return Answered(called=attempt)
        if not functions or enough(called) or not called.run.ok:
            return Answered(called=called)
    run, told = cell.probe(
        "call_functions",
        {"path": str(file.path), "functions": list(functions)},
        env=what.env,
        limits=limits,
    )
    argv = (PYTHON, "-c", f"from {file.path.stem} import {functions[0]}; {functions[0]}()")
    roots = (WORKSPACE, str(cell.workspace))
    probed = Called(argv=argv, run=run, traceback=last_traceback(run.stderr, roots))
    return Answered(called=probed, returned=tuple(_returned(told)), functions=functions)


def _script(submission: Submission, file: SourceFile, deliverable: str) -> Script:
    """The file as a script, which need not be the deliverable's first candidate."""
    first = submission.deliverable(deliverable)
    told = submission.manifest.commands.get(deliverable, ()) if first is file else ()
    return script_of(submission, file, tuple(told))


def _commands(
    file: SourceFile, what: Script, called: Called, wanted: Iterable[str], unwanted: Iterable[str]
) -> Iterator[Script]:
    """The same script with each of its commands, the likeliest first; none where it stopped by itself."""
    tree = file.python
    if (
        what.command
        or what.start
        or called.crashed
        or called.argv[0] != PYTHON
        or not isinstance(tree, ast.Module)
    ):
        return
    calls = {each.name: _called(each) for each in tree.body if isinstance(each, Function)}
    foreign = frozenset(wanted) | set(_imported(tree, what.neighbours))

    def order(command: Subcommand) -> tuple[bool, bool]:
        unlikely = _reaches(command.function, calls, frozenset(unwanted))
        return unlikely, not _reaches(command.function, calls, foreign)

    started = called.argv[: 3 if called.argv[1] == "-m" else 2]
    for command in sorted(subcommands(tree), key=order)[:MAX_COMMANDS]:
        yield replace(what, command=(*started, command.name))


def _returned(told: object) -> Iterator[str]:
    """What the probe says that functions returned; it shares a process with them, so nothing is sure."""
    calls = told.get("calls") if isinstance(told, dict) else None
    for entry in calls if isinstance(calls, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("returned"), str) and entry["returned"]:
            yield entry["returned"]


# --- reading: pure --------------------------------------------------------------------------------


def acts(file: SourceFile) -> bool:
    """Whether starting the file does anything: a statement outside functions calls something."""
    tree = file.python
    if not isinstance(tree, ast.Module):
        return True
    statements = (each for each in tree.body if not isinstance(each, Function | ast.ClassDef))
    return any(isinstance(node, ast.Call) for statement in statements for node in ast.walk(statement))


def uncalled(
    file: SourceFile, wanted: frozenset[str], neighbours: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Functions without required parameters that come to one of the wanted calls, the outermost first."""
    tree = file.python if file.path.suffix == ".py" else None
    if not isinstance(tree, ast.Module):
        return ()
    functions = {each.name: each for each in tree.body if isinstance(each, Function)}
    calls = {name: _called(function) for name, function in functions.items()}
    foreign = wanted | set(_imported(tree, neighbours))
    reaching = {name for name in functions if _reaches(name, calls, foreign)}
    able = [name for name in functions if name in reaching and _takes_nothing(functions[name])]
    inner = {other for name in able for other in calls[name]}
    return tuple(sorted(able, key=lambda name: name in inner))[:MAX_FUNCTIONS]


def _reaches(name: str, calls: Mapping[str, set[str]], wanted: frozenset[str]) -> bool:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in wanted:
            return True
        if current not in seen:
            seen.add(current)
            waiting += calls.get(current, ())
    return False


def _called(function: Function) -> set[str]:
    """Last names of what it calls or hands on."""
    found: set[str] = set()
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name) | ast.Call(func=ast.Attribute(attr=name)):
                found.add(name)
    return found


def _imported(tree: ast.Module, neighbours: frozenset[str]) -> Iterator[str]:
    """What another file of the submission lends."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level or (node.module or "").partition(".")[0] in neighbours:
            yield from (alias.asname or alias.name for alias in node.names)


def _takes_nothing(function: Function) -> bool:
    arguments = function.args
    given = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return given <= 0 and None not in arguments.kw_defaults and isinstance(function, ast.FunctionDef)
