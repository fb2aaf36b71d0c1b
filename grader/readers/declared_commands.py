"""Commands that a submission declares: tasks of task runners, steps of workflows, images, containers.

Where somebody looks for what was run, not for what runs: every task counts, whether or not anything calls it.
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Any

from grader.documents import Problem, SourceFile, parse_ini, parse_json
from grader.readers.invocations import instructions
from grader.readers.python.module import Module
from grader.readers.tasks import justfile_lines, taskfile_lines
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.submission.model import Submission

MAX_FILES = 1_000
"""Files that may declare commands and are read, the likeliest first."""
MAX_TEXTS = 5_000
"""Of one file."""
MAX_CHARACTERS = 10_000
"""Of one command."""
MAX_NESTING = 30

_TABLES = ("*.toml", "*.yml", "*.yaml", "*.json", "*.jsonc", "Pipfile")
_SETTINGS = ("tox.ini", "setup.cfg")
_JUSTFILES = ("justfile", "Justfile", "JUSTFILE", ".justfile", "*.just")
_TASKFILES = ("Taskfile*.yml", "Taskfile*.yaml", "taskfile*.yml", "taskfile*.yaml")
_IMAGES = ("*ockerfile*", "*ontainerfile*")
_KEY = re.compile(
    r"tasks|targets|(?:extra[-_])?scripts?|(?:before_|after_)?script|cmds?|commands?(?:_pre|_post)?|shell"
    r"|run|bash|powershell|pwsh|sequence|composite|chain|parallel|actions|entry|entrypoint|\w+Command",
)
"""Of a mapping whose values are commands, at any depth below it."""
_SAYS = re.compile(
    r"help|doc|docs|desc|description|summary|title|name|label|detail|comment|usage|example|env|environment"
    r"|cwd|dir|working[-_]dir\w*|folder|if|when|inputs?|outputs?|sources|generates|needs|depends\w*|deps|vars",
    re.IGNORECASE,
)
"""Of a value beside them that is no command."""
_COMMENT = re.compile(r"^\s*//.*$", re.MULTILINE)
_FILLED = re.compile(r"%\((\w+)\)s")
"""In the actions of doit."""
_FOLDER_CALLS = frozenset({"cd", "chdir", "lcd"})
_RUN_CALLS = frozenset({"run", "run_always", "run_install", "sudo", "local", "execute", "cmd"})
_UNTOLD = "$_"


def in_files(submission: Submission, mentioned: str) -> Iterator[tuple[SourceFile, str]]:
    """Shell text of every task, step or image, in the files that mention a word."""
    for file in candidates(submission)[:MAX_FILES]:
        if isinstance(file.text, str) and mentioned in file.text:
            for number, text in enumerate(_of(submission, file)):
                if number >= MAX_TEXTS:
                    break
                yield file, text[:MAX_CHARACTERS]


def candidates(submission: Submission) -> list[SourceFile]:
    """The files that may declare commands, the likeliest first."""
    patterns = (*_TABLES, *_SETTINGS, *_JUSTFILES, *_IMAGES, "*.py")
    return by_likelihood(file for file in submission.matching(*patterns) if ".git" not in file.path.parts)


def _of(submission: Submission, file: SourceFile) -> Iterator[str]:
    path = file.path
    if any(path.match(pattern) for pattern in _JUSTFILES):
        yield from justfile_lines(
            _text(file), lambda name: submission.file(path.parent / name) if ".." not in name else None
        )
    elif path.suffix == ".py":
        yield from _python(file)
    elif path.name in _SETTINGS:
        yield from _settings(file)
    elif any(path.match(pattern) for pattern in _IMAGES):
        for _, name, rest in instructions(_text(file)):
            if name in ("RUN", "CMD", "ENTRYPOINT"):
                yield rest
    else:
        if any(path.match(pattern) for pattern in _TASKFILES):
            yield from taskfile_lines(file)
        for data in _tables(file):
            yield from _leaves(data, told=False, depth=0)


def _text(file: SourceFile) -> str:
    return file.text if isinstance(file.text, str) else ""


def _tables(file: SourceFile) -> Iterator[Any]:
    """The plain data of a file."""
    suffix = file.path.suffix
    if suffix in (".json", ".jsonc"):
        try:
            yield parse_json(_COMMENT.sub("", _text(file)))
        except ValueError:
            return
    elif suffix in (".yml", ".yaml"):
        documents = file.yaml
        yield from () if isinstance(documents, Problem) else (document.data for document in documents)
    elif not isinstance(file.toml, Problem):
        yield file.toml


def _leaves(data: Any, *, told: bool, depth: int) -> Iterator[str]:
    """The texts below keys that hold commands; lists also as the words of one command."""
    if depth > MAX_NESTING:
        return
    match data:
        case dict():
            words = [data.get("command"), *_list(data.get("args"))]
            if told and len(words) > 1 and all(isinstance(word, str) for word in words):
                yield shlex.join(words)
            for key, value in data.items():
                # A task may have any name, also `docs`: what is no command is a text, below another key.
                if not (isinstance(value, str) and _SAYS.fullmatch(str(key)) and told):
                    inner = told or _KEY.fullmatch(str(key)) is not None
                    yield from _leaves(value, told=inner, depth=depth + 1)
        case list():
            if told and data and all(isinstance(word, str) for word in data):
                yield shlex.join(data)
            for value in data:
                yield from _leaves(value, told=told, depth=depth + 1)
        case str() if told:
            yield data


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _settings(file: SourceFile) -> Iterator[str]:
    parser = parse_ini(_text(file), file.name)
    if isinstance(parser, Problem):
        return
    for section in parser.sections():
        for key in ("commands_pre", "commands", "commands_post"):
            text = parser.get(section, key, fallback="")
            yield "\n".join(line.strip().lstrip("-! ") for line in text.replace("\\\n", " ").splitlines())


def _python(file: SourceFile) -> Iterator[str]:
    """Tasks of invoke, nox, fabric and doit; what a script hands to subprocess is read with other scripts."""
    if not isinstance(file.python, ast.Module):
        return
    module = Module(file)
    folders = _folders(module)
    for node in ast.walk(file.python):
        match node:
            case ast.Call(func=ast.Attribute(attr=name), args=[_, *_]) if name in _RUN_CALLS:
                words = list(_words(module, node))
                text = words[0] if len(words) == 1 else shlex.join(words)
                yield f"cd {shlex.quote(folders[node])}\n{text}" if node in folders else text
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "actions":
                        actions = _leaves(module.constant(value), told=True, depth=0)
                        yield from (_FILLED.sub(r"$\1", action) for action in actions)


def _words(module: Module, call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        values = module.constant(argument.value if isinstance(argument, ast.Starred) else argument)
        for value in values if isinstance(values, list | tuple) else [values]:
            yield value if isinstance(value, str) else _template(module, argument)


def _template(module: Module, node: ast.expr) -> str:
    """The text of an f-string of which a part is not known."""
    if not isinstance(node, ast.JoinedStr):
        return _UNTOLD
    parts = (
        module.constant(each.value if isinstance(each, ast.FormattedValue) else each) for each in node.values
    )
    return "".join(part if isinstance(part, str) else _UNTOLD for part in parts)


def _folders(module: Module) -> Mapping[ast.AST, str]:
    """Calls -> the folder that a `with c.cd("data"):` around them names."""
    found: dict[ast.AST, str] = {}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.With | ast.AsyncWith):
            continue
        for item in node.items:
            match item.context_expr:
                case ast.Call(func=ast.Attribute(attr=name), args=[first, *_]) if name in _FOLDER_CALLS:
                    folder = module.constant(first)
                    inner = (each for part in node.body for each in ast.walk(part))
                    if isinstance(folder, str):
                        found |= {each: folder for each in inner if isinstance(each, ast.Call)}
    return found
