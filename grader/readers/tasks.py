"""What a task runner runs: just, hatch, poe, pdm, rye, pixi, pipenv, invoke, Task, mise, tox and nox.

Each answer is a script of which every line is run by a shell of its own and the first that fails is the last.
A task that the submission does not declare runs nothing.
"""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from grader.documents import Problem, SourceFile, parse_ini
from grader.readers.project_scripts import project_scripts
from grader.readers.python.module import Module
from grader.readers.shell.wrappers import is_assignment, name_of

MAX_LINES = 300
MAX_NESTING = 8
MAX_EXPANDED = 4_000
_UNTOLD = "$_"
"""What only a run would tell is a word all the same."""

Find = Callable[[str], SourceFile | None]
"""The file of a name, as seen from where the runner runs."""
Task = Callable[[str, Sequence[str], int], Iterator[str]]
"""The lines of a task, with its arguments, at a depth."""


def task_script(words: Sequence[str], program: str, arguments: Sequence[str], find: Find) -> str:
    """The script that a command has a task runner run, empty where it is none or knows no such task.

    Args:
        words: the command as written, with what stands in front of its program.
        program: what runs in the end: in `poetry run poe test`, poe.
        arguments: the program's own.
        find: looks up the runner's configuration.
    """
    if program in _RUNNERS:
        lines = _RUNNERS[program](arguments, find)
    else:
        front = words[: len(words) - len(arguments) - 1]
        lines = _behind_a_runner(list(map(name_of, front)), front, program, arguments, find)
    return "\n".join(itertools.islice(lines, MAX_LINES))


def _behind_a_runner(
    names: Sequence[str], front: Sequence[str], program: str, arguments: Sequence[str], find: Find
) -> Iterator[str]:
    """`hatch run test`, `uv run test`: the word after `run` may be a task rather than a program."""
    for index, runner in reversed(tuple(enumerate(names))):
        if runner in _SCRIPTS and "run" in names[index:]:
            found = list(_SCRIPTS[runner](program, arguments, front, find))
            yield from found or _entry_point(program, arguments, find)
            return


# --- what several of them have in common ---


def _toml(find: Find, *names: str) -> dict[str, Any]:
    for name in names:
        file = find(name)
        if file is not None and isinstance(file.toml, dict):
            return file.toml
    return {}


def _table(data: Any, *path: str) -> dict[str, Any]:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _tool(find: Find, *path: str) -> dict[str, Any]:
    return _table(_toml(find, "pyproject.toml"), "tool", *path)


def _line(text: str, *, ignored: bool = False) -> str:
    """One line of the script; what takes several is one for a shell of its own."""
    text = text.strip()
    if "\n" in text:
        text = f"sh -c {shlex.quote(text)}"
    return f"( {text} ) || true" if ignored else text


def _joined(command: Any) -> str:
    if isinstance(command, list):
        return shlex.join(map(str, command))
    return command if isinstance(command, str) else ""


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _with(text: str, arguments: Sequence[str]) -> str:
    return " ".join(filter(None, (text, shlex.join(arguments))))[:MAX_EXPANDED]


def _operands(arguments: Sequence[str], values: Sequence[str] = ()) -> list[str]:
    """The words that are neither options nor the values of these."""
    found: list[str] = []
    before = ""
    for word in arguments:
        if word == "--":
            break
        if not word.startswith("-") and before not in values:
            found.append(word)
        before = word
    return found


def _after_options(arguments: Sequence[str], values: Sequence[str]) -> list[str]:
    """The words from the first on that is neither an option nor the value of one of these."""
    index = 0
    while index < len(arguments) and arguments[index].startswith("-"):
        index += 2 if arguments[index] in values else 1
    return list(arguments[index:])


def _option(arguments: Sequence[str], *names: str) -> str:
    """The value of an option, `--file x` or `--file=x`."""
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else following
    return ""


def _after_dashes(arguments: Sequence[str]) -> list[str]:
    return list(arguments[arguments.index("--") + 1 :]) if "--" in arguments else []


def _entry_point(program: str, arguments: Sequence[str], find: Find) -> Iterator[str]:
    """A script that the project installs: `test = "tools.run:main"`."""
    if script := project_scripts(find("pyproject.toml")).get(program):
        yield from _python_target(script.module, arguments, find)


