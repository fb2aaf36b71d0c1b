from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from grader.checks.generic import commands
from grader.checks.generic.commands import At, start_of, text_violation, value_violation
from grader.checks.generic.expectations import Expect
from grader.results import Verdict
from tests.builders import decide, make_submission
from tests.checks.live import plain_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from grader.context import Context
    from grader.results import Outcome


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"writes": {"../x": {}}}, "not a path inside"),
        ({"files": {"/etc/passwd": ""}}, "not a path inside"),
        ({"environment": {"A=B": ""}}, "no name of a variable"),
        ({"arguments": ["a\0b"]}, "NUL"),
        ({"status": 256}, "less than or equal to 255"),
        ({"status": []}, "at least 1 item"),
        ({"writes": {"x": {"absent": True, "text": {"equals": ""}}}}, "can have no content"),
        ({"values": [{"path": "x"}]}, "begins with"),
        ({"stdout": {"matches": "("}}, "not a regular expression"),
        ({"cpu_seconds": 0}, "greater than 0"),
        ({"argumnets": []}, "Extra inputs"),
    ],
)
def test_what_no_program_could_do_is_the_authors_fault(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        commands.command_exits.parameters.model_validate({"file": "tool", **given})


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("a.py", "", ("python", "a.py")),
        ("bin/a.sh", "", ("bash", "bin/a.sh")),
        ("a", "#!/usr/bin/env -S python3 -u\n", ("python", "a")),
        ("a", "#!/usr/bin/perl\n", ("perl", "a")),
        ("a", "#!\n", ("./a",)),
        ("a", b"\xff\xfe", ("./a",)),
    ],
)
def test_how_a_file_is_started(tmp_path: Path, name: str, text: str | bytes, start: tuple[str, ...]) -> None:
    source = make_submission(tmp_path, {name: text}, deliverables={"a": name}).deliverable("a")
    assert source is not None
    assert start_of(source) == start
    assert start_of(source, ("node", "{script}")) == ("node", name)


@pytest.mark.parametrize(
    ("expect", "text", "right"),
    [
        (Expect(equals="a\nb"), "a\r\nb\n\n", True),
        (Expect(equals="a\n"), "a", True),
        (Expect(equals="a"), " a", False),
        (Expect(near=0.5, tolerance=0.1), "0.52\n", True),
        (Expect(at_least=1), "many", False),
        (Expect(at_least=1), "true", False),
        (Expect(equals=3), "3", True),
        (Expect(at_most=1), "[" * 9999, False),
    ],
)
def test_text(expect: Expect, text: str, right: bool) -> None:
    assert (text_violation(expect, text) == "") is right


def test_a_value_that_is_not_there_and_one_that_differs() -> None:
    assert value_violation({"a": 1}, At(path="$.a")) is None
    assert value_violation({}, At(path="$.a", expect=Expect(equals=1))) == (
        "there is nothing at $.a",
        "1",
        "",
    )
    assert value_violation({"a": [2, 3]}, At(path="$.a[*]", expect=Expect(equals=1))) == (
        "$.a[*] is not as expected",
        "1",
        "2 · 3",
    )


TOOL = """\
import json, os, sys, time
mode = sys.argv[1]
if mode == "echo":
    print(json.dumps({"read": sys.stdin.read(), "told": os.environ.get("TOLD"), "seen": open("in.txt").read(),
                      "files": sorted(os.listdir("."))}))
    print("careful", file=sys.stderr)
    open("out.txt", "w").write("0.5\\n")
elif mode == "status":
    sys.exit(int(sys.argv[2]))
elif mode == "endless":
    while True:
        print("x" * 100_000)
elif mode == "much":
    print("x" * 5_000_000)
elif mode == "links":
    os.symlink("/etc/passwd", "out.txt")
elif mode == "pipe":
    os.mkfifo("out.txt")
elif mode == "crash":
    {}["key"]
"""
FILES = {"tool.py": TOOL, "run.sh": 'echo "$@"\n', "perl.x": "#!/usr/bin/no-such-program\n", "bad": "\x00"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    names = {"tool": "tool.py", "shell": "run.sh", "other": "perl.x", "bad": "bad"}
    with plain_context(tmp_path_factory.mktemp("tool"), FILES, deliverables=names) as context:
        yield context


def _call(context: Context, file: str = "tool", **given: Any) -> Outcome:
    parameters = commands.command_exits.parameters.model_validate({"file": file, **given})
    return decide(commands.command_exits, context, **dict(parameters))


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        {
            "arguments": ["echo"],
            "stdin": "hello",
            "environment": {"TOLD": "so"},
            "files": {"in.txt": "input"},
            "stderr": {"equals": "careful"},
            "values": [
                {"path": "$.read", "expect": {"equals": "hello"}},
                {"path": "$.told", "expect": {"equals": "so"}},
                {"path": "$.seen", "expect": {"equals": "input"}},
                {"path": "$.files", "expect": {"excludes": [".grader-standard-input"]}},
            ],
            "writes": {"out.txt": {"text": {"near": 0.5}}, "no.txt": {"absent": True}},
        },
        {"arguments": ["status", "3"], "status": [2, 3]},
        {"arguments": ["crash"], "status": 1, "stderr": {"contains": "KeyError"}},
        {"file": "shell", "arguments": ["a b", "$HOME"], "stdout": {"equals": "a b $HOME"}},
    ],
)
def test_a_program_that_does_what_is_asked(context: Context, given: dict[str, Any]) -> None:
    outcome = _call(context, **given)
    assert (outcome.verdict, outcome.findings) == (Verdict.PASSED, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"arguments": ["status", "3"]}, "ended with status 3"),
        ({"arguments": ["crash"]}, "KeyError"),
        ({"arguments": ["endless"], "cpu_seconds": 1, "wall_seconds": 5}, "was stopped"),
        ({"arguments": ["much"], "stdout": {"contains": "x"}}, "too long"),
        ({"arguments": ["status", "0"], "values": [{"path": "$.a"}]}, "is not JSON"),
        ({"arguments": ["links"], "writes": {"out.txt": {}}}, "left no readable file"),
        ({"arguments": ["pipe"], "writes": {"out.txt": {}}}, "left no readable file"),
        ({"arguments": ["status", "0"], "stdout": {"equals": "1"}}, "standard output is not as expected"),
        ({"file": "bad"}, "could not be started"),
    ],
)
def test_a_program_that_does_something_else(context: Context, given: dict[str, Any], said: str) -> None:
    outcome = _call(context, **given)
    assert outcome.verdict is Verdict.FAILED
    assert said in outcome.findings[0].message


@pytest.mark.slow
@pytest.mark.parametrize("stdin", ["", "x"])
def test_a_program_that_this_machine_lacks_costs_nothing(context: Context, stdin: str) -> None:
    assert _call(context, "other", stdin=stdin).verdict is Verdict.UNVERIFIED
