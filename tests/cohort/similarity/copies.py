"""Copies of a submission as people disguise them."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from grader.cohort.similarity.tokens import language_of

Files = dict[str, str]
REPOSITORY = Path(__file__).parents[3]
FIXTURES = REPOSITORY / "fixtures"
GIVEN = (
    REPOSITORY / "reference_solution",
    FIXTURES / "data",
    REPOSITORY / "rubrics" / "exam.md",
)


def whole_submissions() -> dict[str, Path]:
    """Independent solutions of one exam."""
    found = {path.parent.name: path for path in FIXTURES.glob("people/*/submission")}
    found |= {path.name: path for path in FIXTURES.glob("submissions/*") if path.is_dir()}
    return dict(sorted(found.items()))


def files_of(folder: Path) -> Files:
    """The texts that are compared."""
    found = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return {name: path.read_text("utf-8") for name, path in found.items() if language_of(name) is not None}


def write_files(files: Mapping[str, str], folder: Path) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def rename(files: Files) -> Files:
    """Other names for what a program names itself, other words in its texts, other names for its files."""
    return {f"work/{name}": _python(name, text, _Renamer) for name, text in files.items() if _is_code(name)}


def reorder(files: Files) -> Files:
    """Functions and classes backwards, keys of YAML in order of the alphabet."""
    return {
        name: _python(name, text, _Reorderer) if name.endswith(".py") else _yaml(name, text, sort=True)
        for name, text in files.items()
        if _is_code(name)
    }


def reformat(files: Files) -> Files:
    """Other lines, quotes, indents and blanks, and no comments."""
    found = {}
    for name, text in files.items():
        if name.endswith(".py"):
            found[name] = ast.unparse(ast.parse(text))
        elif name.endswith((".yml", ".yaml")):
            found[name] = _yaml(name, text, sort=False)
        else:
            found[name] = re.sub(r"(?m)^\s*#.*\n|[ \t]+$", "", text).replace("\n\n", "\n")
    return found


def disguise(files: Files) -> Files:
    """All of these, one after another."""
    return reformat(reorder(rename(files)))


def largest(files: Files) -> str:
    """The longest program."""
    return max((name for name in files if name.endswith(".py")), key=lambda name: len(files[name]))


def partly(files: Files, own: Files) -> Files:
    """Somebody's own work but for the longest program, which is taken and renamed."""
    name = largest(files)
    mine = {each: text for each, text in own.items() if each != largest(own)}
    return mine | {f"copied/{name}": _python(name, files[name], _Renamer)}


KINDS: Mapping[str, Callable[[Files], Files]] = {
    "rename": rename,
    "reorder": reorder,
    "reformat": reformat,
    "disguise": disguise,
}


def _is_code(name: str) -> bool:
    return not name.endswith((".md", ".txt", ".ipynb"))


def _python(name: str, text: str, transformer: type[ast.NodeTransformer]) -> str:
    if not name.endswith(".py"):
        return text
    return ast.unparse(transformer().visit(ast.parse(text)))


def _yaml(name: str, text: str, *, sort: bool) -> str:
    if not name.endswith((".yml", ".yaml")):
        return text
    try:
        documents = list(yaml.safe_load_all(text))
        return yaml.safe_dump_all(documents, sort_keys=sort, indent=4, width=60)
    except yaml.YAMLError:  # a template
        return text


class _Renamer(ast.NodeTransformer):
    """Names that the module binds, and what it says."""

    def __init__(self) -> None:
        self.bound: set[str] = set()

    def visit_Module(self, node: ast.Module) -> ast.AST:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                self.bound.add(each.id)
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.bound.add(each.name)
            elif isinstance(each, ast.arg):
                self.bound.add(each.arg)
        self.bound -= set(dir(builtins))
        return self.generic_visit(node)

    def _other(self, name: str) -> str:
        return f"my_{name[::-1]}_x" if name in self.bound and not name.startswith("_") else name

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._other(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._other(node.arg)
        return self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        node.arg = self._other(node.arg) if node.arg else None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._other(node.name)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._other(node.name)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and " " in node.value:
            node.value = f"so, {node.value}"
        return node


class _Reorderer(ast.NodeTransformer):
    """Definitions the other way round; what runs stays where it is."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        definitions = [each for each in node.body if isinstance(each, kinds)]
        node.body = [definitions.pop() if isinstance(each, kinds) else each for each in node.body]
        return node
