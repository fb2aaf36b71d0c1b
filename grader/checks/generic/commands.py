"""A program called with arguments, files and input, and what comes of it."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from grader.check import Deliverable, Example, ExitStatus, Parameters, Seconds, check
from grader.checks.generic.expectations import Expect, shown
from grader.checks.generic.values import JsonPath, values_at
from grader.checks.scripts.call import MANIFEST, Called
from grader.documents import parse_json
from grader.readers.python.tracebacks import last_traceback
from grader.results import Evidence, Finding, Outcome, failed, passed, unverified
from grader.runtime.sandbox.limits import Limits
from grader.runtime.sandbox.model import Ended

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from grader.context import Context
    from grader.documents import SourceFile

MAX_FILE = 4 * 2**20
"""Bytes of a file that a program wrote."""
MAX_TEXT = 300
SCRIPT = "{script}"
"""Stands for the deliverable's path in an author's words."""
_STDIN = ".grader-standard-input"
_REDIRECT = f'exec < {_STDIN} && rm {_STDIN} && exec "$@"'
_NOT_FOUND = 127
_INTERPRETERS = {".py": "python", ".sh": "bash", ".bash": "bash"}


def _is_inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside the submission")
    return path


def _is_a_word(text: str) -> str:
    if "\0" in text:
        raise ValueError("no program can be given a NUL")
    return text


def _is_a_variable(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} is no name of a variable")
    return name


InnerPath = Annotated[str, AfterValidator(_is_inside)]
Word = Annotated[str, AfterValidator(_is_a_word)]
Variable = Annotated[str, AfterValidator(_is_a_variable)]


class At(Parameters):
    """What stands at a place in JSON."""

    path: JsonPath
    """A JSONPath, such as `$.total`."""
    expect: Expect | None = None
    """What a value there must be; that there is one, if this is left out."""


class Written(Parameters):
    """What is expected of a file that a program wrote."""

    text: Expect | None = None
    """What its text must be; final line ends do not matter."""
    values: tuple[At, ...] = ()
    """What must stand in it, where it is JSON."""
    absent: bool = False
    """Whether there must be no such file."""

    @model_validator(mode="after")
    def _is_there_or_not(self) -> Written:
        if self.absent and (self.text is not None or self.values):
            raise ValueError("a file that must be absent can have no content")
        return self


@check(
    "command.exits",
    evidence=Evidence.RUNS,
    example=Example(
        rubric="""
            deliverables: {tool: {path: tool.py}}
            check: command.exits
            with:
              file: tool
              arguments: [--json, data.csv]
              files: {data.csv: "a,b\\n1,2\\n"}
              stdin: "3\\n"
              status: 0
              values: [{path: $.rows, expect: {equals: 1}}]
              writes: {out.txt: {text: {near: 3}}}
        """,
        files={
            "tool.py": (
                "import json, sys\n"
                "rows = open(sys.argv[2]).read().splitlines()[1:]\n"
                "print(json.dumps({'rows': len(rows)}))\n"
                "open('out.txt', 'w').write(sys.stdin.read())\n"
            )
        },
    ),
)
def command_exits(
    context: Context,
    *,
    file: Deliverable,
    command: tuple[Word, ...] = (),
    arguments: tuple[Word, ...] = (),
    stdin: str = "",
    environment: dict[Variable, Word] = {},  # noqa: B006  (frozen by its model)
    files: dict[InnerPath, str] = {},  # noqa: B006
    without: tuple[str, ...] = (),
    status: ExitStatus | Annotated[tuple[ExitStatus, ...], Field(min_length=1)] = 0,
    stdout: Expect | None = None,
    stderr: Expect | None = None,
    values: tuple[At, ...] = (),
    writes: dict[InnerPath, Written] = {},  # noqa: B006
    cpu_seconds: Seconds = 30,
    wall_seconds: Seconds = 60,
) -> Outcome:
    """A program ends with this status, and what it prints and writes is as expected.

    Args:
        command: how it is started, if not as Python, bash or its first line says; `{script}` is its path.
        arguments: words that follow.
        stdin: what it reads from standard input.
        environment: variables that it gets.
        files: text of files that it finds, by path; they replace the submission's own.
        without: globs of the submission's files that it does not find.
        status: its exit status, or several of which it may have any.
        stdout: what standard output must be; final line ends do not matter, and a number alone is a number.
        stderr: what standard error must be, likewise.
        values: what must stand in standard output, where that is JSON.
        writes: what must be in files that it leaves, by path.
        cpu_seconds: CPU time that it may take.
        wall_seconds: time that it may take.
    """
    source = context.deliverable(file)
    told = context.submission.manifest.commands.get(file, ())
    start = tuple(told) or start_of(source, command)
    request: dict[str, Any] = {
        "argv": [*start, *arguments],
        "stdin": stdin,
        "environment": dict(environment),
        "files": dict(files),
        "without": list(without),
        "origin": MANIFEST if told else "",
        "limits": [cpu_seconds, wall_seconds],
    }
    limits = Limits(cpu_seconds=cpu_seconds, wall_seconds=wall_seconds)
    # Several criteria may look at one and the same run, each at other files that it left.
    key = ("command", json.dumps(request, sort_keys=True), tuple(sorted(writes)))
    called, left = context.memo.once(key, lambda: _run(context, request, limits, tuple(sorted(writes))))
    context.record_call(file, called.record(source.path))
    if _has_no_program(called, request["stdin"]) and not told and "/" not in start[0]:
        return unverified(f"{start[0]} is not on this machine, so {source.name} was not run")
    wanted = status if isinstance(status, tuple) else (status,)
    findings = [*_ended(called, wanted)]
    if not findings:
        findings += _printed(called, "standard output", called.run.stdout, stdout, values)
        findings += _printed(called, "standard error", called.run.stderr, stderr, ())
        for path, expected in writes.items():
            findings += _written(called, path, left[path], expected)
    return failed(*findings) if findings else passed()


def start_of(source: SourceFile, command: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The words that start a script: the author's, else what its name or its first line says."""
    path = str(source.path)
    if command:
        return tuple(word.replace(SCRIPT, path) for word in command)
    if source.path.suffix in _INTERPRETERS:
        return (_INTERPRETERS[source.path.suffix], path)
    first = source.text.partition("\n")[0] if isinstance(source.text, str) else ""
    words = first[2:].split() if first.startswith("#!") else []
    names = [PurePosixPath(word).name for word in words if not word.startswith("-")]
    if names[:1] == ["env"]:
        names = names[1:]
    if names:
        name = names[0]
        return ("python" if name.startswith("python") else name, path)
    return (f"./{path}",)


