"""The arguments that a script takes: argparse, click, typer and `sys.argv`, read from its syntax tree."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_PAGE = 20_000
"""Characters of a help page that are read."""
MAX_DEFAULT = 200
MAX_WORDS = 9
"""Of `sys.argv` that are looked for."""
MAX_NESTING = 10
"""Brackets within brackets on a usage line."""
CONFIGURATION = "config cfg conf params settings"
"""The words that name a parameter for a configuration: one without a name is never that."""
_USAGE = re.compile(r"(?im)^[^\w\n]*usage\b\s*:?\s*")
_VALUE = r"(?:<\w+>|[A-Z][A-Z_]+)"
_FOLDERS = frozenset({"dir", "directory", "folder", "root"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """An argument of a command line that takes a value."""

    name: str
    """As its author calls it, `reference_path`; empty for a bare `sys.argv[1]`."""
    flag: str = ""
    """`--reference-path`; empty for a positional argument."""
    required: bool = False
    default: str = ""
    """The text that it is worth where it is left out; empty where that is nothing, or no text."""
    short: str = ""
    """`-r`, where it has such a name too."""
    position: int = 0
    """The index in `sys.argv`, so that two without a name are two."""


def parameters(module: ast.Module) -> tuple[Parameter, ...]:
    """Every argument with a value, positional ones in their order."""
    found = [
        *_argparse(module),
        *(parameter for function in _functions(module) for parameter in _click(function)),
        *(parameter for function in _functions(module) for parameter in _typer(function, module)),
        *(parameter for function in _functions(module) for parameter in _fire(function, module)),
    ]
    return tuple(dict.fromkeys(found or _argv(module)))


def from_help(text: str) -> tuple[Parameter, ...]:
    """Long options with a value from a `--help` page, for parsers that nothing else knows.

    Python before 3.13 repeats the value: `-i INPUT, --input INPUT`.
    """
    short = rf"(?:-\w(?:[ =]{_VALUE})?,? +)?"
    pattern = rf"(?m)^(?>(?:[^\S\n]|[|│*])*){short}(--[a-z][\w-]*)[ =]+{_VALUE}"
    options = re.findall(pattern, text[:MAX_PAGE])
    return tuple(Parameter(name=_bare(flag), flag=flag) for flag in dict.fromkeys(options))


def from_usage(text: str, given: Sequence[str] = ()) -> tuple[Parameter, ...]:
    """What a usage line says that a program cannot do without: `usage: x.py [-h] --config CONFIG DATA`.

    An option without a value is a flag, and what stands in brackets may be left out. Empty where the text has
    no such line, or one that tells nothing.

    Args:
        given: words that the program got already, the name of one of its commands.
    """
    found = _USAGE.search(text[:MAX_PAGE])
    if found is None:
        return ()
    # It goes on in lines that are indented more than its first one.
    line = re.split(r"\n(?=\S)|\n\s*\n", text[found.start() :], maxsplit=1)[0]
    words = usage_words(_USAGE.sub("", line, count=1))
    program = next((n for n, word in enumerate(words) if re.search(r"\.(?:py|sh)$", word)), None)
    start = program if program is not None else 2 if "-m" in words[:2] else 0
    required: list[Parameter] = []
    rest = words[start + 1 :]
    while rest and rest[0] in given:
        rest = rest[1:]
    while rest:
        word, *rest = rest
        if word.startswith("-"):
            flag, equals, _ = word.partition("=")
            if equals or (rest and not rest[0].startswith("-")):
                # Of `-i INPUT`, only the second says what it is.
                name = _bare(flag) if flag.startswith("--") or equals else rest[0].strip("<>").lower()
                required.append(Parameter(name=name, flag=flag, required=True))
                rest = rest if equals else rest[1:]
        elif word.strip(".…"):
            name = re.sub(r"\W+", "_", word).strip("_").lower()
            required.append(Parameter(name=name, required=True, position=len(required) + 1))
    return tuple(required)


def usage_words(line: str) -> list[str]:
    """The words of a usage line, without those in brackets."""
    for _ in range(MAX_NESTING):
        line = re.sub(r"\[[^\[\]]*\]", " ", line)
    return re.findall(r"<[^<>\n]*>|[^\s<>]+", line)


def _bare(flag: str) -> str:
    return flag.strip("-").replace("-", "_")


def words_for(
    found: Sequence[Parameter], values: Mapping[str, str], *, spare: bool = True, overriding: bool = True
) -> tuple[str, ...]:
    """The words that give each parameter its value.

    Args:
        values: value by the words that name a parameter of its kind (`reference baseline ref`). A
            positional argument that none of them names takes the next value not used yet.
        spare: also those that the program can do without.
        overriding: also those that it has a value of its own for.
    """
    chosen = values_for(found, values)
    given = {
        parameter: value
        for parameter, value in chosen.items()
        if parameter.required or (spare and (overriding or not parameter.default))
    }
    options = [word for p, value in given.items() if p.flag for word in (p.flag, value)]
    return (*options, *(given[p] for p in found if p in given and not p.flag))


def values_for(found: Sequence[Parameter], values: Mapping[str, str]) -> dict[Parameter, str]:
    """The value of each parameter that one of the values is for: see `words_for`."""
    left = dict(values)
    chosen: dict[Parameter, str] = {}
    for parameter in found:
        kind = next((kind for kind in left if is_named(parameter.name, kind)), None)
        if kind is not None:
            chosen[parameter] = left.pop(kind)
    for parameter in found:
        kind = next((kind for kind in left if kind != CONFIGURATION), None)
        if parameter not in chosen and parameter.required and not parameter.flag and kind is not None:
            chosen[parameter] = left.pop(kind)
    return {parameter: in_folder(parameter.name, value) for parameter, value in chosen.items()}


def in_folder(name: str, value: str) -> str:
    """The value, or the folder that it stands in where a parameter's name says that it takes a folder."""
    path = PurePosixPath(value)
    return str(path.parent) if _FOLDERS & set(_tokens(name)) and path.suffix and "://" not in value else value