def _python_target(target: str, arguments: Sequence[str], find: Find) -> Iterator[str]:
    path = target.partition(":")[0].strip().replace(".", "/")
    for name in (f"{path}.py", f"src/{path}.py", f"{path}/__init__.py", f"src/{path}/__init__.py"):
        if find(name) is not None:
            yield _with(f"python {name}", arguments)
            return


# --- just ---

_JUST_SETS = re.compile(r"(?:export\s+)?([A-Za-z_][\w-]*)\s*:=\s*(.*)")
_JUST_PARAMETER = re.compile(r"[*+]?\$?([A-Za-z_][\w-]*)(?:=('[^']*'|\"[^\"]*\"|\S+))?")
_JUST_NEED = re.compile(r"\(\s*([\w-]+)([^)]*)\)|([A-Za-z_][\w-]*)")
_JUST_USE = re.compile(r"\{\{((?:[^{}]|\{[^{}]*\}){1,300})\}\}")
_JUST_TOKEN = re.compile(r"""\s*(?:("(?:[^"\\]|\\.)*"|'[^']*')|([A-Za-z_][\w-]*)\s*(\()?|(.))""", re.DOTALL)
_JUST_DEFAULTS = frozenset({"env_var_or_default", "env"})
"""Functions whose second argument is what they are worth where a variable is not set."""


class _Justfile:
    def __init__(self, text: str, find: Find) -> None:
        self._find = find
        self.values: dict[str, str] = {}
        self.first = ""
        self._aliases: dict[str, str] = {}
        self._recipes: dict[str, tuple[list[tuple[str, str | None, bool]], list[str], str, str]] = {}
        self._read(text, 0)

    def _read(self, text: str, depth: int) -> None:
        body: list[str] | None = None
        for line in re.sub(r"\\\n[ \t]*", " ", text).splitlines():
            if line[:1] in (" ", "\t") and body is not None:
                body.append(line)
                continue
            bare = line.strip()
            if not bare or bare.startswith(("#", "[")):
                if body is not None and not bare:
                    body.append("")
                continue
            body = None
            if found := _JUST_SETS.fullmatch(bare):
                self.values[found[1]] = _just_value(found[2], self.values)
            elif found := re.fullmatch(r"alias\s+([\w-]+)\s*:=\s*([\w-]+)", bare):
                self._aliases[found[1]] = found[2]
            elif (found := re.fullmatch(r"import\??\s+['\"]([^'\"]+)['\"]", bare)) and depth < MAX_NESTING:
                file = self._find(found[1])
                if file is not None and isinstance(file.text, str):
                    self._read(file.text, depth + 1)
            elif not bare.startswith(("set ", "mod ")) and (header := _just_header(bare)) is not None:
                name, declared, needs = header
                body = []
                before, _, after = needs.partition("&&")
                parameters = [
                    (each[1], None if each[2] is None else _unquoted(each[2]), each[0][0] in "*+")
                    for each in _JUST_PARAMETER.finditer(declared)
                ]
                self._recipes[name] = (
                    parameters,
                    body,
                    before.partition("#")[0],
                    after.partition("#")[0],
                )
                self.first = self.first or ("" if depth else name)

    def _fill(self, text: str, own: Mapping[str, str]) -> str:
        values = {**self.values, **own}
        return _JUST_USE.sub(lambda found: _just_value(found[1], values), text)[:MAX_EXPANDED]

    @property
    def names(self) -> tuple[str, ...]:
        """Every recipe."""
        return tuple(self._recipes)

    def takes(self, name: str, arguments: Sequence[str]) -> int:
        """How many of the arguments a recipe takes."""
        parameters = self._recipes.get(self._aliases.get(name, name), ([], [], "", ""))[0]
        return len(arguments) if any(many for _, _, many in parameters) else len(parameters)

    def lines(self, name: str, arguments: Sequence[str], depth: int) -> Iterator[str]:
        """What a recipe runs, what it needs first."""
        recipe = self._recipes.get(self._aliases.get(name, name))
        if recipe is None or depth > MAX_NESTING:
            return
        parameters, body, before, after = recipe
        own: dict[str, str] = {}
        rest = list(arguments)
        for parameter, default, many in parameters:
            given, rest = (rest, []) if many else (rest[:1], rest[1:])
            own[parameter] = " ".join(given) if given else default or ""
        yield from self._needs(before, own, depth)
        plain = [line for line in (self._fill(line, own) for line in body) if line.strip()]
        if plain and plain[0].strip().startswith("#!"):
            if "python" not in plain[0]:
                script = "\n".join(line.strip() for line in plain[1:])
                yield f"bash -c {shlex.quote(script)}"
        else:
            for line in plain:
                text = line.strip()
                marks = text[: len(text) - len(text.lstrip("@-"))]
                yield _line(text.lstrip("@-"), ignored="-" in marks)
        yield from self._needs(after, own, depth)

    def _needs(self, text: str, own: Mapping[str, str], depth: int) -> Iterator[str]:
        for need in _JUST_NEED.finditer(text):
            values = {**self.values, **own}
            given = [_just_value(word, values) for word in _just_words(need[2] or "")]
            yield from self.lines(need[1] or need[3], given, depth + 1)


