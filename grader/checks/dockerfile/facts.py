"""A Dockerfile as instructions and stages, as BuildKit's own parser reads it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader import command as process
from grader.check import Deliverable
from grader.documents import Problem, SourceFile
from grader.errors import GraderFault
from grader.results import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from grader.context import Context

MAX_CHARACTERS = 100_000
"""The longest Dockerfile that is read: no honest one comes near it."""

# The parser is Go in this very process and takes it down when it fails, so it gets one of its own.
_PARSER = """
import dockerfile, json, sys
try:
    answer = [
        [c.cmd, list(c.flags), list(c.value), c.json, c.start_line, [[h.name, h.content] for h in c.heredocs]]
        for c in dockerfile.parse_string(sys.stdin.buffer.read().decode())
    ]
except dockerfile.GoParseError as error:
    answer = str(error)
sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode())
"""

_INSTRUCTIONS = frozenset(
    {
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
_EXPANSION = re.compile(
    r"\\(.)|'([^']*)'|\"|\$(\w+)|\$\{(\w+)(?:(:?[-+?])([^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}", re.DOTALL
)
MAX_EXPANDED = 4_000


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    name: str
    """In capitals."""
    flags: tuple[tuple[str, str], ...]
    """`--from=builder` as (`from`, `builder`), in order, unexpanded."""
    value: tuple[str, ...]
    json: bool
    """Whether the value stands in exec form."""
    line: int
    heredocs: tuple[tuple[str, str], ...] = ()

    def flag(self, name: str) -> str | None:
        """The last value of a flag."""
        return next((value for key, value in reversed(self.flags) if key == name), None)


@dataclass(frozen=True, slots=True)
class Stage:
    """One build stage, from its FROM to the next."""

    index: int
    name: str
    """In small letters; empty without one."""
    image: str
    """What it is built from, after ARG expansion."""
    parent: int | None
    """The earlier stage that it is built from."""
    line: int
    arguments: Mapping[str, str]
    """Global ARGs, which it sees once it declares them."""
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile that has at least one stage."""

    file: SourceFile
    stages: tuple[Stage, ...]
    problems: tuple[Problem, ...] = ()
    """What a builder would refuse before it looked at any file."""
    arguments_at: tuple[int, ...] = ()
    """Lines of the ARGs above the first FROM."""

    def stage(self, name: str, *, before: int) -> Stage | None:
        """The stage that `--from=` or FROM names, by name or index, among those before another."""
        for stage in reversed(self.stages[:before]):
            if stage.name and stage.name == name.lower():
                return stage
        return self.stages[int(name)] if name.isdecimal() and int(name) < before else None

    def lineage(self, stage: Stage) -> tuple[Stage, ...]:
        """A stage and those it is built on, the outermost first."""
        chain = [stage]
        while chain[0].parent is not None:
            chain.insert(0, self.stages[chain[0].parent])
        return tuple(chain)


def read_dockerfile(context: Context, *, file: Deliverable) -> Dockerfile | Finding:
    """A deliverable as a Dockerfile."""
    dockerfile = parse(context.deliverable(file))
    return dockerfile.finding("a Dockerfile") if isinstance(dockerfile, Problem) else dockerfile


def parse(file: SourceFile) -> Dockerfile | Problem:
    """Read a file as a Dockerfile."""
    text = file.text
    if isinstance(text, Problem):
        return text
    if len(text) > MAX_CHARACTERS or "\0" in text:
        return Problem(file.name, "not a Dockerfile: the file is too long or binary")
    try:
        answer = _parsed(text)
    except _NoAnswer as error:
        # It is what the text holds, unless the parser or the machine fails without it too.
        try:
            _parsed("FROM scratch\n")
        except _NoAnswer:
            raise GraderFault("the Dockerfile parser failed", log_tail=str(error)) from error
        return Problem(file.name, "not a valid Dockerfile: parsing it did not finish")
    if isinstance(answer, str):
        return Problem(file.name, f"not a valid Dockerfile: {answer}")
    return _staged(file, tuple(_instruction(*entry) for entry in answer))


class _NoAnswer(Exception):  # noqa: N818  (whose failure it is, is not told yet)
    """The parser did not finish."""


