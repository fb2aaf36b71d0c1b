"""How a submission says that its own programs are called: commands that start them, and variables for them.

Everywhere that commands stand: pipelines, recipes, workflows, images, compose files, manifests, scripts,
notes. What a reader has to fill in (`<input.csv>`, `$1`, `path/to/file`) is marked, since only the caller
knows what to put there.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from grader.documents import Problem, SourceFile
from grader.readers.lines import joined_lines
from grader.readers.project_scripts import ProjectScript, project_scripts
from grader.readers.shell.follow import Into, SubmissionFiles, executable, follow
from grader.readers.shell.parser import Command, commands
from grader.readers.shell.sources import notes, of
from grader.submission.likelihood import by_likelihood

if TYPE_CHECKING:
    from grader.documents import YamlDocument
    from grader.submission.model import Submission

MAX_FILES = 2_000
"""Files in which commands and variables are looked for, the likeliest first."""
MAX_TEXTS = 20_000
"""Lines and scripts that may start a program of the submission."""
MAX_CHARACTERS = 20_000
"""Of one text with commands."""
MAX_COPIED = 50
"""Sources of one `COPY`."""
BLANK = "\ue000"
"""Begins a word that the reader of a command is to fill in; the rest is its name."""
_ANGLES = re.compile(r"<([A-Za-z][\w ./-]{0,60})>")
_BRACES = re.compile(r"\{\{\s*([\w.]{1,60})\s*\}\}")
_BRACKETS = re.compile(r"\[-[^\[\]\n]*\]|\[[A-Z_]{2,}\]|\[options\]|\[OPTIONS\]")
_WINDOWS = re.compile(r"(?<=\w)\\(?=[\w.]+\b)")
"""Between the parts of a path on Windows."""
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_EXAMPLES = re.compile(r"(?:^|/)path(?:/|$)|\byour[-_/]|^\.\.\.$|^…$", re.IGNORECASE)
_SETTING = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)$")
_INSTRUCTION = re.compile(r"^\s*(CMD|ENTRYPOINT|ENV|WORKDIR|RUN|COPY|ADD)\s+(.*)$", re.IGNORECASE)
_TEMPLATE = re.compile(r"\$\{([\w.\[\]-]{1,100})\}")
_DEFAULTED = re.compile(r"\$\{\w+:?-([^${}]*)\}")
_ENVIRONMENT_FILES = (
    ".env.example",
    ".env.sample",
    ".env.template",
    ".env.dist",
    ".env",
    "*.env",
    "env.example",
)
_OF_TESTS = frozenset({"tests", "test"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A command of a submission that starts one of its files."""

    path: PurePosixPath
    """The file, as the command has it: from the root, or as seen from inside an image."""
    arguments: tuple[str, ...]
    """What it is given; words to be filled in begin with `BLANK`."""
    module: str = ""
    """Its name where it is started by `python -m`."""
    function: str = ""
    """The function that an entry point of the project calls."""
    folder: str = ""
    """Where the command runs, seen from the root."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Its variables; values to be filled in as those of `arguments`."""
    where: str
    """`dvc.yaml:7`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A command of a submission that serves an application."""

    target: str
    """`src.api:app`"""
    factory: bool = False
    folder: str = ""
    """Where modules are looked for, seen from the root."""
    environment: Mapping[str, str] = field(default_factory=dict)
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A variable that a submission sets for its programs."""

    name: str
    value: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """Commands, and where they stand."""

    script: str
    file: SourceFile
    line: int
    folder: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, str] = field(default_factory=dict)
    """Folders of an image -> the folder of the submission that is there."""


# --- commands ---------------------------------------------------------------------------------------


def invocations(submission: Submission, path: PurePosixPath) -> tuple[Invocation, ...]:
    """Every command that starts a file, each once, those that are the most trusted first.

    A pipeline is trusted before recipes, workflows, images and manifests, and those before notes; a command
    that names the very path before one that names it as it stands in an image.
    """
    ranked: dict[tuple[Any, ...], tuple[int, Invocation]] = {}
    for each in submission.derived(every_invocation):
        rank = _likeness(each.path, path)
        if rank is not None:
            key = (
                each.arguments,
                each.module,
                each.function,
                each.folder,
                tuple(sorted(each.environment.items())),
            )
            if key not in ranked or rank < ranked[key][0]:
                ranked[key] = (rank, each)
    return tuple(each for _, each in sorted(ranked.values(), key=lambda pair: pair[0]))


def _likeness(named: PurePosixPath, path: PurePosixPath) -> int | None:
    """How far what a command names is from a path: 0 is the same; None for another file."""
    if named == path:
        return 0
    inside = PurePosixPath(*[part for part in named.parts if part != "/"])
    if path.parts[-len(inside.parts) :] == inside.parts or inside.parts[-len(path.parts) :] == path.parts:
        return 1 if len(inside.parts) > 1 else 2
    return None


def all_invocations(submission: Submission) -> Iterator[Invocation]:
    """Every command of a submission that starts a Python file or a script, the most trusted places first."""
    scripts = project_scripts(submission.file("pyproject.toml"))
    files = SubmissionFiles(submission)
    for text in itertools.islice(_starting(submission), MAX_TEXTS):
        for command, folder in _commands(text, files):
            yield from _started(command, folder, text, scripts)
    for each in scripts.values():
        yield Invocation(
            path=_file_of(each.module),
            arguments=(),
            module=each.module,
            function=each.function,
            where=each.where,
        )


def every_invocation(submission: Submission) -> tuple[Invocation, ...]:
    """The same, read once by who uses `Submission.derived`."""
    return tuple(all_invocations(submission))


def services(submission: Submission) -> tuple[Service, ...]:
    """Every command that serves an ASGI application, each once, the most trusted first."""
    return submission.derived(_read_services)


def _read_services(submission: Submission) -> tuple[Service, ...]:
    found: dict[tuple[str, bool, str], Service] = {}
    files = SubmissionFiles(submission)
    for text in itertools.islice(_starting(submission), MAX_TEXTS):
        for command, folder in _commands(text, files):
            if (service := _served(command, folder, text)) is not None:
                found.setdefault((service.target, service.factory, service.folder), service)
    return tuple(found.values())


def _commands(text: _Text, files: SubmissionFiles) -> Iterator[tuple[Command, str]]:
    script = marked(text.script[:MAX_CHARACTERS])
    into = {Into.CONTAINERS}
    for found in follow(script, files, into, environment=text.environment, folder=text.folder):
        yield found.command, found.folder


def marked(script: str) -> str:
    """A script with the parts that its reader is to fill in as words that `BLANK` begins."""
    script = _WINDOWS.sub("/", _BRACKETS.sub(" ", script))
    script = _DEFAULTED.sub(r"\1", script)
    for pattern in (_ANGLES, _BRACES):
        script = pattern.sub(lambda match: BLANK + re.sub(r"[^\w.]+", "_", match[1]), script)
    return script


def is_blank(word: str) -> bool:
    """Whether a word stands for another one, which the reader of a command is to fill in."""
    if word.startswith(BLANK) or "$" in word or "`" in word or _EXAMPLES.search(word):
        return True
    return _NAME.fullmatch(word) is not None and len(word) > 2


def _started(
    command: Command, folder: str, text: _Text, scripts: Mapping[str, ProjectScript]
) -> Iterator[Invocation]:
    """What a command starts that is a file of the submission, by its words alone."""
    if command.program == "dvc":
        # `dvc stage add -n train -d x python src/train.py`
        words = command.arguments
        start = next((n for n, word in enumerate(words) if re.fullmatch(r"python\d?", word)), None)
        if start is not None and words[:1] in (("run",), ("stage",)):
            for inner in commands(shlex.join(words[start:]), command.environment):
                yield from _started(replace(inner, line=command.line), folder, text, scripts)
        return
    path, arguments, module, function = "", command.arguments, "", ""
    if command.module:
        module = command.program
        path = str(_file_of(module))
    elif command.program == "python":
        options = itertools.takewhile(lambda word: not word.endswith(".py"), arguments)
        skipped = len(list(options))
        if skipped < len(arguments) and "-c" not in arguments[:skipped]:
            path, arguments = arguments[skipped], arguments[skipped + 1 :]
    elif command.program in scripts:
        module, function = scripts[command.program].module, scripts[command.program].function
        path = str(_file_of(module))
    else:
        named = executable(command)
        path = named if named.endswith((".py", ".sh", ".bash")) else ""
        arguments = arguments[1:] if arguments[:1] == (named,) else arguments
    if not path or is_blank(path) or len(path) > 300:
        return
    yield Invocation(
        path=PurePosixPath(_joined("" if function else folder, path)),
        arguments=tuple(_outside(word, text.inside) for word in arguments),
        module=module,
        function=function,
        folder=folder,
        environment=_own(command, text),
        where=text.file.where(text.line + command.line - 1),
    )


def _own(command: Command, text: _Text) -> dict[str, str]:
    """Variables that are set for a command; a value to be filled in begins with `BLANK`."""
    found = {**text.environment, **command.environment}
    return {name: value for name, value in found.items() if value and _NAME.fullmatch(name)}


def _known(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of which the text tells the values."""
    return {name: value for name, value in environment.items() if not is_blank(value)}


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(path if path.startswith("/") else posixpath.join(folder, path))


