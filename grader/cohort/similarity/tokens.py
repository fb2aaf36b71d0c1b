"""From a file to the tokens that are compared, each with its line.

In programs, names that the program gives, and literals, are folded into one: renaming changes nothing. Names
of others' functions are the libraries' and stay. In configuration and prose the words are the work: they
stay as they are.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader import notebooks
from grader.documents import NOTEBOOK, parse_json, parse_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pygments.lexer import Lexer

MAX_BYTES = 200_000
"""Of one file. A notebook may be ten times as large: most of it is pictures."""
MAX_LINE = 5_000
"""Characters of one line. Nobody writes longer ones by hand, and some lexers need their square."""
MAX_TOKENS = 50_000
NAME, TEXT, NUMBER = "\0name", "\0text", "\0number"


class Kind(Enum):
    """How the tokens of a file are read."""

    PROGRAM = "program"
    CONFIGURATION = "configuration"
    PROSE = "prose"


@dataclass(frozen=True, slots=True)
class Language:
    """A lexer's alias, and what its tokens are worth."""

    alias: str
    kind: Kind


_PROGRAMS = {
    ".py": "python",
    NOTEBOOK: "python",
    ".sh": "bash",
    ".bash": "bash",
    ".zsh": "bash",
    ".r": "splus",
    ".js": "javascript",
    ".ts": "typescript",
    ".go": "go",
    ".java": "java",
    ".scala": "scala",
    ".jl": "julia",
    ".sql": "sql",
    ".ps1": "powershell",
    ".bat": "batch",
    ".groovy": "groovy",
}
_CONFIGURATION = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".conf": "ini",
    ".json": "json",
    ".mk": "make",
    ".tf": "terraform",
    ".tpl": "yaml",
    ".dockerfile": "docker",
}
_PROSE = frozenset({".md", ".rst", ".txt", ".adoc"})
_NAMES = re.compile(r"(?P<docker>(?:dockerfile|containerfile).*)|(?P<make>(?:gnu)?makefile|justfile)")
_GENERATED = re.compile(
    r".*\.lock|.*[-_.]lock\.\w+|.*\brequirements.*\.txt|.*\block(?:file)?\.txt|.*\.min\.js"
)
_WORD = re.compile(r"[^\W_]+")


def language_of(path: str) -> Language | None:
    """How a file is compared; None for one that is not: data, pictures, what programs have written."""
    name = PurePosixPath(path).name.lower()
    if is_generated(path):
        return None
    if match := _NAMES.fullmatch(name):
        return Language(str(match.lastgroup), Kind.CONFIGURATION)
    suffix = PurePosixPath(name).suffix
    if suffix in _PROGRAMS:
        return Language(_PROGRAMS[suffix], Kind.PROGRAM)
    if suffix in _CONFIGURATION:
        return Language(_CONFIGURATION[suffix], Kind.CONFIGURATION)
    return Language("prose", Kind.PROSE) if suffix in _PROSE else None


def is_generated(path: str) -> bool:
    """Whether a program has written it, the same for all who asked for the same."""
    return _GENERATED.fullmatch(PurePosixPath(path).name.lower()) is not None


def max_bytes(path: str) -> int:
    """How large a file may be to be compared."""
    return MAX_BYTES * 10 if path.lower().endswith(NOTEBOOK) else MAX_BYTES


def text_of(path: str, content: bytes) -> str:
    """The text that is compared: a notebook's is its code cells.

    Raises:
        ValueError: there is none, with why.
    """
    text = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if path.lower().endswith(NOTEBOOK):
        text = "\n".join(_code_cells(text))
    if "\0" in text:
        raise ValueError("it is not text")
    if len(text) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} characters")
    if any(len(line) > MAX_LINE for line in text.split("\n")):
        raise ValueError(f"a line has more than {MAX_LINE:,} characters")
    return text


def _code_cells(text: str) -> Iterator[str]:
    try:
        document = parse_json(text)
    except ValueError:
        raise ValueError("it is not a notebook") from None
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise ValueError("it is not a notebook")
    for cell in cells[: notebooks.MAX_CELLS]:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source")
            lines = source if isinstance(source, list) else [source]
            yield "".join(each for each in lines if isinstance(each, str))


def tokens(text: str, language: Language) -> list[tuple[str, int]]:
    """Tokens and the lines on which they begin.

    Raises:
        ValueError: there are too many.
    """
    match language.kind:
        case Kind.PROSE:
            found = _words(text)
        case Kind.CONFIGURATION:
            found = _values(text, language.alias)
        case Kind.PROGRAM:
            found = _folded(text, language.alias)
    return found


