"""What particular tools do in a workflow: coverage options, image builds and pushes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from grader.checks.workflow.actions import Act, matching, uses
from grader.documents import Problem, parse_ini
from grader.readers.shell.parser import Command

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from grader.checks.workflow.scenarios import Images
    from grader.submission.model import Submission


def configured_options(submission: Submission) -> str:
    """The options that pytest takes from its configuration; the first file that has any wins."""
    for name, section in (
        ("pytest.ini", "pytest"),
        (".pytest.ini", "pytest"),
        ("pyproject.toml", ""),
        ("tox.ini", "pytest"),
        ("setup.cfg", "tool:pytest"),
    ):
        file = submission.file(name)
        if file is None:
            continue
        options = _from_toml(file.toml) if not section else _from_ini(file.text, section)
        if options:
            return options
    return ""


def _from_toml(data: dict[str, Any] | Problem) -> str:
    match data:
        case {"tool": {"pytest": {"ini_options": {"addopts": str(options)}}}}:
            return options
        case {"tool": {"pytest": {"ini_options": {"addopts": list(options)}}}}:
            return " ".join(map(str, options))
    return ""


def _from_ini(text: str | Problem, section: str) -> str:
    parser = text if isinstance(text, Problem) else parse_ini(text, "")
    if isinstance(parser, Problem):
        return ""
    return parser.get(section, "addopts", fallback="") or ""


def measures(
    act: Act, command: Command | None, option: str, measuring: Sequence[str], configured: str
) -> bool:
    """Whether a run of the tests measures coverage."""
    if command is None:
        command = _given(act)
    if any(program in act.through or program == command.program for program in measuring):
        return True
    words = [*command.arguments, *command.environment.get("PYTEST_ADDOPTS", "").split(), *configured.split()]
    turned_off = any(word == f"--no-{option.removeprefix('--')}" for word in words)
    return not turned_off and any(re.fullmatch(rf"{re.escape(option)}(?:[-=].*)?", word) for word in words)


def _given(act: Act) -> Command:
    """What an action hands on to the tests, as if its inputs were their arguments."""
    words = tuple(word for value in act.step.inputs.values() for word in value.split())
    return Command(words=words, program="", arguments=words, environment=act.step.environment)


def image_work(act: Act, images: Images) -> frozenset[str]:
    """Whether an act is a `build`, a `push`, both or neither."""
    if matching(act, images.both) is not None or uses(act, images.pushing_actions):
        return frozenset({"build", "push"})
    if uses(act, images.actions):
        return frozenset({"build", "push"} if _action_pushes(act.step.inputs) else {"build"})
    found = {"build": images.build, "push": images.push}
    return frozenset(name for name, words in found.items() if matching(act, words) is not None)


def released(done: Sequence[Act], images: Images) -> list[Act]:
    """The acts that give an image away, in jobs that build it too; else the next best."""
    work = {act: image_work(act, images) for act in done}
    building = {act.job.id for act, names in work.items() if "build" in names}
    pushes = [act for act, names in work.items() if "push" in names]
    if pushes:
        return [act for act in pushes if act.job.id in building] or pushes
    # An image may be built elsewhere too, to be tested or scanned.
    last = next((act.job.id for act in reversed(done) if act.job.id in building), "")
    return [act for act, names in work.items() if "build" in names and act.job.id == last]


def _action_pushes(inputs: Mapping[str, str]) -> bool:
    """By `push: true` or by its outputs; an expression that only a run can tell may well be true."""
    push = inputs.get("push", "").strip().lower()
    outputs = inputs.get("outputs", "").replace(" ", "").lower()
    return push == "true" or push.startswith("${{") or "push=true" in outputs or "type=registry" in outputs