def _outside(word: str, inside: Mapping[str, str]) -> str:
    """A path of an image as the submission has it."""
    flag, equals, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
    if not value.startswith("/"):
        return word
    for folder in sorted(inside, key=len, reverse=True):
        if folder != "/" and value.startswith(f"{folder}/"):
            return flag + equals + posixpath.join(inside[folder], value[len(folder) + 1 :])
    return word


def _file_of(module: str) -> PurePosixPath:
    return PurePosixPath(module.replace(".", "/") + ".py")


_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian"})


def _served(command: Command, folder: str, text: _Text) -> Service | None:
    if command.program not in _SERVERS:
        return None
    target = next((word for word in command.arguments if re.fullmatch(r"[\w.]+:[\w.]+(?:\(\))?", word)), "")
    if not target or re.fullmatch(r"[\d.]+:\d+", target):
        return None
    below = command.option("--app-dir", "--chdir", "--pythonpath") or ""
    return Service(
        target=target.removesuffix("()"),
        factory=target.endswith("()") or bool(command.flag("--factory")),
        folder=posixpath.normpath(posixpath.join(folder, _outside(below, text.inside))).lstrip("./"),
        environment=_known(_own(command, text)),
        where=text.file.where(text.line + command.line - 1),
    )


# --- where commands stand -----------------------------------------------------------------------------


