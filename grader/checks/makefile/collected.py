"""Whether a command that runs tests finds any: unittest passes over what is written for pytest.

What can be run decides: where reading leaves a doubt, the program itself is asked what it collects. Where it
does not come to say, the files decide.
"""

from __future__ import annotations

import ast
import posixpath
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.makefile.inputs import operands
from grader.readers.shell.parser import commands
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grader.context import Context
    from grader.documents import SourceFile
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_PYTEST_FILES = ("test_*.py", "*_test.py")
_UNITTEST_FILES = "test*.py"
_PACKAGE = "__init__.py"
_SELECTING = frozenset(
    [
        "-k",
        "-m",
        "-c",
        "-o",
        "--deselect",
        "--ignore",
        "--ignore-glob",
        "--pyargs",
        "--rootdir",
        "--last-failed",
    ]
)
"""Options of pytest that leave out tests, or say where they are."""
_VARIABLES = ("PYTHONPATH", "PYTEST_ADDOPTS")
_LIMITS = Limits(cpu_seconds=60, wall_seconds=120)
_NONE = 5
"""Exit status of pytest, and of the driver, where no test was collected."""
_DRIVER = """
import os, sys, unittest
program, folder, *words = sys.argv[1:]
os.chdir(folder or ".")
if program == "pytest":
    import pytest
    raise SystemExit(int(pytest.main([*words, "--collect-only", "-q"])))
class Count:
    def __init__(self, *_, **__): pass
    def run(self, suite):
        tests, found = [suite], []
        while tests:
            each = tests.pop()
            if isinstance(each, unittest.TestSuite):
                tests.extend(each)
            else:
                found.append(each)
        known = [each for each in found if type(each).__name__ != "_FailedTest"]
        raise SystemExit(0 if known else 3 if found else 5)
sys.argv = ["python -m unittest", *words]
unittest.main(module=None, testRunner=Count)
"""


class Collection:
    """What commands of a submission collect; each is asked once."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def finds_nothing(self, command: Command, folder: str) -> str:
        """Why a command collects no test although the submission has some, empty where it may collect one."""
        submission = self._context.submission
        if not any(_has_pytests(file) for file in submission.matching(*_PYTEST_FILES)):
            return ""  # what is not there is another task's loss
        if command.program == "coverage" and "-m" in command.arguments:
            inner = commands(shlex.join(command.arguments[command.arguments.index("-m") + 1 :]))
            environment = command.environment
            return next(
                (self.finds_nothing(replace(each, environment=environment), folder) for each in inner), ""
            )
        if command.program not in ("pytest", "unittest"):
            return ""
        read = _read(submission, command, folder)
        if not read and command.program == "pytest" and not _SELECTING.intersection(_options(command)):
            return ""
        words = [command.program, folder, *command.arguments]
        if any(sign in word for word in words for sign in "$`"):
            return read  # only a shell could tell
        key = ("collected", *words, command.environment.get("PYTHONPATH", ""))
        counted = self._context.memo.once(key, lambda: self._ask(words, command))
        if counted is None:
            return read
        return "" if counted else read or f"{command.program} finds no test"

    def _ask(self, words: Sequence[str], command: Command) -> bool | None:
        """Whether the program collects a test; None where it does not come to say."""
        told = {name: command.environment.get(name, "") for name in _VARIABLES}
        env = {name: value for name, value in told.items() if value and "$" not in value}
        with self._context.require_runtime().cell() as cell:
            run = cell.python("-c", _DRIVER, *words, env=env, limits=_LIMITS)
        if run.ended is not Ended.EXITED:
            return None
        return None if run.returncode not in (0, _NONE) else run.returncode == 0


def _options(command: Command) -> Iterator[str]:
    """The options of a command, short ones without a value that is glued to them."""
    for word in command.arguments:
        if word.startswith("--"):
            yield word.partition("=")[0]
        elif word.startswith("-"):
            yield word[:2]


def _read(submission: Submission, command: Command, folder: str) -> str:
    """Why a command collects no test, as far as the files tell."""
    if command.program == "unittest":
        if any(_has_cases(file) for file in _discovered(submission, command, folder)):
            return ""
        return "unittest finds no test: there is no class of tests where it looks"
    named = [posixpath.normpath(posixpath.join(folder, path)) for path in operands(command)]
    if named and all(_is_empty(submission, path) for path in named):
        return f"pytest finds no test in {', '.join(named)}"
    return ""


def _is_empty(submission: Submission, path: str) -> bool:
    """Whether pytest finds no test in a file or in a folder."""
    name, _, _ = path.partition("::")
    pure = PurePosixPath(name)
    if path.startswith((".", "/")) or any(sign in path for sign in "*?[$~"):
        return False
    if (file := submission.file(pure)) is not None:
        return not _has_pytests(file)
    inside = [file for file in submission.matching(*_PYTEST_FILES) if pure in file.path.parents]
    return not any(map(_has_pytests, inside))


def _discovered(submission: Submission, command: Command, folder: str) -> Iterator[SourceFile]:
    """The files in which unittest looks."""
    words = operands(command)
    if words and words[0] != "discover":
        for word in words:
            path = word if word.endswith(".py") else word.replace(".", "/")
            yield from _module(submission, posixpath.normpath(posixpath.join(folder, path)))
        return
    named = [*command.values("-s", "--start-directory"), *words[1:2], "."]
    pattern = command.option("-p", "--pattern") or next(iter(words[2:3]), _UNITTEST_FILES)
    start = PurePosixPath(posixpath.normpath(posixpath.join(folder, named[0])))
    for file in submission.matching("*.py"):
        if not fnmatch(file.path.name, pattern) or start not in (file.path, *file.path.parents):
            continue
        # It goes only into packages.
        between = file.path.relative_to(start).parents
        if all(submission.file(start / inner / _PACKAGE) for inner in between if inner != PurePosixPath()):
            yield file


def _module(submission: Submission, path: str) -> Iterable[SourceFile]:
    """The file of a module, or of the module in which a named class or test is."""
    parts = PurePosixPath(path.removesuffix(".py")).parts
    for count in range(len(parts), 0, -1):
        base = PurePosixPath(*parts[:count])
        for candidate in (base.with_name(f"{base.name}.py"), base / _PACKAGE):
            if (file := submission.file(candidate)) is not None:
                return [file]
    return []


def _has_cases(file: SourceFile) -> bool:
    """Whether it may have a test for unittest: a class that is made from another, or a loader of its own."""
    tree = file.python
    return isinstance(tree, ast.Module) and any(
        (isinstance(node, ast.ClassDef) and any("Test" in ast.unparse(base) for base in node.bases))
        or (isinstance(node, ast.FunctionDef) and node.name == "load_tests")
        for node in ast.walk(tree)
    )


def _has_pytests(file: SourceFile) -> bool:
    """Whether it may have a test for pytest; a file that cannot be read may."""
    tree = file.python
    return not isinstance(tree, ast.Module) or any(_is_test(node) for node in ast.walk(tree))


def _is_test(node: ast.AST) -> bool:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name.startswith("test")
        case ast.ImportFrom(names=names):
            return any(alias.name == "*" or alias.name.startswith(("test", "Test")) for alias in names)
        case ast.ClassDef(bases=bases):
            return bool(bases) and any("Test" in ast.unparse(base) for base in bases)
    return False