def _just_words(text: str) -> list[str]:
    """The expressions of a list with blanks between them; one in quotes may hold blanks."""
    words: list[str] = []
    while text.strip() and len(words) < MAX_LINES:
        found = re.match(r"""\s*((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+|.)""", text, re.DOTALL)
        if found is None:
            break
        words.append(found[1])
        text = text[found.end() :]
    return words


def _just_value(text: str, values: Mapping[str, str]) -> str:
    """What an expression is worth: strings, variables, their sums, and variables of the shell with a default.

    What only a run would tell is a word of its own.
    """
    found = ""
    text = text[:MAX_EXPANDED].strip()
    while text:
        token = _JUST_TOKEN.match(text)
        if token is None:
            return _UNTOLD
        quoted, name, opened, other = token.groups()
        text = text[token.end() :]
        if quoted:
            found += quoted[1:-1]
        elif name and opened:
            inside, closed, text = text.partition(")")
            arguments = inside.split(",", 1)
            if name not in _JUST_DEFAULTS or not closed or len(arguments) < 2:
                return _UNTOLD
            found += _just_value(arguments[1], values)
        elif name:
            found += values.get(name, _UNTOLD)
        elif other == "/":
            found += "/"
        elif other != "+":
            return _UNTOLD
    return found[:MAX_EXPANDED]


def _just_header(line: str) -> tuple[str, str, str] | None:
    """A recipe's name, its parameters and what it needs: `test marks="": lint`."""
    quote = ""
    for place, character in enumerate(line[:MAX_EXPANDED]):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == ":":
            name, _, declared = line[:place].strip().removeprefix("@").partition(" ")
            known = re.fullmatch(r"[A-Za-z_][\w-]*", name) is not None and line[place + 1 : place + 2] != "="
            return (name, declared, line[place + 1 :]) if known else None
    return None


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _just(arguments: Sequence[str], find: Find) -> Iterator[str]:
    folder = _option(arguments, "-d", "--working-directory")
    named = _option(arguments, "-f", "--justfile")
    names = (named,) if named else ("justfile", "Justfile", "JUSTFILE", ".justfile")
    file = next(
        filter(None, (find(f"{folder}/{name}" if folder and not named else name) for name in names)), None
    )
    if file is None or not isinstance(file.text, str):
        return
    justfile = _Justfile(file.text, find)
    words = _after_options(arguments, ("-f", "--justfile", "-d", "--working-directory"))
    justfile.values |= dict(word.split("=", 1) for word in words if is_assignment(word))
    words = [word for word in words if not is_assignment(word)] or [justfile.first]
    while words:
        name, rest = words[0].rpartition("/")[2], words[1:]
        taken = justfile.takes(name, rest)
        yield from justfile.lines(name, rest[:taken], 0)
        words = rest[taken:]


def justfile_lines(text: str, find: Find) -> Iterator[str]:
    """What every recipe of a justfile runs, a parameter without a default empty."""
    justfile = _Justfile(text, find)
    for name in justfile.names:
        yield from itertools.islice(justfile.lines(name, (), 0), MAX_LINES)


# --- hatch, pdm, rye, pixi, pipenv: scripts behind `run` ---