def texts(submission: Submission) -> Iterator[_Text]:
    """Every text of a submission that holds commands, the most trusted places first."""
    files = _files(submission)[:MAX_FILES]
    for kind in _KINDS:
        for file in files:
            if isinstance(file.text, str):
                yield from kind(submission, file)


def unread(submission: Submission) -> str:
    """What was not read of how a submission calls its programs, and sets variables; empty if nothing."""
    return submission.derived(_unread)


def _unread(submission: Submission) -> str:
    count = len(_files(submission))
    if count > MAX_FILES:
        return f"{count - MAX_FILES:,} of {count:,} files were not searched for commands"
    more = next(itertools.islice(_starting(submission), MAX_TEXTS, None), None)
    return "" if more is None else f"only the first {MAX_TEXTS:,} lines with commands were read"


def _files(submission: Submission) -> list[SourceFile]:
    """The files that may tell, the likeliest first."""
    paths = (path for path in submission.files if _may_set(path))
    return by_likelihood(file for file in map(submission.file, paths) if file is not None)


_STARTS = re.compile(r"python|\.py\b|\.(?:ba)?sh\b|\bdvc\b|uvicorn|gunicorn|hypercorn|granian")


def _starting(submission: Submission) -> Iterator[_Text]:
    """The texts that may start a program of the submission: most lines of notes do not."""
    names = tuple(project_scripts(submission.file("pyproject.toml")))
    for text in texts(submission):
        if _STARTS.search(text.script) or any(name in text.script for name in names):
            yield text


