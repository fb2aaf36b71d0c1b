"""How a candidate's script is called: as a file, as a module, with arguments, or as its manifest says."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grader.documents import Problem
from grader.readers.python.parameters import Parameter, from_help, parameters, words_for
from grader.readers.python.tracebacks import Traceback, last_traceback
from grader.results import Finding
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.limits import Limits
    from grader.runtime.sandbox.model import Run
    from grader.submission.model import Submission

PYTHON = "python"
IMPORT_ERRORS = {"ModuleNotFoundError", "ImportError"}
_USAGE = re.compile(r"(?im)^[^\w\n]*usage\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script of a submission, and what its manifest says about it."""

    path: PurePosixPath
    command: tuple[str, ...] = ()
    """Command words from the manifest, which override everything else."""
    env: Mapping[str, str]
    takes: tuple[Parameter, ...] = ()
    neighbours: frozenset[str] = frozenset()
    """Names under which Python could import something of the submission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The final call of a script, and its result."""

    argv: tuple[str, ...]
    run: Run
    traceback: Traceback | None

    @property
    def shown(self) -> str:
        """The command as a candidate would type it."""
        return shlex.join(self.argv)

    @property
    def crashed(self) -> bool:
        """It ended itself, by an exception that nobody caught (or printed and gave up)."""
        return (
            self.run.ended is Ended.EXITED
            and self.run.returncode != 0
            and self.traceback is not None
            and self.traceback.last
        )

    def finding(self, message: str = "", *, expected: str = "") -> Finding:
        """The finding on how it ended, with the first cause up front."""
        if self.traceback is not None and not self.run.ok:
            said = f"`{self.shown}` stopped with {self.traceback.summary}"
            where, detail = self.traceback.where or self.shown, self.traceback.text
        else:
            said = f"`{self.shown}` {self.run.describe()}"
            where, detail = self.shown, self.run.tail()
        return Finding(
            message=message or said,
            expected=expected,
            actual=said if message else "",
            where=where,
            detail=detail,
        )


def script(submission: Submission, deliverable: str) -> Script | None:
    """The script that answers a deliverable."""
    file = submission.deliverable(deliverable)
    if file is None:
        return None
    tree = file.python
    return Script(
        path=file.path,
        command=tuple(submission.manifest.commands.get(deliverable, ())),
        env=dict(submission.manifest.environment),
        takes=() if isinstance(tree, Problem) else parameters(tree),
        neighbours=frozenset(path.parts[0] for path in submission.files if len(path.parts) > 1)
        | frozenset(path.stem for path in submission.files if path.suffix == ".py"),
    )


def call(
    cell: Cell,
    what: Script,
    *,
    arguments: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    like: Called | None = None,
) -> Called:
    """Call a script the way it was meant to be called.

    Args:
        arguments: values for its parameters, by the words that name a parameter of each kind.
        like: an earlier call of the same script whose form is kept: no other is tried.
    """
    if like is not None:
        return _once(cell, what, like.argv, limits)
    if what.command:
        return _once(cell, what, what.command, limits)
    called = _once(cell, what, (PYTHON, str(what.path)), limits)
    if _misses_neighbour(called, what):
        module = ".".join(what.path.with_suffix("").parts)
        other = _once(cell, what, (PYTHON, "-m", module), limits)
        called = called if _misses_neighbour(other, what) else other
    return _with_arguments(cell, what, called, arguments or {}, limits)


def _with_arguments(
    cell: Cell, what: Script, bare: Called, values: Mapping[str, str], limits: Limits | None
) -> Called:
    """The same with what it cannot do without, else with all that there is a value for.

    Not all at once: its author's default fits an option better than what its name suggests to us.
    """
    if not _wants_arguments(bare, what):
        return bare
    takes = what.takes or _ask_for_help(cell, what, bare, limits)
    called = bare
    for spare in (False, True):
        argv = (*bare.argv, *words_for(takes, values, spare=spare))
        if argv != called.argv and _wants_arguments(called, what):
            called = _once(cell, what, argv, limits)
    return called


def _once(cell: Cell, what: Script, argv: tuple[str, ...], limits: Limits | None) -> Called:
    if argv[0] == PYTHON:
        run = cell.python(*argv[1:], env=what.env, limits=limits)
    else:
        run = cell.run(argv, env=what.env, limits=limits)
    roots = (cell.root, str(cell.workspace))
    return Called(argv=argv, run=run, traceback=last_traceback(run.stderr, roots))


def _misses_neighbour(called: Called, what: Script) -> bool:
    """It failed to import something of its own submission, which `-m` may find."""
    error = called.traceback
    if called.run.ok or error is None or error.exception not in IMPORT_ERRORS:
        return False
    if "relative import" in error.message:
        return True
    name = re.search(r"named '([\w.]+)'|from '([\w.]+)'", error.message)
    return name is not None and (name[1] or name[2]).partition(".")[0] in what.neighbours


def _wants_arguments(called: Called, what: Script) -> bool:
    """It failed for want of arguments, or of a file whose name it would have taken as one."""
    if called.run.ended is not Ended.EXITED or called.run.returncode == 0:
        return False
    if called.traceback is None or not called.traceback.last:
        return bool(_USAGE.search(called.run.stderr) or _USAGE.search(called.run.stdout))
    return bool(what.takes) and called.traceback.exception in (
        "IndexError",
        "FileNotFoundError",
        "ValueError",
        "TypeError",
        "SystemExit",
    )


def _ask_for_help(cell: Cell, what: Script, called: Called, limits: Limits | None) -> tuple[Parameter, ...]:
    return from_help(_once(cell, what, (*called.argv, "--help"), limits).run.stdout)
