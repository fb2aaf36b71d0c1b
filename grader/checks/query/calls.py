"""The searches for runs that a submission makes: `search_runs` in Python, REST calls in shell scripts."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.documents import Problem, SourceFile, parse_json, parse_python
from grader.readers.python.module import Call, Module, modules
from grader.readers.python.nodes import UNKNOWN, known
from grader.readers.shell import sources as recorded
from grader.readers.shell.parser import Command, commands

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from grader.submission.model import Submission

_OUTPUT = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|`[^`]*`")
"""A value that only running a command would tell, such as an experiment's id."""
MAX_CHARACTERS = 100_000
"""Of a Python program inside a shell script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search. A value is None where it is not given and UNKNOWN where only running would tell."""

    where: str
    names: Any
    """The names of the experiments that it searches."""
    filter: Any
    order: Any
    limit: Any
    sources: tuple[Module, ...] = ()
    """The Python code around it."""


def queries(submission: Submission, file: SourceFile) -> tuple[Query, ...]:
    """Every search in a file and in what it imports."""
    if file.path.suffix == ".py":
        return tuple(_in_python(modules(submission, file)))
    scripts = ((line, commands(text)) for text, line in recorded.of(file))
    return tuple(query for line, script in scripts for query in _in_shell(file, script, line))


def _in_python(sources: Sequence[Module]) -> Iterator[Query]:
    for module in sources:
        for call in module.calls():
            if call.name.rpartition(".")[2] == "search_runs":
                yield Query(
                    where=module.where(call.node),
                    names=_experiments(call, sources),
                    filter=call.value("filter_string", 1),
                    order=_listed(call.value("order_by", 4)),
                    limit=call.value("max_results", 3),
                    sources=tuple(sources),
                )


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _experiments(call: Call, sources: Sequence[Module]) -> Any:
    """Names of the experiments that a call searches, those of ids looked up by name among them."""
    names = call.value("experiment_names", 7)
    if names is not None:
        return names if known(names) else UNKNOWN
    if call.value("search_all_experiments", 6) is True:
        return []
    ids = call.argument("experiment_ids", 0)
    if ids is None and call.open:
        return UNKNOWN
    if ids is None:
        active = list(_given(sources, "set_experiment", "experiment_name"))
        return active[-1:] if all(map(known, active)) else UNKNOWN
    if call.module.constant(ids) == ["0"]:
        return ["Default"]
    looked_up = [*_given(sources, "get_experiment_by_name", "name"), *_searched(sources)]
    return looked_up if looked_up and known(looked_up) else UNKNOWN


def _given(sources: Sequence[Module], function: str, parameter: str) -> Iterator[Any]:
    for module in sources:
        for call in module.calls():
            if call.name.rpartition(".")[2] == function:
                value = call.value(parameter, 0)
                yield UNKNOWN if value is None else value


def _searched(sources: Sequence[Module]) -> Iterator[Any]:
    for module in sources:
        for call in module.calls():
            if call.name.rpartition(".")[2] == "search_experiments":
                condition = call.value("filter_string")
                named = re.fullmatch(r"\s*(?:attributes?\.)?name\s*=\s*['\"](.*)['\"]\s*", str(condition))
                yield named[1] if named else UNKNOWN


def _in_shell(file: SourceFile, script: Sequence[Command], start: int) -> Iterator[Query]:
    for command in script:
        line = start + command.line - 1
        if command.program == "python":
            yield from _in_program(file, command, line)
        elif command.program in ("curl", "http"):
            yield from _in_request(file, command, script, line)


def _in_program(file: SourceFile, command: Command, line: int) -> Iterator[Query]:
    program = command.option("-c") or command.stdin
    tree = parse_python(program[:MAX_CHARACTERS], file.name)
    if isinstance(tree, Problem):
        return
    yield from _in_python([Module(file, tree=ast.increment_lineno(tree, line))])


def _in_request(file: SourceFile, command: Command, script: Sequence[Command], line: int) -> Iterator[Query]:
    if not any("runs/search" in word for word in command.arguments):
        return
    text = command.option("-d", "--data", "--data-raw", "--json") or command.stdin
    try:
        body = parse_json(_OUTPUT.sub("", text))
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"filter": UNKNOWN, "order_by": UNKNOWN, "max_results": UNKNOWN}
    asked = " ".join(
        word for each in script for word in each.arguments if "get-by-name" in " ".join(each.words)
    )
    named = re.findall(r"experiment_name=([^&\s'\"]+)", asked)
    yield Query(
        where=file.where(line),
        names=named or UNKNOWN,
        filter=body.get("filter"),
        order=_listed(body.get("order_by")),
        limit=body.get("max_results"),
    )
