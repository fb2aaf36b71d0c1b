"""Which names a script uses of a library, imports of its own neighbours followed."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.documents import Problem, SourceFile
from grader.readers.python.search_path import configured_folders, search_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.submission.model import Submission

_IMPORTERS = frozenset({"import_module", "__import__", "run_module"})
MAX_ROUNDS = 10
"""How often the search path grows by what was found on it."""


def reachable(submission: Submission, start: SourceFile) -> tuple[SourceFile, ...]:
    """The script and every file of the submission that it imports, directly or through others.

    Imports are looked for from the root, beside the file, and in the folders that the script, what it imports
    or who starts it puts on the search path.
    """
    folders: tuple[str, ...] = ()
    for _ in range(MAX_ROUNDS):
        found = _reachable(submission, start, folders)
        # What a file puts on the search path is there for all of them, whoever was read first.
        added = dict.fromkeys(
            folder for file in found for folder in search_folders(submission, file) if folder not in folders
        )
        if not added:
            return found
        folders = (*folders, *added)
    return found


def _reachable(submission: Submission, start: SourceFile, folders: Sequence[str]) -> tuple[SourceFile, ...]:
    found: dict[PurePosixPath, SourceFile] = {}
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file.path in found:
            continue
        found[file.path] = file
        tree = file.python
        if isinstance(tree, Problem):
            continue
        for module in _imported(tree, file.path):
            waiting += _files(submission, module, file.path.parent, folders)
    return tuple(found.values())


def imports(submission: Submission, start: SourceFile, library: str) -> bool:
    """Whether the script, or a neighbour that it imports, imports a library."""
    trees = ((file.python, file.path) for file in reachable(submission, start))
    return any(
        module.partition(".")[0] == library
        for tree, path in trees
        if not isinstance(tree, Problem)
        for module in _imported(tree, path)
    )


def uses(file: SourceFile, library: str, name: str) -> int | None:
    """The line where a file uses a name that it imports from a library; None if it does not."""
    tree = file.python
    if isinstance(tree, Problem):
        return None
    local = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == library
        for alias in node.names
        if alias.name == name
    }
    library_imported = any(module.partition(".")[0] == library for module in _imported(tree, file.path))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=used, ctx=ast.Load()) if used in local:
                return node.lineno
            case ast.Attribute(attr=used) if used == name and library_imported:
                return node.lineno
    return None


def origins(file: SourceFile, library: str, name: str) -> tuple[str, ...]:
    """The modules of a library that a file imports a name from: `evidently.presets`."""
    tree = file.python
    nodes = () if isinstance(tree, Problem) else ast.walk(tree)
    found = (
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        and node.module
        and not node.level
        and node.module.partition(".")[0] == library
        and any(alias.name == name for alias in node.names)
    )
    return tuple(dict.fromkeys(found))


def _imported(tree: ast.Module, path: PurePosixPath) -> Iterator[str]:
    """Dotted names of imported modules; of `from a import b`, `a` and `a.b`, since b may be a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                parents = path.parts[: len(path.parts) - level] if level else ()
                base = ".".join(filter(None, (*parents, module)))
                yield base
                yield from (f"{base}.{alias.name}" for alias in aliases if base)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
                if (func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")) in _IMPORTERS:
                    yield name


def _files(
    submission: Submission, module: str, beside: PurePosixPath, folders: Sequence[str]
) -> tuple[SourceFile, ...]:
    """The files that a module's name may mean: in the first folder of the search path that has it."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return ()
    near = dict.fromkeys((PurePosixPath(), beside))
    own = [PurePosixPath(folder) for folder in folders]
    for tops in (
        *([top] for top in own),
        near,
        *([PurePosixPath(top)] for top in configured_folders(submission)),
    ):
        places = [top.joinpath(*parts) for top in tops]
        paths = (path for place in places for path in (place.with_suffix(".py"), place / "__init__.py"))
        found = tuple(file for file in map(submission.file, paths) if file is not None)
        if found:
            return found
    return ()
