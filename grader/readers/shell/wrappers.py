"""What a command line runs in the end, once `sudo`, `poetry run`, `python -m` and the like are taken off."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_WRAPPERS = 20
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_VERSIONED = re.compile(r"(python|pip|pypy)\d*(?:\.\d+)*t?(?:\.exe)?")
_ALIASES = {"py.test": "pytest", "pytest-3": "pytest", "py": "python"}


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """A program that runs the one named in its arguments."""

    values: frozenset[str] = frozenset()
    """Its options that take a value."""
    positional: int = 0
    """Its own arguments before that program's name."""


def _wrapper(values: str = "", positional: int = 0) -> _Wrapper:
    return _Wrapper(frozenset(values.split()), positional)


_UV = _wrapper(
    "--with --with-editable --with-requirements --extra --no-extra --group --no-group --only-group -p "
    "--python --project --directory --env-file --index --index-url --default-index --extra-index-url "
    "--package -f --find-links --config-file --cache-dir --from --color --link-mode"
)
_CONDA = _wrapper("-n --name -p --prefix --cwd")
_WRAPPERS: dict[tuple[str, ...], _Wrapper] = {
    ("sudo",): _wrapper("-u --user -g --group -h --host -p --prompt -C -T -D --chdir -r -t"),
    ("doas",): _wrapper("-u -C"),
    ("env",): _wrapper("-u --unset -C --chdir"),
    ("exec",): _wrapper("-a"),
    ("command",): _wrapper(),
    ("builtin",): _wrapper(),
    ("nohup",): _wrapper(),
    ("setsid",): _wrapper(),
    ("chronic",): _wrapper(),
    ("time",): _wrapper("-f -o --format --output"),
    ("nice",): _wrapper("-n --adjustment"),
    ("ionice",): _wrapper("-c -n --class --classdata"),
    ("stdbuf",): _wrapper("-i -o -e --input --output --error"),
    ("timeout",): _wrapper("-s --signal -k --kill-after", positional=1),
    ("xargs",): _wrapper("-I -n -P -L -d -a -s -E --max-args --max-procs --delimiter --arg-file"),
    ("xvfb-run",): _wrapper("-s -n -e -f -p -w"),
    ("tini",): _wrapper("-e -p"),
    ("dumb-init",): _wrapper("-r --rewrite"),
    ("gosu",): _wrapper(positional=1),
    ("su-exec",): _wrapper(positional=1),
    ("poetry", "run"): _wrapper("-C --directory -P --project"),
    ("pipenv", "run"): _wrapper(),
    ("pdm", "run"): _wrapper("-p --project -v --venv"),
    ("hatch", "run"): _wrapper("-e --env"),
    ("rye", "run"): _wrapper("-p --pyproject"),
    ("pixi", "run"): _wrapper("-e --environment --manifest-path"),
    ("conda", "run"): _CONDA,
    ("mamba", "run"): _CONDA,
    ("micromamba", "run"): _CONDA,
    ("pipx", "run"): _wrapper("--spec --python --index-url"),
    ("uv", "run"): _UV,
    ("uv", "tool", "run"): _UV,
    ("uvx",): _UV,
    ("direnv", "exec"): _wrapper(positional=1),
    ("mise", "exec"): _wrapper(),
    ("mise", "x"): _wrapper(),
    ("asdf", "exec"): _wrapper(),
    ("pyenv", "exec"): _wrapper(),
    ("dotenv", "run"): _wrapper("-f --file"),
    ("doppler", "run"): _wrapper("-p --project -c --config -t --token"),
    ("infisical", "run"): _wrapper("--env --path --projectId"),
    ("op", "run"): _wrapper("--env-file"),
    ("aws-vault", "exec"): _wrapper("-d --duration --region", positional=1),
    ("chamber", "exec"): _wrapper(positional=1),
    ("apptainer", "exec"): _wrapper("-B --bind --env --pwd", positional=1),
    ("singularity", "exec"): _wrapper("-B --bind --env --pwd", positional=1),
    ("devcontainer", "exec"): _wrapper("--workspace-folder --config --container-id --id-label --remote-env"),
    ("flock",): _wrapper("-w --timeout --wait -E --conflict-exit-code", positional=1),
    ("taskset",): _wrapper(positional=1),
    ("unbuffer",): _wrapper(),
    ("ddtrace-run",): _wrapper(),
    ("opentelemetry-instrument",): _wrapper("--traces_exporter --metrics_exporter --service_name"),
}
_PYTHON_RUNNERS = frozenset({"uv", "rye", "pdm", "hatch"})
_VERSIONED_RUNNERS = frozenset({"uv", "uvx", "pipx"})
"""Runners for which a program may have a version, `uvx ruff@0.8`, `pipx run black==24.10`."""
_PYTHON_VALUES = frozenset({"-W", "-X", "--check-hash-based-pycs"})


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A command line's program and what it is given."""

    program: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    module: bool = False