def _has_no_program(called: Called, stdin: str) -> bool:
    by_shell = stdin and called.run.returncode == _NOT_FOUND and called.run.stderr.startswith("sh: ")
    return bool(called.run.error or by_shell)


def _run(
    context: Context, request: Mapping[str, Any], limits: Limits, paths: tuple[str, ...]
) -> tuple[Called, Mapping[str, bytes | None]]:
    files = {path: text.encode() for path, text in request["files"].items()}
    argv = tuple(request["argv"])
    words = argv
    if request["stdin"]:
        files[_STDIN] = request["stdin"].encode()
        words = ("sh", "-c", _REDIRECT, "sh", *argv)
    with context.require_runtime().cell(files=files, without=request["without"]) as cell:
        run = cell.run(words, env=request["environment"], limits=limits)
        left = {path: cell.read(path, MAX_FILE) for path in paths}
        traceback = last_traceback(run.stderr, (cell.root, str(cell.workspace)))
    called = Called(
        argv=argv, run=run, traceback=traceback, env=request["environment"], origin=request["origin"]
    )
    return called, left


# --- judgements: pure -----------------------------------------------------------------------------


def _ended(called: Called, wanted: tuple[int, ...]) -> Iterator[Finding]:
    run = called.run
    if run.ended is not Ended.EXITED or run.error or run.returncode not in wanted:
        yield called.finding(expected=f"status {' or '.join(map(str, wanted))}")


def _printed(
    called: Called, stream: str, text: str, expect: Expect | None, values: tuple[At, ...]
) -> Iterator[Finding]:
    if expect is None and not values:
        return
    said = f"`{called.shown}`: {stream}"
    if called.run.dropped_bytes:
        yield Finding(message=f"{said} is too long to be read", where=called.shown)
        return
    if expect is not None and (wrong := text_violation(expect, text)):
        yield _differs(f"{said} is not as expected", wrong, text, called)
    if values:
        yield from _values(called, said, text, values)


def _written(called: Called, path: str, data: bytes | None, expected: Written) -> Iterator[Finding]:
    if expected.absent or data is None:
        if (data is None) != expected.absent:
            said = "left no readable file" if data is None else "left a file that it must not leave"
            yield Finding(message=f"`{called.shown}` {said} {path}", expected=path, where=called.shown)
        return
    text = data.decode("utf-8-sig", "replace")
    if expected.text is not None and (wrong := text_violation(expected.text, text)):
        yield _differs(f"`{called.shown}`: {path} is not as expected", wrong, text, called)
    if expected.values:
        yield from _values(called, f"`{called.shown}`: {path}", text, expected.values)


def _values(called: Called, what: str, text: str, values: tuple[At, ...]) -> Iterator[Finding]:
    try:
        data = parse_json(text)
    except ValueError:
        yield _differs(f"{what} is not JSON", "JSON", text, called)
        return
    for each in values:
        if said := value_violation(data, each):
            message, expected, actual = said
            yield Finding(message=f"{what}: {message}", expected=expected, actual=actual, where=called.shown)


def value_violation(data: Any, at: At) -> tuple[str, str, str] | None:
    """Why no value at a place is as expected: message, expected, found."""
    found = values_at(data, at.path)
    if not found:
        return f"there is nothing at {at.path}", at.expect.violation(None) if at.expect else "", ""
    wrong = [at.expect.violation(value) if at.expect else "" for value in found]
    if "" in wrong:
        return None
    return f"{at.path} is not as expected", wrong[0], " · ".join(map(shown, found[:5]))


def text_violation(expect: Expect, text: str) -> str:
    """What is wrong with a text whose final line ends do not matter; a number alone is a number too."""
    text = text.replace("\r\n", "\n")
    bare = text.rstrip("\n")
    said = [expect.violation(bare), expect.violation(f"{bare}\n")]
    if "" in said:
        return ""
    try:
        number = parse_json(bare.strip())
    except ValueError:
        return said[0]
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return expect.violation(number) if is_number else said[0]


def _differs(message: str, expected: str, text: str, called: Called) -> Finding:
    plain = text.strip()
    return Finding(
        message=message,
        expected=expected,
        actual=plain if len(plain) <= MAX_TEXT else plain[:MAX_TEXT] + "…",
        where=called.shown,
    )


CHECKS = (command_exits,)