def _parsed(text: str) -> Any:
    done = process.run([sys.executable, "-I", "-c", _PARSER], stdin=text)
    if done.returncode != 0 or done.timed_out:
        raise _NoAnswer(done.output[-2000:])
    try:
        return json.loads(done.stdout)
    except ValueError as error:  # an answer that is cut off
        raise _NoAnswer(str(error)) from error


def _instruction(
    name: str, flags: list[str], value: list[str], as_json: bool, line: int, heredocs: list[list[str]]
) -> Instruction:
    pairs = (flag.removeprefix("--").partition("=") for flag in flags)
    return Instruction(
        name=name.upper(),
        flags=tuple((key.lower(), text) for key, _, text in pairs),
        value=tuple(value),
        json=as_json,
        line=line,
        heredocs=tuple((key, content) for key, content in heredocs),
    )


def _staged(file: SourceFile, instructions: tuple[Instruction, ...]) -> Dockerfile | Problem:
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    problems = [problem for each in instructions if (problem := _refused(file, each)) is not None]
    starts = [index for index, each in enumerate(instructions) if each.name == "FROM"]
    for each in instructions[: starts[0] if starts else None]:
        if each.name != "ARG":
            return Problem(file.name, f"{each.name} is before the first FROM", each.line)
        arguments |= assignments(each, arguments)
    if not starts:
        return Problem(file.name, "not a valid Dockerfile: it has no FROM")
    for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True):
        stages.append(_stage(stages, instructions[start], arguments, instructions[start + 1 : end]))
        if not stages[-1].image:
            problems.append(Problem(file.name, "FROM names no image", stages[-1].line))
    above = tuple(each.line for each in instructions[: starts[0]])
    return Dockerfile(file, tuple(stages), tuple(problems), above)


def _stage(
    above: list[Stage], opening: Instruction, arguments: dict[str, str], body: tuple[Instruction, ...]
) -> Stage:
    image = expand(opening.value[0], arguments) if opening.value else ""
    named = len(opening.value) == 3 and opening.value[1].lower() == "as"
    same = (stage.index for stage in reversed(above) if stage.name and stage.name == image.lower())
    return Stage(
        index=len(above),
        name=opening.value[2].lower() if named else "",
        image=image,
        parent=next(same, None),
        line=opening.line,
        arguments=dict(arguments),
        instructions=body,
    )


def _refused(file: SourceFile, instruction: Instruction) -> Problem | None:
    """What a builder rejects although the parser accepts it."""
    name, value = instruction.name, instruction.value
    if name not in _INSTRUCTIONS:
        return Problem(file.name, f"unknown instruction {name[:40]}", instruction.line)
    if name == "FROM" and not (len(value) == 1 or (len(value) == 3 and value[1].lower() == "as")):
        return Problem(file.name, "FROM takes an image, or an image AS a name", instruction.line)
    if name in ("COPY", "ADD") and len(value) < 2:
        return Problem(file.name, f"{name} needs a source and a destination", instruction.line)
    if name in ("RUN", "ENV", "WORKDIR", "USER", "EXPOSE") and not any(word.strip() for word in value):
        return Problem(file.name, f"{name} needs an argument", instruction.line)
    return None


def assignments(instruction: Instruction, known: Mapping[str, str]) -> dict[str, str]:
    """What an ARG or ENV sets; an ARG without a value sets nothing."""
    if instruction.name == "ENV":
        pairs = list(zip(instruction.value[::2], instruction.value[1::2], strict=False))
    else:
        pairs = [(key, value) for key, has, value in (w.partition("=") for w in instruction.value) if has]
    values: dict[str, str] = {}
    for key, value in pairs:
        values[key] = expand(value, {**known, **values} if instruction.name == "ARG" else known)
    return values


def expand(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """Fill in variables and take quotes off, as a Dockerfile does; an unknown variable is empty."""

    def filled(found: re.Match[str]) -> str:
        escaped, literal, plain, braced, operator, word = found.groups()
        if escaped is not None or literal is not None:
            return escaped if escaped is not None else literal
        if plain is None and braced is None:
            return ""  # a double quote
        value = variables.get(plain or braced)
        if operator is None:
            return value or ""
        there = value is not None and (value != "" or not operator.startswith(":"))
        if operator.endswith("+"):
            return inner(word) if there else ""
        return (value or "") if there else inner(word) if operator.endswith("-") else ""

    def inner(word: str) -> str:
        return expand(word, variables, depth + 1) if depth < 5 else word

    return _EXPANSION.sub(filled, text)[:MAX_EXPANDED]