def _may_tell(path: PurePosixPath) -> bool:
    hidden = any(part.startswith(".") for part in path.parts[:-1]) and path.parts[0] != ".github"
    suffixes = (
        ".py",
        ".sh",
        ".bash",
        ".md",
        ".rst",
        ".txt",
        ".adoc",
        ".yml",
        ".yaml",
        ".toml",
        ".mk",
        ".ipynb",
        "",
    )
    return (
        not hidden
        and not _OF_TESTS.intersection(path.parts)
        and (path.suffix in suffixes or "ockerfile" in path.name)
    )


def _pipelines(submission: Submission, file: SourceFile) -> Iterator[_Text]:
    if file.path.name != "dvc.yaml":
        return
    for document in _yaml(file):
        values = _template_values(submission, file, document.data)
        for place, stage in _items(_at(document.data, "stages"), "stages"):
            inner = _at(stage, "do")
            body, where = (inner, (*place, "do")) if inner is not None else (stage, place)
            lines = _at(body, "cmd")
            folder = _joined(str(file.path.parent), str(_at(body, "wdir") or "."))
            for number, line in enumerate(lines if isinstance(lines, list) else [lines]):
                if isinstance(line, str):
                    spot = (*where, "cmd", number) if isinstance(lines, list) else (*where, "cmd")
                    yield _Text(
                        script=_substituted(line, values),
                        file=file,
                        line=document.line(*spot) or 1,
                        folder="" if folder == "." else folder,
                    )


def _substituted(line: str, values: Mapping[str, str]) -> str:
    return _TEMPLATE.sub(lambda match: values.get(match[1], BLANK + match[1]), line)


def _template_values(submission: Submission, file: SourceFile, data: Any) -> dict[str, str]:
    """What `${…}` may stand for: the parameters, and the pipeline's `vars`."""
    declared = _at(data, "vars")
    entries = declared if isinstance(declared, list) else []
    names = ["params.yaml", *(entry for entry in entries if isinstance(entry, str))]
    found: dict[str, str] = {}
    for name in names[:20]:
        other = submission.file(_joined(str(file.path.parent), name))
        for document in _yaml(other) if other is not None else ():
            found |= dict(_flat(document.data))
    for entry in entries:
        found |= dict(_flat(entry))
    return found


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for place, value in _items(data):
        name = f"{prefix}{place[-1]}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, str | int | float):
            yield name, str(value)


def _recipes(_: Submission, file: SourceFile) -> Iterator[_Text]:
    name = file.path.name.lower()
    if name in ("makefile", "gnumakefile") or file.path.suffix == ".mk":
        yield from (_Text(script=script, file=file, line=line) for script, line in of(file))
    elif name in ("justfile", "procfile"):
        for number, line in enumerate(_text(file).splitlines(), start=1):
            said = (
                line.partition(":")[2]
                if name == "procfile"
                else line.strip().lstrip("@")
                if line[:1].isspace()
                else ""
            )
            if said:
                yield _Text(script=said, file=file, line=number)


def _yaml_commands(submission: Submission, file: SourceFile) -> Iterator[_Text]:
    """Workflows, task files, compose files, manifests: wherever a mapping has a command."""
    if file.path.suffix not in (".yml", ".yaml", "") or file.path.name == "dvc.yaml":
        return
    if not file.path.suffix and file.path.name != "MLproject":
        return
    for document in _yaml(file):
        for place, body, above in _mappings(document.data):
            environment = {**above, **_environment(body)}
            for key in ("run", "script", "cmd", "cmds", "command"):
                value = body.get(key)
                if key == "command" and isinstance(value, str | list):
                    words = [*_words(body.get("entrypoint")), *_words(value), *_words(body.get("args"))]
                    lines: list[Any] = [shlex.join(words)] if isinstance(value, list) else [value]
                else:
                    lines = value if isinstance(value, list) else [value]
                for line in lines:
                    if isinstance(line, str):
                        yield _Text(
                            script=line,
                            file=file,
                            line=_line_of(document, (*place, key), line),
                            folder=_inner_folder(body),
                            environment=environment,
                            inside={**submission.derived(image_folders), **_mounted(body)},
                        )


def _line_of(document: YamlDocument, place: tuple[Any, ...], text: str) -> int:
    """The line of a command; of a block's first line, which stands under its key."""
    line = document.line(*place) or 1
    return line + 1 if "\n" in text.strip() else line


