"""Where a script's imports are looked for: the folders that it, or who starts it, puts on the search path.

An evaluator of paths, not an interpreter: `__file__`, `os.path`, `pathlib`, and names with one value.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
from typing import TYPE_CHECKING

from grader.documents import Problem, SourceFile
from grader.readers.python.nodes import assignments
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import PurePosixPath

    from grader.submission.model import Submission

MAX_DEPTH = 25
"""How many names and calls are followed to a path."""
MAX_STEPS = 20_000
"""Expressions of one file that are read; a name may stand in its own value many times over."""
MAX_FILES = 400
"""Files in which `PYTHONPATH` is looked for, the likeliest first."""
MAX_FOLDERS = 50
MAX_CHARACTERS = 1_000
"""Of one path."""
_ROOT = "/"
"""The submission's root, which is also the folder that scripts run in."""

_METHODS = frozenset({"resolve", "absolute", "as_posix", "joinpath", "expanduser"})
"""Of a path, that make no other one of it or join it with others."""
_FUNCTIONS = frozenset(
    [
        *("abspath", "realpath", "normpath", "normcase", "fspath", "expanduser", "join", "str"),
        *("Path", "PurePath", "PosixPath", "PurePosixPath"),
    ]
)
_SYSTEM = frozenset({"sys", "_sys", "system"})
_MODULES = frozenset({"os", "path", "pathlib", "op", "osp"})
_SETTING = re.compile(
    r"python_?path[\"']?(?:\s*[:=]{1,2}\s*|[ \t]+)"
    r"(\[[^\]]{0,500}\]|(?:\$\{\{[^{}\n]{0,100}\}\}|[^\s#&|]){1,500})",
    re.IGNORECASE,
)
_CHANGES = re.compile(r"\bpath\b|addsitedir")


def search_folders(submission: Submission, file: SourceFile) -> tuple[str, ...]:
    """Folders, seen from the submission's root, that a file puts on `sys.path`.

    Where it does not tell which folder it is, any with Python files may be it, after those that are told.
    """
    tree = file.python
    if isinstance(tree, Problem) or not _CHANGES.search(_text(file)):
        return ()
    reader = _Paths(tree, file.path)
    added = [path for node in ast.walk(tree) for path in itertools.islice(reader.added(node), MAX_FOLDERS)]
    told = dict.fromkeys(path.strip("/") for path in added if path is not None)
    others = submission.derived(_python_folders) if None in added else ()
    return tuple(itertools.islice(dict.fromkeys((*told, *others)), MAX_FOLDERS))


def configured_folders(submission: Submission) -> tuple[str, ...]:
    """Folders that recipes, images, workflows and settings put on `PYTHONPATH`."""
    return submission.derived(_configured)


def _python_folders(submission: Submission) -> tuple[str, ...]:
    """Every folder above a Python file, those near the root first."""
    folders = {parent for path in submission.files if path.suffix == ".py" for parent in path.parents}
    return tuple(
        str(folder)
        for folder in sorted(folders, key=lambda folder: (len(folder.parts), folder))
        if folder.parts
    )


def _configured(submission: Submission) -> tuple[str, ...]:
    folders = {str(parent) for path in submission.files for parent in path.parents} - {"."}
    found: dict[str, None] = {}
    for file in by_likelihood(submission.matching("*"))[:MAX_FILES]:
        text = _text(file) if file.path.suffix != ".py" else ""
        for setting in itertools.islice(_SETTING.finditer(text), MAX_FOLDERS):
            value = re.sub(r"\$\{\{[^{}]*\}\}", ".", setting[1][:MAX_CHARACTERS])
            for each in re.split(r"[\s:;,\[\]\"']+", value):
                # What stands in front may be a variable, or the folder of an image.
                parts = posixpath.normpath(each).split("/")
                ends = ("/".join(parts[first:]) for first in range(len(parts)))
                if folder := next((end for end in ends if end in folders), ""):
                    found[folder] = None
    return tuple(found)


def _text(file: SourceFile) -> str:
    return file.text if isinstance(file.text, str) else ""


