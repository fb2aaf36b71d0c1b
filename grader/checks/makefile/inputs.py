"""The files and folders that a command needs: what it names, and what it takes where it names none."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from grader.readers.shell.pattern import parse_pattern

if TYPE_CHECKING:
    from grader.readers.shell.parser import Command
    from grader.submission.model import Submission

_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_BAKE = ("docker-bake.hcl", "docker-bake.json", "docker-bake.override.hcl", *_COMPOSE)
_PROJECT = ("pyproject.toml",)
_PACKAGE = ("pyproject.toml", "setup.py", "setup.cfg")
_KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_NOT_LOCAL = re.compile(r"[a-z][a-z0-9+.-]*:|git@|[~/$<-]|.*[*?$`{\[]", re.ASCII | re.IGNORECASE)
"""URLs, paths outside of the submission, and what only a shell can tell."""


@dataclass(frozen=True, slots=True)
class Needed:
    """One of these paths has to be there, as seen from the folder where the command runs."""

    paths: tuple[str, ...]


Read = Callable[["Command", Sequence[str]], Iterator[Needed]]
"""From a command, and its operands, to what it needs."""


def _one(*paths: str) -> Iterator[Needed]:
    if not any(_NOT_LOCAL.match(path) for path in paths):
        yield Needed(tuple(posixpath.normpath(path) for path in paths))


def _all(paths: Sequence[str]) -> Iterator[Needed]:
    for path in paths:
        yield from _one(path)


def _image(*usual: str) -> Read:
    """A build of an image: a context, and in it a Dockerfile, unless another file is named."""

    def read(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
        context = operands[0] if operands else ""
        if not context or _NOT_LOCAL.match(context):
            return
        file = command.option("-f", "--file")
        if file is None:
            yield from _one(*(posixpath.join(context, name) for name in usual))
        else:
            yield from _one(context)
            yield from _one(file)

    return read


def _named(*options: str, usual: Sequence[str] = ()) -> Read:
    """Files that options name, or else the usual ones, of which there has to be one."""

    def read(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
        del operands
        named = [path for value in command.values(*options) for path in value.split(",")]
        if named:
            yield from _all(named)
        elif usual and not command.has(*_ELSEWHERE) and not command.values(*_ELSEWHERE):
            yield from _one(*usual)

    return read


_ELSEWHERE = ("-C", "--directory", "--project", "--project-directory", "-P", "--cwd", "--manifest-path")
"""Options with which a program looks for its files in another folder."""


def _manifests(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    del operands
    for value in command.values("-f", "--filename"):
        yield from _all(value.split(","))
    for folder in command.values("-k", "--kustomize"):
        yield from _overlay(command, [folder])


def _overlay(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    del command
    folder = next(iter(operands), ".")
    yield from _one(*(posixpath.join(folder, name) for name in _KUSTOMIZATION))


def _chart(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    yield from _all([path for value in command.values("-f", "--values") for path in value.split(",")])
    chart = operands[1] if len(operands) > 1 else ""
    # `repository/chart` names no folder where a repository is meant.
    remote = command.option("--repo") is not None or command.option("--version") is not None
    if chart and not remote and not _NOT_LOCAL.match(chart):
        yield Needed(
            (posixpath.join(chart, "Chart.yaml"), chart)
            if chart.endswith(".tgz")
            else (posixpath.join(chart, "Chart.yaml"),)
        )


def _pip(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    yield from _all(command.values("-r", "--requirement", "--requirements", "-c", "--constraint"))
    for operand in (*operands, *command.values("-e", "--editable")):
        path = operand.partition("[")[0]
        if path == "." or path.startswith(("./", "../")) or path.endswith("/"):
            yield from _one(*(posixpath.join(path, name) for name in _PACKAGE))
        elif path.endswith(".whl"):
            yield from _one(path)


def _operands(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    del command
    yield from _all([operand.partition("::")[0] for operand in operands])


def _checked(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    """Sources that a linter is to look at, `format` and `check` being words of its own."""
    words = (
        operands[1:] if command.program == "ruff" and operands[:1] in (["check"], ["format"]) else operands
    )
    yield from _all(words)


def _discovered(command: Command, operands: Sequence[str]) -> Iterator[Needed]:
    discover = operands[:1] == ["discover"]
    start = command.option("-s", "--start-directory")
    if start is not None or discover:
        yield from _all([start] if start else operands[1:2])
    else:
        yield from _all([operand for operand in operands if "/" in operand])


_READS: dict[str, Read] = {
    **dict.fromkeys(
        (
            "docker build",
            "docker image build",
            "docker buildx build",
            "docker builder build",
        ),
        _image("Dockerfile"),
    ),
    **dict.fromkeys(
        ("podman build", "podman image build", "nerdctl build", "buildah build", "buildah bud"),
        _image("Dockerfile", "Containerfile"),
    ),
    **dict.fromkeys(
        ("docker compose", "docker-compose", "podman compose", "podman-compose", "nerdctl compose"),
        _named("-f", "--file", usual=_COMPOSE),
    ),
    "docker buildx bake": _named("-f", "--file", usual=_BAKE),
    **dict.fromkeys(
        ("kubectl apply", "kubectl create", "kubectl replace", "kubectl patch", "oc apply", "kapp deploy"),
        _manifests,
    ),
    **dict.fromkeys(("kustomize build", "kubectl kustomize"), _overlay),
    **dict.fromkeys(("helm upgrade", "helm install", "helm template"), _chart),
    **dict.fromkeys(
        ("helmfile apply", "helmfile sync"),
        _named("-f", "--file", usual=("helmfile.yaml", "helmfile.yaml.gotmpl", "helmfile.d")),
    ),
    **dict.fromkeys(
        ("skaffold run", "skaffold deploy"),
        _named("-f", "--filename", usual=("skaffold.yaml", "skaffold.yml")),
    ),
    **dict.fromkeys(("pip install", "uv pip install"), _pip),
    **dict.fromkeys(("pip-sync", "uv pip sync", "cat"), _operands),
    **dict.fromkeys(
        ("uv sync", "poetry install", "poetry sync", "pdm install", "pdm sync", "hatch env", "rye sync"),
        _named(usual=_PROJECT),
    ),
    "pipenv sync": _named(usual=("Pipfile", "Pipfile.lock")),
    "pipenv install": _named("-r", "--requirements", usual=("Pipfile", "requirements.txt")),
    **dict.fromkeys(
        (
            f"{program} {words}"
            for program in ("conda", "mamba", "micromamba")
            for words in ("env create", "env update")
        ),
        _named("-f", "--file", usual=("environment.yml", "environment.yaml")),
    ),
    **dict.fromkeys(
        (f"{program} install" for program in ("conda", "mamba", "micromamba")), _named("-f", "--file")
    ),
    "pixi install": _named("--manifest-path", usual=("pixi.toml", "pyproject.toml")),
    "pytest": _operands,
    "unittest": _discovered,
    "tox": _named("-c", "--conf", usual=("tox.ini", "tox.toml", "pyproject.toml", "setup.cfg")),
    "nox": _named("-f", "--noxfile", usual=("noxfile.py",)),
    "python setup.py": _named(usual=("setup.py",)),
    **dict.fromkeys(("black", "ruff"), _checked),
}
_FLAGS = frozenset(
    [
        "--atomic",
        "--check",
        "--color",
        "--create-namespace",
        "--diff",
        "--editable",
        "--exitfirst",
        "--failfast",
        "--ff",
        "--fix",
        "--force-reinstall",
        "--install",
        "--last-failed",
        "--lf",
        "--load",
        "--no-cache",
        "--no-cache-dir",
        "--no-cov",
        "--no-deps",
        "--no-header",
        "--no-summary",
        "--preview",
        "--prune",
        "--pull",
        "--push",
        "--quiet",
        "--require-hashes",
        "--server-side",
        "--show-fixes",
        "--statistics",
        "--strict-config",
        "--strict-markers",
        "--unsafe-fixes",
        "--upgrade",
        "--user",
        "--verbose",
        "--wait",
    ]
)
"""Long options that take no value; of any other, the word after it may be one."""


_SHORT_VALUES = {
    "pytest": "-k -m -c -p -o -W -n -r",
    "unittest": "-s -p -t -k",
    "pip": "-r -c -e -i -f -t",
    "uv": "-r -c -e -i -f -t -p",
    "docker": "-t -f -m -o -v",
    "podman": "-t -f -m -o -v",
    "helm": "-f -n",
    "black": "-l -t",
    "kustomize": "-o",
}
"""Short options that take the next word, by program."""


def needs(command: Command, value_options: Sequence[str] = ()) -> list[Needed]:
    """What a command needs to be there, as far as its text tells.

    Args:
        value_options: options of the command that take the next word.
    """
    for text, read in _READS.items():
        match = parse_pattern(text, value_options=tuple(value_options)).match(command)
        if match is not None:
            return list(read(command, operands(command, match.rest, value_options)))
    return []


def operands(
    command: Command, words: Sequence[str] | None = None, value_options: Sequence[str] = ()
) -> list[str]:
    """The operands among a command's words: neither options, nor what may be the value of one."""
    words = command.arguments if words is None else words
    value_options = (*value_options, *_SHORT_VALUES.get(command.program, "").split())
    found: list[str] = []
    before = ""
    for word in words:
        may_be_value = before in value_options or (
            before.startswith("--") and "=" not in before and before not in _FLAGS
        )
        if word == "-" or (not word.startswith("-") and not may_be_value):
            found.append(word)
        before = word
    return found


