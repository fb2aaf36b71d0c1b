"""What a service's source says: where it keeps its model, and how it declares its requests."""

from __future__ import annotations

import ast
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.readers.python.module import Module, modules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.documents import SourceFile
    from grader.submission.model import Submission

_LIBRARY = "pydantic"
_MAX_PATHS = 10
_MAX_LENGTH = 200


def model_paths(submission: Submission, start: SourceFile, endings: Sequence[str]) -> tuple[str, ...]:
    """Files below the root that the source names, by the endings of models."""
    sources = modules(submission, start)
    nodes = (node for module in sources for node in ast.walk(module.tree))
    found = (path for node in nodes for path in _paths(node) if path.endswith(tuple(endings)))
    paths = (PurePosixPath(path) for path in found if "\0" not in path and len(path) < _MAX_LENGTH)
    taken = {other for file in submission.files for other in file.parents}
    free = (
        str(path)
        for path in paths
        if not path.is_absolute() and ".." not in path.parts
        # What is there stays what it is: a file where a folder would have to be, or the other way round.
        if path not in taken and not any(parent in submission.files for parent in path.parents)
    )
    return tuple(dict.fromkeys(free))[:_MAX_PATHS]


def _paths(node: ast.AST) -> Iterator[str]:
    """`"a/b.pkl"`, `folder / "a" / "b.pkl"`, `Path("a", "b.pkl")`, `os.path.join(folder, "a", "b.pkl")`."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.BinOp(op=ast.Div()) | ast.Call():
            words: list[str] = []
            for part in reversed(_parts(node)):
                if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
                    break
                words.append(part.value)
            yield "/".join(reversed(words))


def _parts(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return [*_parts(left), right]
        case ast.Call(args=args):
            return args
    return [node]


def model_of(submission: Submission, start: SourceFile, field: str) -> str:
    """Where a Pydantic model with the field stands that a function takes as a parameter; empty if nowhere."""
    sources = modules(submission, start)
    taken = set(_annotations(sources))
    known: set[str] = set()
    found = [(module, node) for module in sources for node in ast.walk(module.tree)]
    classes = [(module, node) for module, node in found if isinstance(node, ast.ClassDef)]
    for _ in classes:  # a base may stand behind what is derived from it
        known |= {node.name for module, node in classes if _is_model(module, node, known)}
    return next(
        (
            module.where(node)
            for module, node in classes
            if node.name in known and node.name in taken and _declares(node, field)
        ),
        "",
    )


def _is_model(module: Module, node: ast.ClassDef, known: set[str]) -> bool:
    decorators = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    names = [module.name(each) for each in (*node.bases, *decorators)]
    return any(name.partition(".")[0] == _LIBRARY or name.rpartition(".")[2] in known for name in names)


def _declares(node: ast.ClassDef, field: str) -> bool:
    return any(
        isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id == field
        for line in node.body
    )


def _annotations(sources: Sequence[Module]) -> Iterator[str]:
    """The last names in annotations of parameters."""
    for module in sources:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.arg) and node.annotation is not None:
                for inner in ast.walk(node.annotation):
                    match inner:
                        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                            yield name