def _words(text: str) -> list[tuple[str, int]]:
    found = [
        (word.lower(), number)
        for number, line in enumerate(text.split("\n"), 1)
        for word in _WORD.findall(line)
    ]
    return _bounded(found)


def _bounded(found: list[tuple[str, int]]) -> list[tuple[str, int]]:
    if len(found) > MAX_TOKENS:
        raise ValueError(f"it has more than {MAX_TOKENS:,} tokens")
    return found


@cache
def _lexer(alias: str) -> Lexer:
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(alias)


class _Role(Enum):
    """What a token of Pygments is to us."""

    NOTHING = "nothing"
    DOCUMENTATION = "documentation"
    STRING = "string"
    NUMBER = "number"
    DEFINITION = "definition"
    NAME = "name"
    PUNCTUATION = "punctuation"
    OTHER = "other"


@cache
def _role(kind: Any) -> _Role:
    """Looked up once for each type of token: asking a type of what it is part takes longer than lexing."""
    from pygments.token import Comment, Error, Name, Number, Punctuation, String

    roles: tuple[tuple[Any, _Role], ...] = (
        (Comment, _Role.NOTHING),
        (Error, _Role.NOTHING),
        (String.Doc, _Role.DOCUMENTATION),
        (String, _Role.STRING),
        (Number, _Role.NUMBER),
        (Name.Function, _Role.DEFINITION),
        (Name.Class, _Role.DEFINITION),
        (Name, _Role.NAME),
        (Punctuation, _Role.PUNCTUATION),
    )
    return next((role for each, role in roles if kind in each), _Role.OTHER)


def _lexed(text: str, alias: str) -> Iterator[tuple[_Role, str, int]]:
    """Role, text and line of each token; spaces and comments left out."""
    line, place = 1, 0
    for number, (start, kind, value) in enumerate(_lexer(alias).get_tokens_unprocessed(text)):
        if number > 4 * MAX_TOKENS:
            raise ValueError(f"it has more than {MAX_TOKENS:,} tokens")
        word = value.strip()
        if word and (role := _role(kind)) is not _Role.NOTHING:
            line += text.count("\n", place, start)
            place = start
            yield role, word, line


def _values(text: str, alias: str) -> list[tuple[str, int]]:
    """Words and signs as they are, without quotes, case and what only a format demands."""
    found = [
        (word.lower(), line)
        for _, value, line in _lexed(text, alias)
        for word in re.findall(r"[\w.\-/]+|[^\w\s\"',:;.\-/\[\]{}()]+", value)
    ]
    return _bounded(found)


_CLOSING = frozenset(",;:)]} \t\n")
# Where a program cannot be parsed, or is of another language, these tell that a name is its own.
_BINDERS = frozenset({"def", "class", "as", "for", "function", "let", "const", "var", "lambda", "global"})


def _bound(tree: ast.Module) -> set[str]:
    """The names that a program gives: to variables, parameters, functions, classes, attributes, imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.ExceptHandler(name=str(name)):
                found.add(name)
    return found


def _follows_binder(found: Sequence[tuple[str, int]]) -> bool:
    return bool(found) and found[-1][0] in _BINDERS


def _folded(text: str, alias: str) -> list[tuple[str, int]]:
    """What a program does, whatever it calls things, quotes, wraps and ends with a comma."""
    found: list[tuple[str, int]] = []
    named: list[tuple[int, str]] = []
    tree = parse_python(text, "") if alias == "python" else None
    is_parsed = isinstance(tree, ast.Module)
    bound = _bound(tree) if isinstance(tree, ast.Module) else set()
    for role, word, line in _lexed(text, alias):
        if role is _Role.STRING:
            if not found or found[-1][0] != TEXT:
                found.append((TEXT, line))
        elif role is _Role.NUMBER:
            found.append((NUMBER, line))
        elif role in (_Role.NAME, _Role.DEFINITION):
            if not is_parsed and (role is _Role.DEFINITION or _follows_binder(found)):
                bound.add(word)
            named.append((len(found), word))
            found.append((word, line))
        elif role is _Role.PUNCTUATION:
            found += [(each, line) for each in word if each not in _CLOSING]
        elif role is _Role.OTHER:
            if word == "=" and not is_parsed and named and named[-1][0] == len(found) - 1:
                bound.add(named[-1][1])
            found.append((word, line))
    for place, word in named:
        if word in bound:
            found[place] = (NAME, found[place][1])
    return _bounded(found)