class _Paths:
    """The paths that expressions of one file stand for; texts that are relative stay so."""

    def __init__(self, tree: ast.Module, path: PurePosixPath) -> None:
        self._file = posixpath.join(_ROOT, str(path))
        self._left = MAX_STEPS
        self._values: dict[str, list[ast.expr | None]] = {}
        self._loops: dict[str, list[ast.expr]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
                self._loops.setdefault(node.target.id, []).append(node.iter)
                continue
            for name, value in assignments(node):
                self._values.setdefault(name, []).append(value)

    def added(self, node: ast.AST) -> Iterator[str | None]:
        """The folders that a statement or call puts on the search path."""
        match node:
            case ast.Call(func=ast.Attribute(attr="insert", value=owner), args=[_, item]) if _is_path(owner):
                yield from self._each(item)
            case ast.Call(func=ast.Attribute(attr="append", value=owner), args=[item]) if _is_path(owner):
                yield from self._each(item)
            case ast.Call(func=ast.Attribute(attr="extend", value=owner), args=[items]) if _is_path(owner):
                yield from self._all(items)
            case ast.Call(func=ast.Attribute(attr="addsitedir"), args=[item, *_]):
                yield from self._each(item)
            case ast.AugAssign(target=target, value=items) if _is_path(target):
                yield from self._all(items)
            case ast.Assign(targets=[target], value=items) if _is_path(target):
                yield from self._all(items)

    def _each(self, node: ast.expr) -> Iterator[str | None]:
        """The paths that an expression stands for: one, or one for each turn of the loop around it."""
        names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and each.id in self._loops]
        if not names:
            yield self._whole(node, {})
            return
        for values in self._loops[names[0]]:
            for value in values.elts if isinstance(values, ast.List | ast.Tuple | ast.Set) else ():
                yield self._whole(node, {names[0]: value})

    def _all(self, node: ast.expr) -> Iterator[str | None]:
        match node:
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                for element in elements:
                    if not isinstance(element, ast.Starred):
                        yield from self._each(element)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from self._all(left)
                yield from self._all(right)
            case ast.ListComp(
                elt=element, generators=[ast.comprehension(target=ast.Name(id=name), iter=items)]
            ):
                for value in items.elts if isinstance(items, ast.List | ast.Tuple) else ():
                    yield self._whole(element, {name: value})

    def _whole(self, node: ast.expr, given: dict[str, ast.expr]) -> str | None:
        """The path from the root."""
        path = self._path(node, given, MAX_DEPTH)
        return None if path is None else posixpath.normpath(posixpath.join(_ROOT, path))[:MAX_CHARACTERS]

    def _path(self, node: ast.expr, given: dict[str, ast.expr], depth: int) -> str | None:  # noqa: PLR0912 - a ladder of cases
        self._left -= 1
        if depth <= 0 or self._left <= 0:
            return None

        def read(inner: ast.expr) -> str | None:
            return self._path(inner, given, depth - 1)

        match node:
            case ast.Constant(value=str(text)):
                return text[:MAX_CHARACTERS]
            case ast.Name(id="__file__"):
                return self._file
            case ast.Name(id=name):
                if name in given:
                    return self._path(given[name], {}, depth - 1)
                values = self._values.get(name, ())
                return read(values[0]) if len(values) == 1 and values[0] is not None else None
            case ast.Attribute(attr="pardir"):
                return ".."
            case ast.Attribute(attr="curdir"):
                return "."
            case ast.Attribute(attr="sep"):
                return "/"
            case ast.Attribute(attr="parent", value=value):
                return _above(read(value), 1)
            case ast.Subscript(
                value=ast.Attribute(attr="parents", value=value), slice=ast.Constant(value=int(n))
            ):
                return _above(read(value), n + 1)
            case ast.Subscript(value=ast.Attribute(attr="path"), slice=ast.Constant(value=0)):
                return posixpath.dirname(self._file)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _join([read(left), read(right)])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                first, last = read(left), read(right)
                return None if first is None or last is None else (first + last)[:MAX_CHARACTERS]
            case ast.JoinedStr(values=values):
                parts = [
                    read(each.value if isinstance(each, ast.FormattedValue) else each) for each in values
                ]
                return "".join(part for part in parts if part is not None) if None not in parts else None
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return read(first)
            case ast.Call(func=func, args=arguments):
                return self._called(func, [read(each) for each in arguments], read)
        return None

    def _called(
        self, func: ast.expr, given: list[str | None], read: Callable[[ast.expr], str | None]
    ) -> str | None:
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name in ("getcwd", "cwd"):
            return _ROOT
        if name == "dirname":
            return posixpath.dirname(given[0]) if given and given[0] is not None else None
        method = name in _METHODS and isinstance(func, ast.Attribute) and not _is_module(func.value)
        if method and isinstance(func, ast.Attribute):
            own = read(func.value)
            return _join([own, *given]) if name == "joinpath" else own
        return _join(given) if name in _FUNCTIONS else None


def _is_path(node: ast.expr) -> bool:
    """Whether it is `sys.path`, or a slice of it."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return (
        isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") in _SYSTEM
    )


def _is_module(node: ast.expr) -> bool:
    """Whether it is `os.path` or the like."""
    return getattr(node, "attr", getattr(node, "id", "")) in _MODULES


def _above(path: str | None, levels: int) -> str | None:
    """A path that many folders up, `..` in it counted as such."""
    if path is None or levels > MAX_FOLDERS:
        return None
    whole = posixpath.normpath(posixpath.join(_ROOT, path))
    return posixpath.normpath(posixpath.join(whole, *[".."] * levels))


def _join(parts: list[str | None]) -> str | None:
    known = [part for part in parts if part is not None]
    return posixpath.join(*known)[:MAX_CHARACTERS] if known and len(known) == len(parts) else None