def is_named(name: str, kind: str) -> bool:
    """Whether a parameter's name says that it is of a kind, one of whose words it has."""
    tokens = set(_tokens(name))
    return any(word in tokens or (len(word) > 3 and word in name.lower()) for word in kind.split())


def _tokens(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", name.lower())


def _functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _argparse(module: ast.Module) -> Iterator[Parameter]:
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument")):
                keywords = _keywords(node)
                action = keywords.get("action")
                if action is not None and action not in ("store", "append"):
                    continue
                yield from _one(_strings(node), keywords, required=bool(keywords.get("required")))


def _one(names: Sequence[str], keywords: Mapping[str, object], *, required: bool) -> Iterator[Parameter]:
    flags = [name for name in names if name.startswith("-")]
    if flags:
        flag = next((name for name in flags if name.startswith("--")), flags[0])
        short = next((name for name in flags if not name.startswith("--") and name != flag), "")
        own = _default(keywords)
        yield Parameter(name=_bare(flag), flag=flag, short=short, required=required, default=own)
    elif names:
        optional = keywords.get("nargs") in ("?", "*")
        yield Parameter(name=names[0], required=not optional, default=_default(keywords))


def _default(keywords: Mapping[str, object]) -> str:
    """The default as text; what stands in a name is one too, though nobody knows which."""
    default = keywords.get("default")
    match default:
        case ast.Call(args=[ast.Constant(value=str(text)), *_]):  # Path("data/in.csv")
            return text
        case ast.AST():
            return ast.unparse(default)[:MAX_DEFAULT]
    return "" if default is None or default is ... else str(default)


def _click(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Parameter]:
    for decorator in function.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        keywords = _keywords(decorator)
        match _last_name(decorator.func):
            case "option" if not keywords.get("is_flag") and not keywords.get("count"):
                flags = [name.partition("/")[0] for name in _strings(decorator) if name.startswith("-")]
                yield from _one(flags, keywords, required=bool(keywords.get("required")))
            case "argument":
                optional = keywords.get("required") is False or "default" in keywords
                given = {**keywords, "nargs": "?" if optional else None}
                yield from _one(_strings(decorator), given, required=True)


def _typer(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[Parameter]:
    """Typer makes options of parameters with a default and positional arguments of the others."""
    if not _is_typer_command(function, module):
        return
    arguments = [*function.args.posonlyargs, *function.args.args]
    gap = len(arguments) - len(function.args.defaults)
    pairs = [
        *((argument, None) for argument in arguments[:gap]),
        *zip(arguments[gap:], function.args.defaults, strict=True),
        *zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        yield from _typer_parameter(argument, default)


def _typer_parameter(argument: ast.arg, default: ast.expr | None) -> Iterator[Parameter]:
    if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "bool":
        return
    calls = [default, *(ast.walk(argument.annotation) if argument.annotation else ())]
    kinds = {_last_name(call.func): call for call in calls if isinstance(call, ast.Call)}
    call = kinds.get("Option") or kinds.get("Argument")
    required = default is None or _ellipsis_first(default)
    own = _default({"default": _typer_default(default)})
    if "Argument" in kinds or (default is None and "Option" not in kinds):
        yield Parameter(name=argument.arg, required=required, default=own)
        return
    flags = [name for name in _strings(call) if name.startswith("--")] if call else []
    flag = flags[0] if flags else "--" + argument.arg.replace("_", "-")
    yield Parameter(name=argument.arg, flag=flag, required=required, default=own)


def _typer_default(node: ast.expr | None) -> object:
    """What a parameter is worth: `"x"`, `Path("x")`, `typer.Option("x")`."""
    if isinstance(node, ast.Call) and _last_name(node.func) in ("Option", "Argument"):
        first = (
            node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "default"), None)
        )
        return _typer_default(first)
    return node.value if isinstance(node, ast.Constant) else node


def _fire(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> Iterator[Parameter]:
    """`fire.Fire(main)` makes an option of each parameter."""
    named = any(
        isinstance(node, ast.Call)
        and _last_name(node.func) == "Fire"
        and any(isinstance(argument, ast.Name) and argument.id == function.name for argument in node.args[:1])
        for node in ast.walk(module)
    )
    if not named:
        return
    arguments = [*function.args.posonlyargs, *function.args.args]
    gap = len(arguments) - len(function.args.defaults)
    for argument, default in zip(arguments, [*[None] * gap, *function.args.defaults], strict=True):
        own = _default({"default": default.value if isinstance(default, ast.Constant) else default})
        yield Parameter(name=argument.arg, flag=f"--{argument.arg}", required=default is None, default=own)


def _ellipsis_first(node: ast.expr) -> bool:
    match node:
        case ast.Call(args=[ast.Constant(value=value), *_]):
            return value is ...
    return False


def _is_typer_command(function: ast.FunctionDef | ast.AsyncFunctionDef, module: ast.Module) -> bool:
    imported = any(
        (isinstance(node, ast.Import) and any(alias.name == "typer" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "typer")
        for node in ast.walk(module)
    )
    if not imported:
        return False
    decorators = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    decorated = any(_last_name(decorator) in ("command", "callback") for decorator in decorators)
    return decorated or any(
        isinstance(node, ast.Call)
        and _last_name(node.func) == "run"
        and any(isinstance(argument, ast.Name) and argument.id == function.name for argument in node.args)
        for node in ast.walk(module)
    )


def _argv(module: ast.Module) -> list[Parameter]:
    """What a program takes of `sys.argv`, by index or by slice, unpacked, counted or matched; in order."""
    functions = {each.name: each for each in _functions(module)}
    lists = _argument_lists(module)
    found: dict[int, str] = {}
    count = 0
    for node in ast.walk(module):
        name = ""
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        for index in _argv_indexes(node, lists):
            found[index] = found.get(index) or name
        found |= _unpacked(node, lists)
        found |= _matched(node, lists)
        found |= {index: name for index, name in _handed_on(node, functions) if not found.get(index)}
        count = max(count, _counted(node, lists))
    found = {**dict.fromkeys(range(1, count + 1), ""), **found}
    return [Parameter(name=found[index], required=True, position=index) for index in sorted(found)]


def _argument_lists(module: ast.Module) -> dict[str, int]:
    """Names of lists of the program's words -> the index in `sys.argv` of the first of them."""
    found = {"argv": 0}
    for node in ast.walk(module):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                start = _start_of(value, found)
                if start is not None:
                    found.setdefault(name, start)
    return found


def _start_of(node: ast.expr, lists: Mapping[str, int]) -> int | None:
    """The index in `sys.argv` of a list's first word: `sys.argv[1:]`, `words`; None for another list."""
    match node:
        case ast.Subscript(value=value, slice=ast.Slice(lower=lower)):
            start = _start_of(value, lists)
            first = lower.value if isinstance(lower, ast.Constant) else 0 if lower is None else None
            return start + first if start is not None and isinstance(first, int) and first >= 0 else None
        case ast.Attribute(value=ast.Name(id="sys"), attr="argv"):
            return 0
        case ast.Name(id=name):
            return lists.get(name)
    return None


def _unpacked(node: ast.AST, lists: Mapping[str, int]) -> dict[int, str]:
    """`reference, current = sys.argv[1:]`, `a, b = map(Path, sys.argv[1:3])`, `_, a, b = sys.argv`."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=names) | ast.List(elts=names)], value=value):
            match value:
                case (
                    ast.Call(args=[*_, inner]) | ast.GeneratorExp(generators=[ast.comprehension(iter=inner)])
                ):
                    start = _start_of(inner, lists)
                case ast.ListComp(generators=[ast.comprehension(iter=inner)]):
                    start = _start_of(inner, lists)
                case _:
                    start = _start_of(value, lists)
            if start is not None:
                numbered = enumerate(names, start=start)
                return {n: each.id for n, each in numbered if n and isinstance(each, ast.Name)}
    return {}


def _matched(node: ast.AST, lists: Mapping[str, int]) -> dict[int, str]:
    """`match sys.argv: case [_, source, target]:`, by the case that takes most words."""
    if not isinstance(node, ast.Match) or (start := _start_of(node.subject, lists)) is None:
        return {}
    cases = [each.pattern.patterns for each in node.cases if isinstance(each.pattern, ast.MatchSequence)]
    longest = max(cases, key=len, default=[])
    named = ((n, each) for n, each in enumerate(longest, start=start) if isinstance(each, ast.MatchAs))
    return {n: each.name or "" for n, each in named if n}


def _counted(node: ast.AST, lists: Mapping[str, int]) -> int:
    """How many words a program says that it wants: `len(sys.argv) != 3`, `len(args) < 2`."""
    match node:
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="len"), args=[counted]),
            ops=[ast.NotEq() | ast.Lt() | ast.Eq() | ast.GtE()],
            comparators=[ast.Constant(value=int(number))],
        ):
            start = _start_of(counted, lists)
            return min(number - 1 + start, MAX_WORDS) if start is not None else 0
    return 0


def _handed_on(
    node: ast.AST, functions: Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef]
) -> Iterator[tuple[int, str]]:
    """Index and name where a function of the module takes words: `f(sys.argv[1])`, `f(*sys.argv[1:3])`."""
    if not isinstance(node, ast.Call) or (function := functions.get(_last_name(node.func))) is None:
        return
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    required = names[: len(names) - len(function.args.defaults)]
    for place, argument in enumerate(node.args):
        match argument:
            case ast.Starred(value=ast.Subscript(value=value, slice=ast.Slice(upper=upper))):
                if _last_name(value) == "argv":
                    last = upper.value if isinstance(upper, ast.Constant) else None
                    count = last - 1 if isinstance(last, int) else len(required) - place
                    yield from enumerate(names[place : place + max(0, count)], start=1)
            case _:
                for index in _argv_indexes(argument, {"argv": 0}):
                    if place < len(names):
                        yield index, names[place]


def _argv_indexes(node: ast.AST, lists: Mapping[str, int]) -> Iterator[int]:
    for inner in ast.walk(node):
        match inner:
            case ast.Subscript(value=value, slice=ast.Constant(value=int(index))):
                start = _start_of(value, lists)
                if start is not None and 0 < start + index <= MAX_WORDS and index >= 0:
                    yield start + index


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _strings(call: ast.Call) -> list[str]:
    constants = (node.value for node in call.args if isinstance(node, ast.Constant))
    return [value for value in constants if isinstance(value, str)]


def _keywords(call: ast.Call) -> dict[str, object]:
    """Keywords by name; a value that is no constant counts as there."""
    return {
        keyword.arg: keyword.value.value if isinstance(keyword.value, ast.Constant) else keyword.value
        for keyword in call.keywords
        if keyword.arg
    }
