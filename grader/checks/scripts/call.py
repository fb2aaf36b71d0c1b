"""How a candidate's script is called: as a file, as a module, with arguments, or as its manifest says."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.scripts.variables import allowed, documented_variables, documented_wishes
from grader.checks.scripts.words import config_file, filled, filled_variables, values_of
from grader.documents import NOTEBOOK, Problem
from grader.errors import NotSearched
from grader.notebooks import PRELUDE
from grader.readers.invocations import Invocation, invocations, unread
from grader.readers.python.module import modules
from grader.readers.python.parameters import (
    CONFIGURATION,
    Parameter,
    from_help,
    from_usage,
    parameters,
    values_for,
    words_for,
)
from grader.readers.python.subcommands import subcommands
from grader.readers.python.tracebacks import Traceback, last_traceback
from grader.results import CallRecord, Finding
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from grader.documents import SourceFile
    from grader.runtime.cell import Cell
    from grader.runtime.sandbox.limits import Limits
    from grader.runtime.sandbox.model import Run
    from grader.submission.model import Submission

PYTHON = "python"
NOTEBOOK_PROGRAM = "_notebook.py"
_SHELLS = {".sh": "bash", ".bash": "bash", ".zsh": "bash"}
MANIFEST = "submission.yaml"
MAX_DOCUMENTED = 4
"""Commands of the submission's own that are tried."""
MAX_COMMANDS = 4
"""Commands of a program with several that are tried."""
MAX_LACKING = 3
"""Times that a program is given what it says that it lacks."""
LAST_LINES = 4
"""Of an output, in which a program says why it ends."""
MAX_TRIALS = 12
IMPORT_ERRORS = {"ModuleNotFoundError", "ImportError"}
_USAGE = re.compile(r"(?im)^[^\w\n]*usage\b")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z]{3,30}\b")
_SYNOPSIS = re.compile(r"(?m)\ANAME\n[\s\S]{0,2000}?^SYNOPSIS")
"""What python-fire prints instead of a usage line."""
_WANTING = (
    *("IndexError", "FileNotFoundError", "ValueError", "TypeError", "SystemExit", "KeyError"),
    *("AttributeError", "ValidationError", "RuntimeError", "AssertionError"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script of a submission, and what its manifest says about it."""

    path: PurePosixPath
    command: tuple[str, ...] = ()
    """Command words from the manifest, which override everything else."""
    start: tuple[str, ...] = ()
    """How it is started where it is no Python file: `bash x.sh`."""
    env: Mapping[str, str]
    takes: tuple[Parameter, ...] = ()
    neighbours: frozenset[str] = frozenset()
    """Names under which Python could import something of the submission."""
    source: SourceFile | None = None
    submission: Submission | None = None
    """Where commands that start it are looked for, when it does not do with none."""
    variables: tuple[str, ...] = ()
    """Variables that it cannot do without, and where they are set: `MODEL_NAME (k8s/deployment.yaml:31)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """The final call of a script, and its result."""

    argv: tuple[str, ...]
    run: Run
    traceback: Traceback | None
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables that it got besides those of the cell."""
    after: tuple[str, ...] = ()
    """Commands of the same answer that went before."""
    origin: str = ""
    """Where the command was found, `dvc.yaml:7`; empty where it is the program's name alone."""
    variables: tuple[str, ...] = ()
    """Where its variables were found."""
    overridden: Mapping[str, str] = field(default_factory=dict)
    """What the program would have read by itself -> what it was told to read instead."""
    trials: tuple[str, ...] = ()
    """Earlier calls, and how each ended."""
    wants_more: bool = False
    """It ended in a way that another call might have mended."""
    unread: str = ""
    """What a bound kept unread of the submission's own commands, where another call might have mended it."""

    @property
    def shown(self) -> str:
        """The command as a candidate would type it."""
        # A notebook runs as the program that was made of it, which nobody would look for.
        words = [
            word.removesuffix(NOTEBOOK_PROGRAM) + ".ipynb" if word.endswith(NOTEBOOK_PROGRAM) else word
            for word in self.argv
        ]
        if words[:2] == ["env", "-C"]:
            return " && ".join((*self.after, f"cd {words[2]}", shlex.join(words[3:])))
        return " && ".join((*self.after, shlex.join(words)))

    @property
    def how(self) -> str:
        """The command, and where it and its variables come from."""
        origin = f", from {self.origin}" if self.origin else ""
        told = f", with {', '.join(self.variables)}" if self.variables else ""
        return f"`{self.shown}`{origin}{told}"

    def record(self, path: PurePosixPath) -> CallRecord:
        """The call as the report has it."""
        return CallRecord(
            path=str(path),
            command=self.shown,
            origin=self.origin,
            variables=self.variables,
            trials=self.trials,
        )

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
        if self.wants_more and not self.run.ok:
            tried = "\n".join(f"tried: {trial}" for trial in (*self.trials, f"`{self.shown}`"))
            detail = f"{detail}\n{tried}\nif it is called otherwise, {MANIFEST} can give the command"
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
    return script_of(submission, file, tuple(submission.manifest.commands.get(deliverable, ())))


def script_of(submission: Submission, file: SourceFile, command: tuple[str, ...] = ()) -> Script:
    """A file as a script.

    Args:
        command: the words with which the manifest says that it is called.
    """
    trees = [file.python] if file.path.suffix in (".py", NOTEBOOK) else []
    if trees and not isinstance(trees[0], Problem):
        trees = [module.tree for module in modules(submission, file)]
    takes = (parameters(tree) for tree in trees if not isinstance(tree, Problem))
    found = documented_variables(submission, file)
    path, start = _start(file)
    return Script(
        path=path,
        command=command,
        start=start,
        env={**{each.name: each.value for each in found}, **submission.manifest.environment},
        takes=next((some for some in takes if some), ()),
        neighbours=frozenset(path.parts[0] for path in submission.files if len(path.parts) > 1)
        | frozenset(path.stem for path in submission.files if path.suffix == ".py"),
        source=file,
        submission=submission,
        variables=tuple(
            f"{each.name} ({each.where})"
            for each in found
            if each.name not in submission.manifest.environment
        ),
    )


def _start(file: SourceFile) -> tuple[PurePosixPath, tuple[str, ...]]:
    """What is run of a file, and by which words where Python alone does not do."""
    if file.path.suffix in _SHELLS:
        return file.path, (_SHELLS[file.path.suffix], str(file.path))
    if file.path.suffix != NOTEBOOK:
        return file.path, ()
    made = file.path.with_name(file.path.stem + NOTEBOOK_PROGRAM)
    within = ("env", "-C", str(made.parent)) if made.parent != PurePosixPath() else ()
    return made, (*within, PYTHON, made.name)


def made_files(file: SourceFile) -> dict[str, bytes]:
    """What a workspace needs so that a file can be started: the program of a notebook."""
    source = file.program if file.path.suffix == NOTEBOOK else None
    if not isinstance(source, str):
        return {}
    return {str(_start(file)[0]): (PRELUDE + source).encode()}


def call(
    cell: Cell,
    what: Script,
    *,
    arguments: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    like: Called | None = None,
    enough: Callable[[Called], bool] | None = None,
    swaps: bool = True,
) -> Called:
    """Call a script the way it was meant to be called.

    As the manifest says; else bare; else as the submission itself says; else as its usage line, its source
    or its help page suggest. Every call before the last is on record in what comes back.

    Args:
        arguments: values for its parameters, by the words that name a parameter of each kind.
        like: an earlier call of the same script whose form is kept: no other is tried.
        enough: whether what came of a call that ended well is what was asked for; by default it is.
        swaps: whether data that its own commands name are exchanged for those of `arguments`.

    Raises:
        NotSearched: every call failed, and a bound kept some of the submission's own commands unread.
    """
    if like is not None:
        run = _once(cell, replace(what, env={**what.env, **like.env}), like.argv, limits)
        return replace(run, origin=like.origin, variables=like.variables, overridden=like.overridden)
    if what.command:
        told = what.submission is not None and what.command in what.submission.manifest.commands.values()
        return replace(_once(cell, what, what.command, limits), origin=MANIFEST if told else "")
    return _Trials(cell, what, dict(arguments or {}), limits, enough or _always, swaps).find()


def _always(_: Called) -> bool:
    return True


class _Trials:
    """The search for a call that works; see `call`."""

    def __init__(
        self,
        cell: Cell,
        what: Script,
        values: dict[str, str],
        limits: Limits | None,
        enough: Callable[[Called], bool],
        swaps: bool,
    ) -> None:
        self._cell = cell
        self._what = what
        self._limits = limits
        self._enough = enough
        self._swaps = swaps
        config = config_file(what.submission) if what.submission is not None else ""
        # First, since `--config-path` is no path of data.
        self._values = {**({CONFIGURATION: config} if config else {}), **values}
        self._made: list[Called] = []

    def find(self) -> Called:
        """The first call that is enough; else the one that tells most of what is wrong.

        Raises:
            NotSearched: none is, and a bound kept some of the submission's own commands unread.
        """
        bare = self._bare()
        if self._is_good(bare):
            return self._told(bare)
        for called in self._others(bare):
            if self._is_good(called):
                return self._told(called)
            if len(self._made) >= MAX_TRIALS:
                break
        best = self._told(self._best(bare))
        rest = unread(self._what.submission) if self._what.submission is not None else ""
        if rest and not self._is_good(best):
            raise NotSearched(f"`{best.shown}` {best.run.describe()}", rest)
        return best

    def _best(self, bare: Called) -> Called:
        """Of calls that were not enough: the first that ended well, else the last not refused for its form.

        A script that writes a report only where there is drift has none to show on quiet data.
        """
        well = [called for called in self._made if called.run.ok and not _shows_usage(called)]
        if well or not _wants_arguments(bare, self._what):
            return well[0] if well else bare
        accepted = [called for called in self._made if not _wants_arguments(called, self._what)]
        return (accepted or self._made)[-1]

    def _told(self, called: Called) -> Called:
        others = [each for each in self._made if each is not called]
        said = tuple(f"`{each.shown}` {each.run.describe()}" for each in others)
        asked = bool(others) or _wants_arguments(called, self._what)
        return replace(called, trials=said, wants_more=asked and not self._is_good(called))

    def _is_good(self, called: Called) -> bool:
        """It was not refused for its form, and what came of it is enough."""
        if called.run.ended is not Ended.EXITED:
            return True
        if called.run.ok:
            return not _shows_usage(called) and self._enough(called)
        if called.traceback is not None and called.traceback.last:
            return False
        return not _shows_usage(called) and self._enough(called)

    def _others(self, bare: Called) -> Iterator[Called]:
        """Every other call that may be meant, the most trusted first."""
        base = bare.argv
        wished = documented_wishes(self._what.submission, self._what.source) if self._what.source else ()
        if wished:
            told = tuple(f"{each.name} ({each.where})" for each in wished)
            more = {each.name: each.value for each in wished}
            self._what = replace(
                self._what,
                env={**more, **self._what.env},
                variables=(*self._what.variables, *told),
            )
            yield self._try(base)
        yield from self._documented(base)
        yield from self._lacking()
        wanting = next((each for each in reversed(self._made) if _wants_arguments(each, self._what)), None)
        if wanting is not None and _wants_arguments(bare, self._what):
            yield from self._guessed(bare)
        yield from self._streamed(base)

    # --- bare ---

    def _bare(self) -> Called:
        called = self._try(self._what.start or (PYTHON, str(self._what.path)))
        if not self._what.start and _misses_neighbour(called, self._what):
            module = ".".join(self._what.path.with_suffix("").parts)
            other = self._try((PYTHON, "-m", module))
            if not _misses_neighbour(other, self._what):
                self._made.remove(called)
                return other
            self._made.remove(other)
        return called

    # --- as the submission says ---

    def _documented(self, base: tuple[str, ...]) -> Iterator[Called]:
        if self._what.submission is None:
            return
        seen = {each.argv for each in self._made}
        tried = 0
        for each in invocations(self._what.submission, self._what.path):
            argv = self._words(each, base)
            if argv is None:
                continue
            more = {name: value for name, value in each.environment.items() if name not in self._what.env}
            told = filled_variables(
                allowed(self._what.submission, self._what.source, more),
                self._values,
                exists=lambda path, folder=each.folder: self._is_there(posixpath.join(folder, path)),  # type: ignore[misc]
                swaps=self._swaps,
            )
            if (argv in seen and not told) or tried == MAX_DOCUMENTED:
                continue
            seen.add(argv)
            tried += 1
            yield self._try(argv, origin=each.where, env=told)
            if told:
                yield self._try(argv, origin=each.where)

    def _streamed(self, base: tuple[str, ...]) -> Iterator[Called]:
        """From standard input to standard output, where the program speaks of that."""
        file, submission = self._what.source, self._what.submission
        if file is None or submission is None or file.path.suffix != ".py":
            return
        texts = (module.file.text for module in modules(submission, file))
        given = values_of(("input", "output"), self._values)
        if len(given) == 2 and any("stdin" in text for text in texts if isinstance(text, str)):
            streams = f"< {shlex.quote(given['input'])} > {shlex.quote(given['output'])}"
            yield self._try(("sh", "-c", f"{shlex.join(base)} {streams}"), origin="its source")

    def _lacking(self) -> Iterator[Called]:
        """With variables that the program says that it lacks, where their names say what they are."""
        if self._what.submission is None:
            return
        for _ in range(MAX_LACKING):
            called = self._made[-1]
            if called.run.ok:
                return
            said = called.traceback.message if called.traceback is not None else called.run.tail(LAST_LINES)
            names = [name for name in dict.fromkeys(_VARIABLE.findall(said)) if name not in called.env]
            known = allowed(self._what.submission, self._what.source, values_of(names, self._values))
            if not known:
                return
            self._what = replace(
                self._what,
                env={**known, **self._what.env},
                variables=(*self._what.variables, *(f"{name} (which it asks for)" for name in known)),
            )
            yield self._try(called.argv, origin=called.origin)

    def _words(self, said: Invocation, base: tuple[str, ...]) -> tuple[str, ...] | None:
        """The words of a documented command, with what is to be filled in and with the exam's data.

        None where that is not known.
        """
        given = filled(
            said.arguments,
            self._values,
            self._what.takes,
            exists=lambda path: self._is_there(posixpath.join(said.folder, path)),
            swaps=self._swaps,
        )
        if given is None:
            return None
        start: tuple[str, ...]
        if said.function:
            start = (PYTHON, "-c", _ENTRY.format(module=said.module, function=said.function))
        elif said.module:
            start = (PYTHON, "-m", said.module)
        elif said.folder:
            start = (
                (PYTHON, PurePosixPath(self._what.path).relative_to(said.folder).as_posix())
                if (self._what.path.is_relative_to(said.folder))
                else base
            )
        else:
            start = base
        within = ("env", "-C", said.folder) if said.folder and start is not base and not said.function else ()
        return (*within, *start, *given)

    # --- guessed ---

    def _guessed(self, bare: Called) -> Iterator[Called]:
        """With what a usage line asks for, then with what the source says, then with what `--help` says."""
        yield from self._completed(bare)
        if not any(self._is_good(each) for each in self._made):
            for command in self._subcommands():
                called = self._try((*bare.argv, command), origin="its commands")
                yield called
                if _wants_arguments(called, self._what):
                    yield from self._completed(called)

    def _completed(self, bare: Called) -> Iterator[Called]:
        asked = from_usage(_said(bare), bare.argv)
        takes = self._what.takes
        forms: list[tuple[tuple[Parameter, ...], bool, bool]] = [(asked, False, False)]
        known = takes or self._ask_for_help(bare)
        forms += [(known, False, False), (known, True, False), (known, True, True)]
        seen = {each.argv for each in self._made}
        for found, spare, overriding in forms:
            argv = (*bare.argv, *words_for(found, self._values, spare=spare, overriding=overriding))
            if argv in seen:
                continue
            seen.add(argv)
            called = self._try(argv, origin="its usage line" if found is asked else "its parameters")
            if overriding:
                called = self._overriding(called, known)
            yield called
            if not _wants_arguments(called, self._what):
                return

    def _overriding(self, called: Called, takes: tuple[Parameter, ...]) -> Called:
        """The same, with what it overrides: by itself, the script reads other data than it was told to."""
        given = values_for(takes, self._values)
        other = {
            parameter.default: value
            for parameter, value in given.items()
            if parameter.default
            and PurePosixPath(parameter.default.strip("\"'")) != PurePosixPath(value)
            and self._is_there(value)
        }
        told = replace(called, overridden=other)
        self._made[self._made.index(called)] = told
        return told

    def _is_there(self, path: str) -> bool:
        files = self._cell.files
        return files.is_file(path) or files.is_folder(path)

    def _subcommands(self) -> list[str]:
        """Names of the program's commands, those that sound like its own name first."""
        file, submission = self._what.source, self._what.submission
        if file is None or submission is None or file.path.suffix != ".py":
            return []
        names = [each.name for module in modules(submission, file) for each in subcommands(module.tree)]
        own = set(re.split(r"[_\W]+", self._what.path.stem))
        return sorted(dict.fromkeys(names), key=lambda name: not own & set(re.split(r"[_\W]+", name)))[
            :MAX_COMMANDS
        ]

    def _ask_for_help(self, called: Called) -> tuple[Parameter, ...]:
        return from_help(_once(self._cell, self._what, (*called.argv, "--help"), self._limits).run.stdout)

    def _try(
        self, argv: tuple[str, ...], *, origin: str = "", env: Mapping[str, str] | None = None
    ) -> Called:
        what = replace(self._what, env={**(env or {}), **self._what.env}) if env else self._what
        called = replace(
            _once(self._cell, what, argv, self._limits),
            origin=origin,
            env=what.env,
            variables=(*what.variables, *(f"{name} ({origin})" for name in env or ())),
        )
        self._made.append(called)
        return called


_ENTRY = "import sys; from {module} import {function} as main; sys.exit(main())"


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
    if called.run.ended is not Ended.EXITED:
        return False
    if called.run.returncode == 0:
        return _shows_usage(called)
    if called.traceback is None or not called.traceback.last:
        return _shows_usage(called) or any(each.required for each in what.takes)
    return bool(what.takes) and called.traceback.exception in _WANTING


def _shows_usage(called: Called) -> bool:
    return any(
        _USAGE.search(text) or _SYNOPSIS.search(text) for text in (called.run.stderr, called.run.stdout)
    )


def _said(called: Called) -> str:
    return called.run.stderr if _USAGE.search(called.run.stderr) else called.run.stdout
