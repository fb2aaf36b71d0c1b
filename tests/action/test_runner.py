"""That the stand-in for GitHub's runner obeys and refuses as the runner does."""

from __future__ import annotations

import pytest

from tests.action.runner import COMMANDS, Command, Outcome, Refused, Runner, evaluate, look_up, parse

CONTEXT = {
    "inputs": {"mode": "marks", "static": "false", "empty": ""},
    "steps": {"grade": {"outputs": {"code": "0"}}},
    "runner": {"os": "Linux"},
    "github": {"token": "t"},
}


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (
            "::error file=a%2Cb.py,line=3,title=x%3Ay::one%0Atwo%25",
            Command("error", "one\ntwo%", {"file": "a,b.py", "line": "3", "title": "x:y"}),
        ),
        ("  ::Set-Output name=score::110", Command("set-output", "110", {"name": "score"})),
        ("any text ##[add-path]/tmp", Command("add-path", "/tmp", {})),
        ("text ::error::x", None),
        ("::unknown::x", None),
        ("::error", None),
        ("##[section]x", None),
    ],
)
def test_a_line_is_read_as_the_runner_reads_it(line: str, command: Command | None) -> None:
    assert parse(line, COMMANDS) == command


def test_only_the_token_resumes_commands() -> None:
    outcome = Outcome()
    Runner._read_log("::stop-commands::abc\n::error::a\n##[add-path]x\n::abc::\n::warning::b", outcome)
    assert outcome.commands == [Command("warning", "b", {})]


@pytest.mark.parametrize(
    "log",
    [
        "::stop-commands::abc\n",
        "::error::x\n" * 11,
        "::error file=/etc/passwd::x",
        "::error file=../x::x",
        "::error line=a::x",
        "::error colour=red::x",
    ],
    ids=["left stopped", "eleven", "absolute", "outside", "no number", "no property"],
)
def test_what_github_drops_or_refuses_is_a_failure(log: str) -> None:
    with pytest.raises(Refused):
        Runner._read_log(log, Outcome())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.mode == 'marks' || inputs.mode == 'feedback'", True),
        ("inputs.static != 'true' && (inputs.mode == 'comment' || inputs.mode == 'MARKS')", True),
        ("!inputs.empty && steps.grade.outputs.code == '0'", True),
        ("steps.grade.outputs.nothing != ''", False),
    ],
)
def test_expressions(text: str, value: object) -> None:
    assert evaluate(text, CONTEXT) == value


@pytest.mark.parametrize("name", ["inputs.modus", "steps.later.outputs.x", "secrets.TOKEN", "env.HOME"])
def test_an_unknown_context_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        look_up(name, CONTEXT)
