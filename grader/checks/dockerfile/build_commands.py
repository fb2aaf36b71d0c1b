"""What building an image runs: the RUNs of the stage that is asked for, and of those that it needs."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from grader.checks.dockerfile.build import needed_stages
from grader.checks.dockerfile.facts import Dockerfile, Instruction, Stage, parse
from grader.checks.dockerfile.image import interpreter, quoted
from grader.documents import Problem
from grader.readers.shell.pattern import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.documents import SourceFile
    from grader.readers.shell.follow import Files
    from grader.readers.shell.parser import Command

MAX_SCRIPT = 50_000
"""Characters of all RUNs of a build that are read."""
_BUILDS = (
    "docker build",
    "docker image build",
    "docker buildx build",
    "docker builder build",
    "podman build",
    "podman image build",
    "nerdctl build",
    "buildah bud",
    "buildah build",
    "depot build",
)
_NAMES = ("Dockerfile", "Containerfile")
_SHELL = ("/bin/sh", "-c")


def is_build(command: Command) -> bool:
    """Whether a command builds an image from a Dockerfile."""
    return next(matches((command,), _BUILDS), None) is not None


def build_script(command: Command, files: Files, folder: str) -> str:
    """What a build runs, as shell source; empty where its Dockerfile is none of the files.

    Args:
        command: one that `is_build`.
        files: where the Dockerfile is looked up.
        folder: where the command runs.
    """
    named = command.option("-f", "--file")
    context = next((word for word in reversed(command.own_words) if not word.startswith("-")), ".")
    paths = (named,) if named else tuple(posixpath.join(context, name) for name in _NAMES)
    return _script(files, [files.join(folder, path) for path in paths], command.option("--target") or "")


def action_script(inputs: Mapping[str, str], files: Files) -> str:
    """What a build by an action runs, by the action's inputs `context`, `file` and `target`."""
    context = inputs.get("context", "") or "."
    paths = (inputs["file"],) if inputs.get("file") else tuple(posixpath.join(context, n) for n in _NAMES)
    return _script(files, [files.join("", path) for path in paths], inputs.get("target", ""))


def _script(files: Files, paths: list[str], target: str) -> str:
    file = next((found for path in paths if (found := files.find(path)) is not None), None)
    dockerfile = Problem("", "") if file is None else _parsed(file)
    if isinstance(dockerfile, Problem):
        return ""
    wanted = dockerfile.stage(target, before=len(dockerfile.stages)) if target else dockerfile.stages[-1]
    if wanted is None:
        return ""
    lines = (line for stage in needed_stages(dockerfile, wanted) for line in _runs(stage))
    return "\n".join(lines)[:MAX_SCRIPT]


def _parsed(file: SourceFile) -> Dockerfile | Problem:
    # Parsing starts a process: one is saved where nothing is run at all.
    if isinstance(file.text, Problem) or not re.search(r"^\s*run\s", file.text, re.IGNORECASE | re.MULTILINE):
        return Problem(file.name, "nothing is run")
    return parse(file)


def _runs(stage: Stage) -> Iterator[str]:
    shell: tuple[str, ...] = _SHELL
    for instruction in stage.instructions:
        if instruction.name == "SHELL" and instruction.json:
            shell = instruction.value
        elif instruction.name == "RUN":
            yield quoted(instruction.value if instruction.json else (*shell, _source(instruction)))


def _source(instruction: Instruction) -> str:
    text = " ".join(instruction.value)
    if instruction.heredocs and re.fullmatch(r"\s*<<-?\s*\S+\s*", text):
        body = instruction.heredocs[0][1]
        program = interpreter(body)
        return "" if program and not program.endswith("sh") else body
    return text + "".join(f"\n{content}{name}\n" for name, content in instruction.heredocs)