def _inner_folder(body: Mapping[Any, Any]) -> str:
    folder = body.get("working-directory")
    return posixpath.normpath(folder).lstrip("./") if isinstance(folder, str) and not is_blank(folder) else ""


def _mounted(body: Mapping[Any, Any]) -> dict[str, str]:
    """Folders of a container that compose mounts, or that it works in."""
    found: dict[str, str] = {}
    for key in ("working_dir", "workingDir"):
        if isinstance(folder := body.get(key), str):
            found[_as_folder(folder)] = ""
    volumes = body.get("volumes")
    for volume in volumes if isinstance(volumes, list) else ():
        match volume:
            case str():
                source, _, rest = volume.partition(":")
                found |= _placed(source, rest.partition(":")[0])
            case {"source": str(source), "target": str(target)}:
                found |= _placed(source, target)
    return found


def _placed(source: str, target: str) -> dict[str, str]:
    """A folder of an image, if it is given a folder of the submission."""
    for prefix in ("${PWD}", "$PWD", "$(pwd)"):
        source = source.replace(prefix, ".")
    own = posixpath.normpath(source)
    if not target.startswith("/") or own.startswith(("/", "~", "..")) or is_blank(source):
        return {}
    return {_as_folder(target): "" if own == "." else own}


def _as_folder(path: str) -> str:
    return posixpath.normpath(path.strip("\"' "))


_USUAL_FOLDERS = ("/app", "/workspace", "/code", "/opt/app")
"""Of images that are made elsewhere."""


def image_folders(submission: Submission) -> Mapping[str, str]:
    """Folders of the submission's images -> its own folder that is there; read by `Submission.derived`."""
    found = dict.fromkeys(_USUAL_FOLDERS, "")
    for file in _files(submission)[:MAX_FILES]:
        if "ockerfile" in file.path.name:
            found |= _folders_of(submission, _text(file))
    return found


def _folders_of(submission: Submission, dockerfile: str) -> dict[str, str]:
    """What `WORKDIR` and `COPY` say of the folders of an image."""
    found: dict[str, str] = {}
    current = "/"
    for _, name, rest in instructions(dockerfile):
        if name == "WORKDIR":
            current = posixpath.join(current, _as_folder(rest))
            found.setdefault(current, "")
        elif name in ("COPY", "ADD") and "--from" not in rest:
            words = _exec_form(rest)
            words = words if isinstance(words, list) else rest.split()
            *sources, target = [word for word in words if not word.startswith("--")] or [""]
            target = posixpath.join(current, target)
            for source in sources[:MAX_COPIED]:
                own = posixpath.normpath(source.rstrip("*"))
                if submission.file(own) is not None:  # a file: it comes into a folder, or gets a name
                    own, target = posixpath.dirname(own) or ".", target if target.endswith("/") else ""
                if target:
                    found |= _placed(own, target)
    return found