_HATCH_ARGUMENTS = re.compile(r"\{args(?::([^{}]*))?\}")


def _hatch(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    envs = _tool(find, "hatch", "envs") or _table(_toml(find, "hatch.toml"), "envs")
    env, colon, name = program.rpartition(":")
    env = (env if colon else _option(front, "-e", "--env")) or "default"
    env = env.partition(".")[0]
    template = _table(envs, env).get("template", "default")
    scripts = {
        **_table(envs, template if isinstance(template, str) else "default", "scripts"),
        **_table(envs, env, "scripts"),
        **_table(envs, env, "extra-scripts"),
    }
    yield from _hatch_lines(scripts, name, arguments, 0)
    if colon and name not in scripts:
        yield _with(shlex.quote(name), arguments)


def _hatch_lines(
    scripts: Mapping[str, Any], name: str, arguments: Sequence[str], depth: int
) -> Iterator[str]:
    """A script's commands; one that begins with another script's name runs that."""
    if depth > MAX_NESTING:
        return
    given = shlex.join(arguments)[:MAX_EXPANDED]
    for text in _texts(scripts.get(name)):
        ignored = text.startswith("- ")
        line = _HATCH_ARGUMENTS.sub(lambda found: given or found[1] or "", text.removeprefix("- "))
        first, _, rest = line.strip().partition(" ")
        if first in scripts and first != name:
            inner = _hatch_lines(scripts, first, rest.split(), depth + 1)
            yield from (_line(each, ignored=True) for each in inner) if ignored else inner
        else:
            yield _line(line, ignored=ignored)


def _pdm(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    del front
    yield from _pdm_lines(_tool(find, "pdm", "scripts"), program, arguments, find, 0)


def _pdm_lines(
    scripts: Mapping[str, Any], name: str, arguments: Sequence[str], find: Find, depth: int
) -> Iterator[str]:
    if name not in scripts or name.startswith("_") or depth > MAX_NESTING:
        return
    for part in (f"pre_{name}", name, f"post_{name}"):
        given = arguments if part == name else ()
        match scripts.get(part):
            case str() as text:
                yield _given_args(text, given)
            case {"cmd": command}:
                yield _given_args(_joined(command), given)
            case {"shell": str() as text}:
                yield _line(_with(text, given))
            case {"call": str() as target}:
                yield from _python_target(target, given, find)
            case {"composite": list(parts), **options}:
                for text in map(_joined, parts):
                    first, _, rest = text.partition(" ")
                    inner = _pdm_lines(scripts, first, [*rest.split(), *given], find, depth + 1)
                    lines = list(inner) or [_given_args(text, given)]
                    keep_going = options.get("keep_going") is True
                    yield from (_line(line, ignored=keep_going) for line in lines)


def _given_args(text: str, arguments: Sequence[str]) -> str:
    filled = _HATCH_ARGUMENTS.sub(lambda found: shlex.join(arguments)[:MAX_EXPANDED] or found[1] or "", text)
    return _line(filled if filled != text else _with(text, arguments))


def _rye(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    del front
    yield from _rye_lines(_tool(find, "rye", "scripts"), program, arguments, 0)


def _rye_lines(scripts: Mapping[str, Any], name: str, arguments: Sequence[str], depth: int) -> Iterator[str]:
    match scripts.get(name):
        case {"chain": list(names)} if depth < MAX_NESTING:
            for each in _texts(names):
                yield from _rye_lines(scripts, each.removeprefix("rye run "), (), depth + 1)
        case {"cmd": command} | (str() | list() as command):
            yield _line(_with(_joined(command), arguments))


def _pixi(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    del front
    data = _toml(find, "pixi.toml") or _tool(find, "pixi")
    tables = (_table(data, "tasks"), *(_table(each, "tasks") for each in _table(data, "feature").values()))
    tasks = {name: task for table in reversed(tables) for name, task in table.items()}
    yield from _pixi_lines(tasks, program, arguments, 0)


def _pixi_lines(tasks: Mapping[str, Any], name: str, arguments: Sequence[str], depth: int) -> Iterator[str]:
    task = tasks.get(name)
    if task is None or depth > MAX_NESTING:
        return
    needs = task.get("depends-on", task.get("depends_on")) if isinstance(task, dict) else ()
    for need in needs if isinstance(needs, list) else [needs]:
        inner = need.get("task") if isinstance(need, dict) else need
        if isinstance(inner, str):
            yield from _pixi_lines(tasks, inner, (), depth + 1)
    command = task.get("cmd") if isinstance(task, dict) else task
    if text := _joined(command):
        yield _line(_with(text, arguments))


def _pipenv(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    del front
    script = _table(_toml(find, "Pipfile"), "scripts").get(program)
    if isinstance(script, str):
        yield _line(_with(script, arguments))


def _nothing(program: str, arguments: Sequence[str], front: Sequence[str], find: Find) -> Iterator[str]:
    """The runner has no tasks of its own, but installs the project's scripts."""
    del program, arguments, front, find
    yield from ()


_SCRIPTS: Mapping[str, Callable[[str, Sequence[str], Sequence[str], Find], Iterator[str]]] = {
    "hatch": _hatch,
    "pdm": _pdm,
    "rye": _rye,
    "pixi": _pixi,
    "pipenv": _pipenv,
    "poetry": _nothing,
    "uv": _nothing,
}


def _hatch_itself(arguments: Sequence[str], find: Find) -> Iterator[str]:
    """`hatch test` runs pytest, and `hatch fmt` ruff, whatever the project declares."""
    del find
    match list(arguments):
        case ["test", *rest]:
            covered = any(word in ("-c", "--cover") for word in rest)
            operands = [
                word for word in rest if word not in ("-c", "--cover", "--cover-quiet", "-a", "--all")
            ]
            yield _with("coverage run -m pytest" if covered else "pytest", operands)
        case ["fmt", *_]:
            yield from ("ruff check", "ruff format")


def _pdm_itself(arguments: Sequence[str], find: Find) -> Iterator[str]:
    """`pdm test` is `pdm run test`, where there is such a script."""
    if arguments:
        yield from _pdm(arguments[0], arguments[1:], (), find)


# --- poe ---


def _poe(arguments: Sequence[str], find: Find) -> Iterator[str]:
    folder = _option(arguments, "-C", "--directory", "--root")
    prefix = f"{folder}/" if folder else ""
    tasks = _table(_toml(find, f"{prefix}pyproject.toml"), "tool", "poe", "tasks")
    if not tasks:
        data = _toml(find, f"{prefix}poe_tasks.toml")
        tasks = _table(data, "tasks") or _table(data, "tool", "poe", "tasks")
    words = _operands(arguments, ("-C", "--directory", "--root", "-e", "--executor"))
    if words:
        name = words[0]
        given = list(arguments[arguments.index(name) + 1 :])
        yield from _poe_lines(tasks, tasks.get(name), given, find, 0)


def _poe_lines(
    tasks: Mapping[str, Any], task: Any, arguments: Sequence[str], find: Find, depth: int
) -> Iterator[str]:
    if isinstance(task, str):
        yield _line(_with(task, arguments))
        return
    if isinstance(task, list):
        task = {"sequence": task}
    if not isinstance(task, dict) or depth > MAX_NESTING:
        return
    for need in _texts(task.get("deps")):
        first, *rest = need.split() or [""]
        yield from _poe_lines(tasks, tasks.get(first), rest, find, depth + 1)
    ignored = bool(task.get("ignore_fail"))
    match task:
        case {"cmd": str(text)} | {"shell": str(text)}:
            yield _line(_with(text, arguments), ignored=ignored)
        case {"script": str(target)}:
            yield from _python_target(target.partition("(")[0], arguments, find)
        case {"ref": str(text)}:
            first, *rest = text.split() or [""]
            yield from _poe_lines(tasks, tasks.get(first), [*rest, *arguments], find, depth + 1)
        case {"sequence": list(parts)} | {"parallel": list(parts)}:
            for part in parts:
                for line in _poe_lines(tasks, _poe_reference(part, tasks), (), find, depth + 1):
                    yield _line(line, ignored=ignored)


def _poe_reference(part: Any, tasks: Mapping[str, Any]) -> Any:
    """In a sequence, a text names a task, unless there is none of that name."""
    if not isinstance(part, str) or part.partition(" ")[0] not in tasks:
        return part
    return {"ref": part}


def _poetry(arguments: Sequence[str], find: Find) -> Iterator[str]:
    """`poetry poe test`, by its plug-in."""
    if arguments[:1] == ["poe"] or arguments[:1] == ("poe",):
        yield from _poe(arguments[1:], find)


# --- Task ---

_TASK_USE = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")


def _taskfile(arguments: Sequence[str], find: Find) -> Iterator[str]:
    named = _option(arguments, "-t", "--taskfile")
    stems = ("Taskfile.yml", "taskfile.yml", "Taskfile.yaml", "taskfile.yaml", "Taskfile.dist.yml")
    file = next(filter(None, map(find, (named,) if named else stems)), None)
    if file is None or isinstance(file.yaml12, Problem) or not file.yaml12:
        return
    data = file.yaml12[0].data
    tasks = _table(data, "tasks")
    words = _operands(arguments, ("-t", "--taskfile", "-d", "--dir"))
    given = dict(word.split("=", 1) for word in words if is_assignment(word))
    values = {**_scalars(_table(data, "vars")), **given}
    values["CLI_ARGS"] = shlex.join(_after_dashes(arguments))
    for name in [word for word in words if not is_assignment(word)] or ["default"]:
        yield from _taskfile_lines(tasks, name, values, 0)


def taskfile_lines(file: SourceFile) -> Iterator[str]:
    """What every task of a Taskfile runs."""
    if isinstance(file.yaml12, Problem) or not file.yaml12:
        return
    data = file.yaml12[0].data
    values = _scalars(_table(data, "vars"))
    for name in _table(data, "tasks"):
        yield from itertools.islice(_taskfile_lines(_table(data, "tasks"), name, values, 0), MAX_LINES)


def _scalars(table: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in table.items() if isinstance(value, str | int | float)}


def _taskfile_lines(
    tasks: Mapping[str, Any], name: str, values: Mapping[str, str], depth: int
) -> Iterator[str]:
    task = tasks.get(name)
    if depth > MAX_NESTING or task is None:
        return
    if not isinstance(task, dict):
        task = {"cmds": task if isinstance(task, list) else [task]}
    values = {**_scalars(_table(task, "vars")), **values}
    for need in task["deps"] if isinstance(task.get("deps"), list) else ():
        inner = need.get("task") if isinstance(need, dict) else need
        yield from _taskfile_lines(tasks, str(inner), values, depth + 1)
    commands = task.get("cmds", task.get("cmd"))
    for each in commands if isinstance(commands, list) else [commands]:
        ignored = task.get("ignore_error") is True
        match each:
            case {"task": str(inner), **rest}:
                own = {**values, **_scalars(_table(rest, "vars"))}
                lines = list(_taskfile_lines(tasks, inner, own, depth + 1))
                yield from (_line(line, ignored=ignored) for line in lines)
            case {"cmd": str(text), **rest}:
                yield _line(_filled(text, values), ignored=ignored or rest.get("ignore_error") is True)
            case str():
                yield _line(_filled(each, values), ignored=ignored)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _TASK_USE.sub(lambda found: values.get(found[1], found[0])[:MAX_EXPANDED], text)[:MAX_EXPANDED]


# --- mise ---


def _mise(arguments: Sequence[str], find: Find) -> Iterator[str]:
    words = _operands(arguments)
    names = words[1:2] if words[:1] in (["run"], ["r"]) else words[:1]
    tasks = _table(_toml(find, "mise.toml", ".mise.toml"), "tasks")
    for name in names:
        yield from _mise_lines(tasks, name, 0)


def _mise_lines(tasks: Mapping[str, Any], name: str, depth: int) -> Iterator[str]:
    task = tasks.get(name)
    if task is None or depth > MAX_NESTING:
        return
    for need in _texts(task.get("depends")) if isinstance(task, dict) else ():
        yield from _mise_lines(tasks, need, depth + 1)
    for text in _texts(task.get("run") if isinstance(task, dict) else task):
        yield _line(text)


# --- invoke and nox: tasks that are Python functions ---


def _invoke(arguments: Sequence[str], find: Find) -> Iterator[str]:
    named = _option(arguments, "-c", "--collection")
    names = (f"{named}.py",) if named else ("tasks.py", "tasks/__init__.py")
    file = next(filter(None, map(find, names)), None)
    if file is None or not isinstance(file.python, ast.Module):
        return
    functions = _Functions(Module(file), ("run", "sudo", "local"))
    for word in _operands(arguments, ("-c", "--collection", "-r", "--search-root")):
        name = word.rpartition(".")[2]
        yield from functions.lines(name if name in functions.names else name.replace("-", "_"), 0)


def _nox(arguments: Sequence[str], find: Find) -> Iterator[str]:
    file = find(_option(arguments, "-f", "--noxfile") or "noxfile.py")
    if file is None or not isinstance(file.python, ast.Module):
        return
    functions = _Functions(Module(file), ("run", "run_always"))
    words = list(arguments)
    chosen: list[str] = []
    for index, word in enumerate(words):
        if word in ("-s", "--session", "--sessions", "-e"):
            chosen += itertools.takewhile(lambda each: not each.startswith("-"), words[index + 1 :])
        elif word.startswith(("--session=", "--sessions=")):
            chosen.append(word.partition("=")[2])
    posargs = _after_dashes(arguments)
    names = [
        name.partition("-")[0].partition("(")[0] if name not in functions.names else name for name in chosen
    ]
    for name in names or functions.default or list(functions.names) or functions.all:
        yield from (_with_posargs(line, posargs) for line in functions.lines(name, 0))


def _with_posargs(line: str, posargs: Sequence[str]) -> str:
    return line.replace(shlex.quote(_UNTOLD), shlex.join(posargs)) if posargs else line


class _Functions:
    """The tasks of a Python file: its functions by name, and what each of them starts."""

    def __init__(self, module: Module, calls: Sequence[str]) -> None:
        self._module = module
        self._calls = calls
        self._functions = {
            node.name: node
            for node in module.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.names: dict[str, str] = {}
        for node in self._functions.values():
            decorated = [each for each in node.decorator_list if self._is_task(each)]
            for decorator in decorated:
                name = self._keyword(decorator, "name")
                self.names[name if isinstance(name, str) else node.name] = node.name

    @property
    def all(self) -> list[str]:
        """Every function of the file."""
        return list(self._functions)

    @property
    def default(self) -> list[str]:
        """The sessions of `nox.options.sessions`."""
        for node in self._module.tree.body:
            match node:
                case ast.Assign(targets=[ast.Attribute(attr="sessions")], value=value):
                    return _texts(self._module.constant(value))
        return []

    @staticmethod
    def _is_task(node: ast.expr) -> bool:
        node = node.func if isinstance(node, ast.Call) else node
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return name in ("task", "session", "parametrize")

    def _keyword(self, decorator: ast.expr, name: str) -> Any:
        if not isinstance(decorator, ast.Call):
            return None
        found = (each.value for each in decorator.keywords if each.arg == name)
        return next(map(self._module.constant, found), None)

    def lines(self, name: str, depth: int) -> Iterator[str]:
        """What a task runs, those that it needs first, and functions of the file that it calls."""
        node = self._functions.get(self.names.get(name, name))
        if node is None or depth > MAX_NESTING:
            return
        for need in self._needs(node, ("pre",)):
            yield from self.lines(need, depth + 1)
        calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
        for call in sorted(calls, key=lambda each: (each.lineno, each.col_offset)):
            match call.func:
                case ast.Attribute(attr=attribute) if attribute in self._calls:
                    yield from self._started(call)
                case ast.Name(id=inner) if inner in self._functions and inner != name:
                    yield from self.lines(inner, depth + 1)
        for need in self._needs(node, ("post",)):
            yield from self.lines(need, depth + 1)

    def _needs(self, node: ast.FunctionDef | ast.AsyncFunctionDef, keywords: Sequence[str]) -> Iterator[str]:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or not self._is_task(decorator):
                continue
            values = [each.value for each in decorator.keywords if each.arg in keywords]
            listed = [
                item for value in values if isinstance(value, ast.List | ast.Tuple) for item in value.elts
            ]
            for item in [*(decorator.args if "pre" in keywords else ()), *listed]:
                if isinstance(item, ast.Name):
                    yield item.id

    def _started(self, call: ast.Call) -> Iterator[str]:
        words = [self._text(argument) for argument in call.args]
        if not words:
            return
        ignored = any(
            each.arg == "warn" and self._module.constant(each.value) is True for each in call.keywords
        )
        # invoke takes one line for a shell, nox words.
        yield _line(words[0] if len(words) == 1 else shlex.join(words), ignored=ignored)

    def _text(self, node: ast.expr) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part) for part in node.values)
        value = self._module.constant(node.value if isinstance(node, ast.FormattedValue) else node)
        return value if isinstance(value, str) else _UNTOLD


# --- tox ---

_POSITIONAL = re.compile(r"\{posargs(?::([^{}]*))?\}|\{\[[^\]]*\][^{}]*\}")


def _tox(arguments: Sequence[str], find: Find) -> Iterator[str]:
    posargs = shlex.join(_after_dashes(arguments))
    own = list(arguments[: arguments.index("--")]) if "--" in arguments else list(arguments)
    given = _option(own, "-e", "--env", "-epy")
    glued = [word[2:] for word in own if re.fullmatch(r"-e[\w,.-]+", word)]
    chosen = [each.strip() for each in ",".join([given, *glued]).split(",") if each.strip()]
    native = _toml(find, "tox.toml") or _tool(find, "tox")
    legacy = native.get("legacy_tox_ini")
    if native and not isinstance(legacy, str):
        yield from _tox_tables(native, chosen, posargs)
        return
    for name in ("tox.ini", "setup.cfg"):
        file = find(name)
        text = legacy if isinstance(legacy, str) else getattr(file, "text", "")
        parser = parse_ini(text if isinstance(text, str) else "", name)
        if isinstance(parser, Problem):
            continue
        sections = _sections(parser.sections(), chosen)
        for section in sections:
            for line in parser.get(section, "commands", fallback="").replace("\\\n", " ").splitlines():
                yield from _tox_line(line, posargs)
        if sections:
            return


def _sections(names: Iterable[str], chosen: Sequence[str]) -> list[str]:
    """The sections of the chosen environments; `[testenv]` for those that have none of their own."""
    known = [name for name in names if name == "testenv" or name.startswith("testenv:")]
    if not chosen or "ALL" in chosen:
        return known
    return list(
        dict.fromkeys(
            f"testenv:{name}" if f"testenv:{name}" in known else "testenv"
            for name in chosen
            if f"testenv:{name}" in known or "testenv" in known
        )
    )


def _tox_line(line: str, posargs: str) -> Iterator[str]:
    text = line.strip()
    if text and not text.startswith("#"):
        filled = _POSITIONAL.sub(lambda found: posargs or found[1] or "", text)
        yield _line(filled.lstrip("-! "), ignored=text.startswith("-"))


def _tox_tables(data: Mapping[str, Any], chosen: Sequence[str], posargs: str) -> Iterator[str]:
    base, envs = _table(data, "env_run_base"), _table(data, "env")
    tables = [_table(envs, name) or base for name in chosen] or [base, *(each for each in envs.values())]
    for table in tables:
        commands = table.get("commands", base.get("commands")) if isinstance(table, dict) else None
        for command in commands if isinstance(commands, list) else ():
            words = command if isinstance(command, list) else []
            texts = [word if isinstance(word, str) else _UNTOLD for word in words]
            if texts:
                ignored = texts[0] == "-"
                joined = shlex.join(texts[1:] if ignored else texts)
                yield _line(
                    _with(joined, shlex.split(posargs)) if _UNTOLD in texts else joined, ignored=ignored
                )


_RUNNERS: Mapping[str, Callable[[Sequence[str], Find], Iterator[str]]] = {
    "just": _just,
    "hatch": _hatch_itself,
    "pdm": _pdm_itself,
    "poe": _poe,
    "poethepoet": _poe,
    "poetry": _poetry,
    "inv": _invoke,
    "invoke": _invoke,
    "task": _taskfile,
    "go-task": _taskfile,
    "mise": _mise,
    "nox": _nox,
    "tox": _tox,
}
_NAMED = re.compile(rf"(?<![\w.-])(?:{'|'.join((*_RUNNERS, *_SCRIPTS))})\s+[\w:-]")


def names_a_runner(text: str) -> bool:
    """Whether a script calls a task runner: a quick look, to spare reading those that do not."""
    return _NAMED.search(text) is not None
