"""Whether a command that runs tests finds any: unittest passes over what is written for pytest."""

from __future__ import annotations

import ast
import posixpath
import shlex
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.checks.makefile.inputs import operands
from grader.readers.shell.parser import commands

if TYPE_CHECKING:
    from grader.documents import SourceFile
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_PYTEST_FILES = ("test_*.py", "*_test.py")
_UNITTEST_FILES = "test*.py"
_PACKAGE = "__init__.py"


def finds_nothing(submission: Submission, command: Command, folder: str) -> str:
    """Why a command collects no test although the submission has some, empty where it may collect one."""
    if not any(_has_pytests(file) for file in submission.matching(*_PYTEST_FILES)):
        return ""  # what is not there is another task's loss
    if command.program == "coverage" and "-m" in command.arguments:
        inner = command.arguments[command.arguments.index("-m") + 1 :]
        return next((finds_nothing(submission, each, folder) for each in commands(shlex.join(inner))), "")
    if command.program == "unittest":
        if any(_has_cases(file) for file in _discovered(submission, command, folder)):
            return ""
        return "unittest finds no test: there is no class of tests where it looks"
    if command.program == "pytest":
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