def paths_there(submission: Submission, asked_for: Iterable[str] = ()) -> frozenset[str]:
    """The files and folders that a command may name.

    Args:
        asked_for: what the exam asks for besides: that it is missing is another task's loss.
    """
    names = (*submission.files, *map(PurePosixPath, submission.given), *map(PurePosixPath, asked_for))
    return frozenset(str(path) for name in names for path in (name, *name.parents))


def absent(there: Collection[str], needed: Needed, folders: Sequence[str]) -> bool:
    """Whether none of the paths is there, seen from any of these folders."""
    paths = {posixpath.normpath(posixpath.join(folder, path)) for folder in folders for path in needed.paths}
    return not any(path.startswith("..") or path in there for path in paths)


MAX_SCRIPT = 20_000
"""Characters of a recipe in which is looked for what makes a file."""
_MADE_BY = (
    r"(?:>>?\s*|(?:-o|-d|--out|--output|--output-file|--output-dir|--destination)[ =]\s*|"
    r"\b(?:tee|cp|mv|ln|mkdir|touch|rsync|tar|unzip|curl|wget|git clone|pip-compile)\b[^\n;&|]*?)"
)
_GUARDED_BY = r"(?:\[\[?|\btest)\s+(?:!\s+)?-[a-z]\s+"


def is_made(path: str, script: str) -> bool:
    """Whether a script's text makes a path, or the folder that it is in, or says where it comes from."""
    first = next(iter(PurePosixPath(path).parts), "")
    if first and re.search(rf"\bhelm repo add\s+{re.escape(first)}\s", script[:MAX_SCRIPT]):
        return True
    return _follows(_MADE_BY, path, script)


def is_guarded(path: str, script: str) -> bool:
    """Whether a script's text asks first whether a path is there."""
    return _follows(_GUARDED_BY, path, script)


def _follows(before: str, path: str, script: str) -> bool:
    parts = PurePosixPath(path).parts
    names = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    alternatives = "|".join(map(re.escape, names))
    found = re.compile(rf"{before}[\"']?(?:\./)?(?:{alternatives})(?![\w.-])")
    return bool(parts) and found.search(script[:MAX_SCRIPT]) is not None