def is_assignment(word: str) -> bool:
    """Whether a word in front of a command sets a variable."""
    return _ASSIGNMENT.match(word) is not None


def name_of(word: str) -> str:
    """A program's name: without its path, its extension and, for Python and pip, its version."""
    name = re.split(r"[/\\]", word)[-1]
    versioned = _VERSIONED.fullmatch(name)
    return versioned[1] if versioned else _ALIASES.get(name, name)


def unwrap(words: Sequence[str]) -> Unwrapped:
    """Take off the wrappers, however many."""
    rest, environment = list(words), dict[str, str]()
    module = False
    for _ in range(MAX_WRAPPERS):
        inner = _inside(rest, environment)
        if not inner:
            break
        module = name_of(rest[0]) == "python"
        rest = inner
    return Unwrapped(name_of(rest[0]) if rest else "", tuple(rest[1:]), environment, module)


def _inside(words: list[str], environment: dict[str, str]) -> list[str]:
    """The words of the wrapped command, or none where there is no wrapper; notes variables on the way."""
    if not words:
        return []
    program = name_of(words[0])
    if program == "python":
        return _module(words[1:])
    if program == "nix":
        return _in_a_nix_shell(words)
    if program == "command" and words[1:2] in (["-v"], ["-V"]):
        return []  # it asks where a program is
    for length in (3, 2, 1):
        key = _key(program, words, length)
        if key is not None and (wrapper := _WRAPPERS.get(key[0])) is not None:
            return _wrapped(words[key[1] :], wrapper, environment, program)
    return []


def _key(program: str, words: list[str], length: int) -> tuple[tuple[str, ...], int] | None:
    """The first `length` words that are no options (`poetry -C app run`), and where they end."""
    if length == 1:
        return (program,), 1
    found, index = [program], 1
    values = {"-C", "--directory", "-P", "--project", "--manifest-path", "-n"}
    while index < len(words) and len(found) < length:
        if not words[index].startswith("-"):
            found.append(words[index])
        elif words[index] in values:
            index += 1
        index += 1
    return (tuple(found), index) if len(found) == length else None


def _wrapped(words: list[str], wrapper: _Wrapper, environment: dict[str, str], program: str) -> list[str]:
    index, positional = 0, wrapper.positional
    while index < len(words):
        word = words[index]
        if program == "uv" and word in ("-m", "--module"):
            return ["python", "-m", *words[index + 1 :]]
        if word == "--":
            index += 1
            if not positional:
                break
            continue
        if word.startswith("-"):
            index += 2 if word in wrapper.values else 1
        elif is_assignment(word) and program not in _VERSIONED_RUNNERS:
            name, _, value = word.partition("=")
            environment[name] = value
            index += 1
        elif positional:
            positional -= 1
            index += 1
        else:
            break
    rest = words[index:]
    if program in _PYTHON_RUNNERS and rest and rest[0].endswith(".py"):
        return ["python", *rest]
    if program in _VERSIONED_RUNNERS and rest:
        return [rest[0].partition("@")[0].partition("==")[0] or rest[0], *rest[1:]]
    return rest


def _in_a_nix_shell(words: list[str]) -> list[str]:
    """What `nix develop … --command program` runs; none where nothing is given."""
    given = next((index for index, word in enumerate(words) if word in ("-c", "--command")), len(words))
    return words[given + 1 :] if words[1:2] in (["develop"], ["shell"]) else []


def _module(words: list[str]) -> list[str]:
    """`-m module arguments` as `module arguments`; none where Python runs a file or a string."""
    index = 0
    while index < len(words):
        word = words[index]
        if word == "-m":
            return words[index + 1 :]
        if word.startswith("-m") and len(word) > 2:
            return [word[2:], *words[index + 1 :]]
        if not word.startswith("-") or word in ("-", "-c"):
            return []
        index += 2 if word in _PYTHON_VALUES else 1
    return []