def _images(submission: Submission, file: SourceFile) -> Iterator[_Text]:
    if "ockerfile" not in file.path.name:
        return
    last: dict[str, tuple[list[str] | str, int]] = {}
    folders = _folders_of(submission, _text(file))
    environment: dict[str, str] = {}
    for line, name, rest in instructions(_text(file)):
        if name in ("CMD", "ENTRYPOINT"):
            last[name] = (_exec_form(rest), line)
            if name == "ENTRYPOINT":
                last.pop("CMD", None)
        elif name == "ENV":
            environment |= _env_words(rest)
        elif name == "RUN":
            yield _Text(script=rest, file=file, line=line, environment=environment, inside=folders)
    entry, command = last.get("ENTRYPOINT"), last.get("CMD")
    words = [
        part
        for given in (entry, command)
        if given
        for part in (given[0] if isinstance(given[0], list) else [given[0]])
    ]
    shell = any(given is not None and isinstance(given[0], str) for given in (entry, command))
    at = command or entry
    if at is not None:
        script = " ".join(words) if shell else shlex.join(words)
        yield _Text(script=script, file=file, line=at[1], environment=environment, inside=folders)


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, name and rest of the instructions of a Dockerfile that matter here."""
    for number, line in joined_lines(text.splitlines()):
        if found := _INSTRUCTION.match(line[:MAX_CHARACTERS]):
            yield number, found[1].upper(), found[2]


def _exec_form(rest: str) -> list[str] | str:
    try:
        words = ast.literal_eval(rest.strip()) if rest.strip().startswith("[") else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        words = None
    return [str(word) for word in words] if isinstance(words, list) else rest


def _env_words(rest: str) -> dict[str, str]:
    try:
        words = shlex.split(rest)
    except ValueError:
        return {}
    if words and "=" not in words[0]:
        return {words[0]: " ".join(words[1:])}
    pairs = (word.partition("=") for word in words)
    return {name: value for name, equals, value in pairs if equals}


def _shell_scripts(_: Submission, file: SourceFile) -> Iterator[_Text]:
    name = file.path.name.lower()
    if file.path.suffix in (".sh", ".bash") or (not file.path.suffix and name not in _OWN_READERS):
        yield from (_Text(script=script, file=file, line=line) for script, line in of(file))


_OWN_READERS = ("makefile", "gnumakefile", "justfile", "procfile", "readme", "commands", "mlproject")


def _notes(_: Submission, file: SourceFile) -> Iterator[_Text]:
    noted = file.path.suffix in (".md", ".rst", ".txt", ".adoc", ".ipynb")
    if noted or file.path.name in ("README", "COMMANDS", "commands"):
        yield from (_Text(script=script, file=file, line=line) for script, line in of(file))


def _programs(_: Submission, file: SourceFile) -> Iterator[_Text]:
    """What Python files start, and what their docstrings say of how they are called."""
    if file.path.suffix != ".py" or not isinstance(file.python, ast.Module):
        return
    body = file.python.body
    match body[:1]:
        case [ast.Expr(value=ast.Constant(value=str(said)), lineno=first)]:
            for script, line in _docstring(said):
                yield _Text(script=script, file=file, line=first + line - 1)
    yield from (_Text(script=script, file=file, line=line) for script, line in of(file))


_SAID = re.compile(
    r"^\W*+(?:(?:usage|run|example|run with|start with)\s*+:\W*+)?(?=(?:python|uv|poetry)\b)", re.IGNORECASE
)


def _docstring(said: str) -> Iterator[tuple[str, int]]:
    """The commands in a docstring: lines like `Usage: python src/x.py IN OUT`, and what notes have."""
    for number, line in enumerate(said[:MAX_CHARACTERS].splitlines(), start=1):
        if begin := _SAID.match(line):
            yield line[begin.end() :].strip("` "), number
    yield from notes(said[:MAX_CHARACTERS])


_KINDS: tuple[Callable[[Submission, SourceFile], Iterator[_Text]], ...] = (
    _pipelines,
    _recipes,
    _yaml_commands,
    _images,
    _shell_scripts,
    _notes,
    _programs,
)
"""Readers of places, the most trusted first."""


# --- variables ----------------------------------------------------------------------------------------


def settings(submission: Submission) -> Mapping[str, Setting]:
    """Variable -> what a submission sets it to, by the place that is trusted most.

    Manifests and workflows first, then `.env.example` and the like, compose files, images, recipes, scripts.
    """
    return submission.derived(_read_settings)


def _read_settings(submission: Submission) -> Mapping[str, Setting]:
    found: dict[str, Setting] = {}
    for setting in itertools.islice(_all_settings(submission), MAX_TEXTS):
        value = _DEFAULTED.sub(r"\1", setting.value)
        if value and not is_blank(value) and not _BRACES.search(value) and not _ANGLES.search(value):
            found.setdefault(setting.name, replace(setting, value=value))
    return found


def _all_settings(submission: Submission) -> Iterator[Setting]:
    files = _files(submission)[:MAX_FILES]
    documents = [file for file in files if file.path.suffix in (".yml", ".yaml")]
    composed = [file for file in documents if "compose" in file.path.name]
    for file in documents:
        if file not in composed:
            yield from _yaml_settings(file)
    for file in files:
        if any(file.path.match(pattern) for pattern in _ENVIRONMENT_FILES):
            yield from _lines(file)
    for file in composed:
        yield from _yaml_settings(file)
    inside = submission.derived(image_folders)
    for file in files:
        if "ockerfile" in file.path.name:
            for line, name, rest in instructions(_text(file)):
                words = _env_words(rest) if name == "ENV" else {}
                for key, value in words.items():
                    yield Setting(name=key, value=_outside(value, inside), where=file.where(line))
    for text in texts(submission):
        if text.file.path.suffix not in (".py", ".yml", ".yaml"):
            yield from _exported(text)


def _may_set(path: PurePosixPath) -> bool:
    return _may_tell(path) or path.name.startswith(".env") or path.suffix == ".env"


def _yaml_settings(file: SourceFile) -> Iterator[Setting]:
    for document in _yaml(file):
        for place, body, _ in _mappings(document.data):
            for key in ("env", "environment", "data"):
                if key == "data" and body.get("kind") != "ConfigMap":
                    continue
                for name, value in _pairs(body.get(key)):
                    yield Setting(
                        name=name, value=value, where=file.where(_line_of_name(document, (*place, key), name))
                    )


def _line_of_name(document: YamlDocument, place: tuple[Any, ...], name: str) -> int | None:
    found: Any = document.data
    for key in place:
        found = found[key]
    if isinstance(found, list):
        index = next((n for n, each in enumerate(found) if _is_of(each, name)), 0)
        return document.line(*place, index)
    return document.line(*place, name)


def _is_of(entry: Any, name: str) -> bool:
    return entry.get("name") == name if isinstance(entry, dict) else str(entry).startswith(f"{name}=")


def _environment(body: Mapping[Any, Any]) -> dict[str, str]:
    return {name: value for key in ("env", "environment") for name, value in _pairs(body.get(key))}


def _pairs(found: Any) -> Iterator[tuple[str, str]]:
    """`{NAME: value}`, `[NAME=value]` and `[{name: NAME, value: value}]`."""
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        match entry:
            case {"name": str(name), "value": str() | int() | float() as value}:
                yield name, _shell_text(value)
            case dict() if not isinstance(found, list):
                for name, value in entry.items():
                    if isinstance(name, str) and isinstance(value, str | int | float):
                        yield name, _shell_text(value)
            case str():
                name, equals, value = entry.partition("=")
                if equals:
                    yield name, value


def _shell_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines(file: SourceFile) -> Iterator[Setting]:
    for number, line in enumerate(_text(file)[:MAX_CHARACTERS].splitlines(), start=1):
        if found := _SETTING.match(line):
            said = found[2].strip()
            value = said if said[:1] in "\"'" else said.partition(" #")[0].rstrip()
            yield Setting(name=found[1], value=value.strip("\"'"), where=file.where(number))


def _exported(text: _Text) -> Iterator[Setting]:
    """`export NAME=value` and `NAME=value program` among commands."""
    for number, line in enumerate(text.script[:MAX_CHARACTERS].splitlines()):
        for found in re.finditer(
            r"(?:^|[\s;&])(?:export\s+)?([A-Z][A-Z0-9_]+)=(\"[^\"]*\"|'[^']*'|[^\s;&]+)", line
        ):
            yield Setting(
                name=found[1], value=found[2].strip("\"'"), where=text.file.where(text.line + number)
            )


# --- plain data -----------------------------------------------------------------------------------------


def _yaml(file: SourceFile | None) -> tuple[YamlDocument, ...]:
    found = file.yaml if file is not None else ()
    return () if isinstance(found, Problem) else found


def _text(file: SourceFile) -> str:
    return file.text if isinstance(file.text, str) else ""


def _at(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _items(data: Any, *prefix: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    for name, value in data.items() if isinstance(data, dict) else ():
        yield (*prefix, name), value


def _mappings(
    data: Any, place: tuple[Any, ...] = (), above: Mapping[str, str] | None = None
) -> Iterator[tuple[tuple[Any, ...], dict[Any, Any], Mapping[str, str]]]:
    """Every mapping with its place and the variables that those around it set."""
    around = above or {}
    if isinstance(data, dict):
        yield place, data, around
        inner = {**around, **_environment(data)}
        for key, value in data.items():
            yield from _mappings(value, (*place, key), inner)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _mappings(value, (*place, index), around)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError:
            return []
    return [str(word) for word in value] if isinstance(value, list) else []
